/** From an outcome to the settlement that carries it: decision, error, follow-ups, all encoded. */
import type { App } from '../app/app.ts'
import type { Client } from '../client/client.ts'
import { depthOf, makeJob, mostFollowUps } from '../app/new-job.ts'
import { decodeAttempts, encodeAttempt } from '../app/attempts.ts'
import { payloadBounds } from '../app/payload.ts'
import type { Codec } from '../core/codec.ts'
import { decide, type Decision, type Outcome } from '../core/decide.ts'
import type { FailureReport } from '../core/enqueue-options.ts'
import { followUpId } from '../core/id.ts'
import { fromJson } from '../core/json.ts'
import { keptAttempts, type AttemptOutcome, type KeptError } from '../core/job.ts'
import { keepError } from '../core/kept-error.ts'
import type { AnyTask } from '../core/task.ts'
import type { ClaimedJob, NewJob } from '../store/job.ts'
import type { Settlement } from '../store/worker-calls.ts'
import type { Rules } from './rules.ts'
import type { RunResult } from './runner.ts'

/** How a job ends here: all that its settlement is made from, but for the time. */
export interface Ending extends RunResult {
  readonly job: ClaimedJob
  readonly rules: Rules
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
  return followUps(given, decision, kept, tasks).then((made) =>
    assemble(given, decision, kept, error, [...carried, ...made]),
  )
}

function assemble(
  given: Given,
  decision: Decision,
  kept: KeptError | null,
  error: unknown,
  followUps: readonly NewJob[],
): Settled {
  const { id, token } = given.ending.job
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
      return named('success', definition?.onSuccess, stored.onSuccess)
    case 'failed':
      return named('failure', definition?.onFailure, stored.onFailure)
    case 'cancelled':
    case 'discarded':
      return []
  }
}

const nobody: readonly Follower[] = []

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

async function followUps(
  given: Given,
  decision: Decision,
  kept: KeptError | null,
  followers: readonly Follower[],
): Promise<NewJob[]> {
  const succeeded = decision.kind === 'finish' && decision.state === 'completed'
  const input = succeeded ? given.ending.value : await failureReport(given, decision, kept)
  const made: NewJob[] = []
  for (const [edge, task] of followers) made.push(await followUp(given, edge, task, input))
  return made
}

/**
 * A follow-up is never lost to a mistake in its own options: then it goes without them, with a
 * warning. It carries what its parent's codec kept from the store, so that codec writes it as well,
 * unless its task has one of its own.
 */
async function followUp(
  given: Given,
  edge: string,
  task: AnyTask | string,
  input: unknown,
): Promise<NewJob> {
  const { app } = given.maker
  const { job } = given.ending
  const depth = depthOf(given.ending.rules.stored) + 1
  const origin = { id: followUpId(job.id, job.token, edge), parent: job.id, depth, of: job }
  const known = await given.maker.client.taskFacts(task)
  const facts = known.codec === null ? { ...known, codec: codecOf(given) } : known
  try {
    return makeJob(app, facts, input, undefined, origin)
  } catch (error) {
    const { id, task: parent } = job
    app.events.warn('follow-up-options', { id, task: parent, followUp: facts.name, error })
    return makeJob(
      app,
      { ...facts, queue: 'default', layer: {}, unique: null },
      input,
      undefined,
      origin,
    )
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
    return fromJson(codec === null ? job.input : codec.decode(job.input), 'input')
  } catch {
    return null
  }
}

function codecOf(given: Given): Codec | null {
  return given.ending.job.codec === null
    ? null
    : (given.maker.app.findCodec(given.ending.job.codec) ?? null)
}
