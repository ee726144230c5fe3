/** From an outcome to the settlement that carries it: decision, error, follow-ups, all encoded. */
import type { App } from '../app/app.ts'
import type { Client } from '../client/client.ts'
import { withBefore } from '../app/before.ts'
import { depthOf, makeJob, mostFollowUps, type TaskFacts } from '../app/new-job.ts'
import { decodeAttempts, encodeAttempt } from '../app/attempts.ts'
import { payloadBounds } from '../app/payload.ts'
import type { Codec } from '../core/codec.ts'
import { decide, type Decision, type Outcome } from '../core/decide.ts'
import type { FailureReport } from '../core/enqueue-options.ts'
import { followUpId } from '../core/id.ts'
import { fromJsonWithDigits } from '../core/json.ts'
import { keptAttempts, type AttemptOutcome, type KeptError } from '../core/job.ts'
import { keepError } from '../core/kept-error.ts'
import type { Published } from '../core/published.ts'
import type { AnyTask } from '../core/task.ts'
import type { ClaimedJob, NewJob } from '../store/job.ts'
import type { Settlement } from '../store/worker-calls.ts'
import type { EndRules } from './rules.ts'
import type { RunResult } from './runner.ts'

/** How a job ends here: all that its settlement is made from, but for the time. */
export interface Ending extends RunResult {
  readonly job: ClaimedJob
  readonly rules: EndRules
  /** Whether the handler was started, or for a lost job: whether its start was written. */
  readonly begun: boolean
  /** When the handler was started, by the worker's ticks; null when it was not, or not here. */
  readonly startedAt: number | null
  /** Jobs that the attempt enqueued. */
  readonly enqueued: readonly NewJob[]
}

/** Who makes the settlement. */
export interface Maker {
  readonly app: App
  /** The worker that ran the attempt, or settles what it did not run. */
  readonly worker: string
  readonly client: Pick<Client, 'taskFacts'>
}

/** All of it, at the time of making. */
interface Given {
  readonly maker: Maker
  readonly ending: Ending
  /** How long ago the handler was started; null when it was not. */
  readonly ranMs: number | null
  /** The store's time. */
  readonly now: number
}

/** A settlement, with what it was made from for events. */
export interface Settled {
  readonly settlement: Settlement
  readonly decision: Decision
  readonly error: unknown
}

/**
 * Makes the settlement. Rejects only when the store fails while errors of earlier attempts are
 * read.
 */
export function makeSettlement(
  maker: Maker,
  ending: Ending,
  time: { readonly now: number; readonly ticks: number },
): Settled | Promise<Settled> {
  const { job, rules, outcome, begun, startedAt, enqueued } = ending
  const { now } = time
  const ranMs = startedAt === null ? null : time.ticks - startedAt
  const given: Given = { maker, ending, ranMs, now }
  const facts = {
    id: job.id,
    task: job.task,
    queue: job.queue,
    counters: job.counters,
    deadlineAt: job.deadlineAt,
    startBy: job.startBy,
    started: begun,
  }
  const decision = decide(facts, outcome, rules.policy, now, Math.random)
  const error = 'error' in outcome ? outcome.error : undefined
  const kept = 'error' in outcome ? keepError(error, job.counters.attempts + 1, now) : null
  const tasks = decision.kind === 'finish' ? followersOf(given, decision) : nobody
  const carried = carriesEnqueued(outcome) ? enqueued : []
  if (tasks.length === 0) return assemble(given, decision, kept, error, carried)
  const all = (made: readonly NewJob[]): Settled =>
    assemble(given, decision, kept, error, carried.length === 0 ? made : [...carried, ...made])
  const made = followUps(given, decision, kept, tasks)
  return made instanceof Promise ? made.then(all) : all(made)
}

function assemble(
  given: Given,
  decision: Decision,
  kept: KeptError | null,
  error: unknown,
  left: readonly NewJob[],
): Settled {
  const { job } = given.ending
  const { id, token } = job
  const followUps = given.maker.app.events.tracing?.following(job, left) ?? left
  const attempt = attemptOf(given, kept, error)
  if (decision.kind === 'requeue')
    return { settlement: { id, token, attempt, followUps, ...decision }, decision, error }
  const { kind, state, reason, counters, keepMs, yieldsToCancel } = decision
  const settlement: Settlement = {
    kind,
    id,
    token,
    state,
    reason,
    counters,
    keepMs,
    yieldsToCancel,
    attempt,
    followUps,
    output: state === 'completed' ? given.ending.output : null,
    startedAgoMs: given.ranMs === null ? null : Math.max(0, Math.round(given.ranMs)),
  }
  return { settlement, decision, error }
}

/**
 * The encoded attempt for the job's history; null where there was no run, and for one that
 * completed the job, which the job itself shows.
 */
function attemptOf(given: Given, error: KeptError | null, thrown: unknown): string | null {
  const { now, ranMs } = given
  const { job } = given.ending
  const outcome = recordedAs(given.ending.outcome)
  if (outcome === 'completed' || (error === null && (outcome === null || !given.ending.begun)))
    return null
  const { worker, token } = job.lostBy ?? { worker: given.maker.worker, token: job.token }
  const startedAt = ranMs === null ? job.startedAt : Math.round(now - ranMs)
  const attempt = job.counters.attempts + 1
  const run = {
    attempt,
    token,
    worker,
    startedAt,
    endedAt: now,
    outcome: outcome ?? 'failed',
    error,
  }
  return encodeAttempt(run, thrown, codecOf(given))
}

function recordedAs({ kind }: Outcome): AttemptOutcome | null {
  switch (kind) {
    case 'completed':
    case 'postponed':
    case 'discarded':
    case 'cancelled':
    case 'lost':
    case 'interrupted':
    case 'failed':
      return kind
    case 'unrecoverable':
    case 'retry-after':
      return 'failed'
    case 'unstarted':
    case 'unknown':
    case 'overdue':
    case 'unreadable':
      return null
  }
}

/**
 * What a handler enqueued goes with an attempt that did its work, or chose not to; not with one
 * that failed.
 */
function carriesEnqueued(outcome: Outcome): boolean {
  return (
    outcome.kind === 'completed' || outcome.kind === 'postponed' || outcome.kind === 'discarded'
  )
}

type Follower = readonly [edge: string, task: AnyTask | string]

function followersOf(
  given: Given,
  decision: Extract<Decision, { kind: 'finish' }>,
): readonly Follower[] {
  const { definition, stored } = given.ending.rules
  if (depthOf(stored) > mostFollowUps) return nobody
  switch (decision.state) {
    case 'completed':
      return [
        ...named('success', definition?.onSuccess, stored.onSuccess),
        ...named(publishing, definition?.publish),
      ]
    case 'failed':
      return [
        ...named('failure', definition?.onFailure, stored.onFailure),
        ...named(publishing, definition?.publish),
      ]
    case 'cancelled':
    case 'discarded':
      return []
  }
}

const nobody: readonly Follower[] = []

/** The edges of those that carry the end of a job outside. */
const publishing = 'publish'

function named(
  edge: string,
  ofTask: readonly (AnyTask | string)[] = [],
  ofCall: readonly string[] = [],
): readonly Follower[] {
  if (ofTask.length + ofCall.length === 0) return nobody
  return [
    ...ofTask.map((task, i): Follower => [`${edge}-task-${i}`, task]),
    ...ofCall.map((task, i): Follower => [`${edge}-call-${i}`, task]),
  ]
}

type Made = readonly NewJob[] | Promise<readonly NewJob[]>

/** Mostly made at once: a batch of ends would otherwise take a turn for each. */
function followUps(
  given: Given,
  decision: Decision,
  kept: KeptError | null,
  followers: readonly Follower[],
): Made {
  const succeeded = decision.kind === 'finish' && decision.state === 'completed'
  if (succeeded) return followUpsOn(given, followers, null)
  return failureReport(given, decision, kept).then((report) =>
    followUpsOn(given, followers, report),
  )
}

function followUpsOn(
  given: Given,
  followers: readonly Follower[],
  report: FailureReport | null,
): Made {
  const made = followers.map((follower) => {
    const [edge] = follower
    const isPublished = edge.startsWith(publishing)
    const input = isPublished ? publishedOf(given, report) : (report ?? given.ending.value)
    return followUp(given, follower, input)
  })
  const [first] = made
  if (first !== undefined && made.length === 1) return first
  const isMade = (one: Made): one is readonly NewJob[] => !(one instanceof Promise)
  if (made.every(isMade)) return made.flat()
  const all = Promise.all(made.map((one) => Promise.resolve(one)))
  return all.then((parts) => parts.flat())
}

/** An output that fills a job by itself is left out, for it would be too long with what is told beside it. */
function publishedOf({ ending }: Given, report: FailureReport | null): Published {
  const { id, task, queue, parent, token, createdAt } = ending.job
  const job = { id, task, queue, parent, token, createdAt: new Date(createdAt).toISOString() }
  if (report !== null) return { status: 'failed', job, report }
  const outputOmitted = Buffer.byteLength(ending.output ?? '') > mostPublishedBytes
  return { status: 'completed', job, output: outputOmitted ? null : ending.value, outputOmitted }
}

/** Of an output, with room for the names of its job. */
const mostPublishedBytes = payloadBounds.refuseBytes - 8_192

/**
 * A follow-up is never lost to a mistake in its own options: then it goes without them, with a
 * warning. It carries what its parent's codec kept from the store, so that codec writes it as well,
 * unless its task has one of its own.
 */
function followUp(given: Given, [edge, task]: Follower, input: unknown): Made {
  const known = given.maker.client.taskFacts(task)
  const make = (facts: TaskFacts): Made => followUpOf(given, edge, facts, input)
  return known instanceof Promise ? known.then(make) : make(known)
}

function followUpOf(given: Given, edge: string, known: TaskFacts, input: unknown): Made {
  const { app, client } = given.maker
  const { job } = given.ending
  const depth = depthOf(given.ending.rules.stored) + 1
  const origin = { id: followUpId(job.id, job.token, edge), parent: job.id, depth, of: job }
  const codec = known.codec ?? codecOf(given)
  const facts = known.codec === codec ? known : { ...known, codec }
  const withoutOptions = (error: unknown): readonly NewJob[] => {
    const { id, task: parent } = job
    app.events.warn('follow-up-options', { id, task: parent, followUp: facts.name, error })
    const bare = { ...facts, queue: 'default', layer: {}, unique: null }
    return [makeJob(app, bare, input, undefined, origin)]
  }
  try {
    const made = makeJob(app, facts, input, undefined, origin)
    if ((facts.before ?? []).length === 0) return [made]
    const all = withBefore(app, made, { facts }, (one) => client.taskFacts(one))
    return all.catch(withoutOptions)
  } catch (error) {
    return withoutOptions(error)
  }
}

async function failureReport(
  given: Given,
  decision: Decision,
  kept: KeptError | null,
): Promise<FailureReport> {
  const { app } = given.maker
  const { job } = given.ending
  const { counters } = decision
  const [record] = job.counters.failures > 0 ? await app.store.get([job.id]) : []
  const earlier = decodeAttempts(app, record?.attempts ?? [], job.codec)
  const errors = [...earlier.map(({ error }) => error), kept]
    .filter((error) => error !== null)
    .slice(-keptAttempts)
    .map((error) => ({ ...error, at: new Date(error.at).toISOString() }))
  const input = readInput(app, job)
  const report: FailureReport = {
    job: {
      id: job.id,
      task: job.task,
      queue: job.queue,
      parent: job.parent,
      createdAt: new Date(job.createdAt).toISOString(),
    },
    input,
    inputTruncated: false,
    reason: (decision.kind === 'finish' ? decision.reason : null) ?? 'error',
    errors,
    attempts: counters.attempts,
    failures: counters.failures,
    losses: counters.losses,
  }
  return bounded(report)
}

const half = payloadBounds.refuseBytes / 2

/**
 * Truncates rather than refuses: first the input, then the stacks. Sizes are of characters, with
 * room for three bytes each.
 */
function bounded(report: FailureReport): FailureReport {
  const input = JSON.stringify(report.input) ?? 'null'
  const cut =
    input.length * 3 <= half
      ? report
      : { ...report, input: input.slice(0, Math.floor(half / 12)), inputTruncated: true }
  if (JSON.stringify(cut.errors).length * 3 <= half / 2) return cut
  return { ...cut, errors: cut.errors.map((error) => ({ ...error, stack: null })) }
}

function readInput(app: App, job: ClaimedJob): unknown {
  try {
    const codec = job.codec === null ? null : app.findCodec(job.codec)
    if (codec === undefined) return null
    return fromJsonWithDigits(codec === null ? job.input : codec.decode(job.input), 'input')
  } catch {
    return null
  }
}

function codecOf(given: Given): Codec | null {
  return given.ending.job.codec === null
    ? null
    : (given.maker.app.findCodec(given.ending.job.codec) ?? null)
}
