/** Makes calls of commands: gives numbers the jobs and leases that the model knows, and decides as a worker would. */
import { decide, type Outcome } from '../../src/core/decide.ts'
import { isFinal, type JobState } from '../../src/core/job.ts'
import { defaultPolicy, type Policy } from '../../src/core/options.ts'
import type { Advance } from '../../src/store/intake.ts'
import type { RecordWrite } from '../../src/store/records.ts'
import type { LeaseRef, Settlement } from '../../src/store/worker-calls.ts'
import type { NewJob } from '../../src/store/job.ts'
import { newJob, workerOf } from '../../src/testing/conformance/jobs.ts'
import type { JobPlan, LeasePlan, NotePlan, Pick, SettlePlan, What, WritePlan } from './commands.ts'
import type { Call } from './exchange.ts'
import type { ModelJob, ModelState } from './state.ts'

/** What commands are resolved by. */
export interface Known {
  readonly state: ModelState
  readonly now: number
  /** Every id that was ever handed to the store. */
  readonly ids: readonly string[]
  /** Makes the id of a new job. */
  readonly mint: () => string
}

/** The call of a command; null when there is nothing to do. */
export function resolve(what: What, client: number, known: Known): Call | null {
  const worker = `worker ${client}`
  switch (what.kind) {
    case 'idle':
      return null
    case 'insert':
      return insertOf(what, known)
    case 'putRecords':
      return { verb: 'putRecords', writes: what.writes.map((plan) => writeOf(plan, known)) }
    case 'listRecords': {
      const { kind: _, ...query } = what
      return { verb: 'listRecords', query }
    }
    case 'claim': {
      const { kind: _, ...request } = what
      return { verb: 'claim', request: { worker, id: null, ...request } }
    }
    case 'settle': {
      const settlements = what.settlements.map((plan) => settlementOf(plan, known))
      return { verb: 'settle', settlements: settlements.filter((one) => one !== null) }
    }
    case 'renew':
      return { verb: 'renew', leases: leasesOf(what.leases, known), leaseMs: what.leaseMs }
    case 'note':
      return { verb: 'note', notes: what.notes.flatMap((plan) => noteOf(plan, known)) }
    case 'record': {
      const { name, text, jobs } = what
      const lease = leaseOf(what.lease, known)
      if (lease === null) return null
      const { id, token } = lease
      const carried = jobs.length === 0 ? {} : { jobs: jobsOf(jobs, known, id) }
      return { verb: 'record', record: { id, token, name, text, ...carried } }
    }
    case 'rescue': {
      const { kind: _, ...request } = what
      return { verb: 'rescue', request: { worker, ...request } }
    }
    case 'tend': {
      const { queues, stopped } = what
      return { verb: 'tend', worker: workerOf({ id: worker, queues, stopped }) }
    }
    case 'cancel':
      return { verb: 'cancel', ids: idsOf(what.picks, known, waitingOrRunning), reason: 'asked' }
    case 'retry':
      return {
        verb: 'retry',
        ids: idsOf(what.picks, known, (state) => isFinal(state) && state !== 'completed'),
      }
    case 'remove':
      return { verb: 'remove', ids: idsOf(what.picks, known, (state) => state !== 'running') }
    case 'take':
      return { verb: 'take', ids: idsOf(what.picks, known, isFinal) }
    case 'prune':
      return { verb: 'prune', limit: what.limit, cap: what.cap }
    case 'pause':
    case 'resume':
      return { verb: what.kind, queues: [what.queue] }
    case 'list': {
      const { states, task, queue, uniqueKey, group, tag, finished } = what.filter
      const query = {
        ...(states === null ? {} : { states }),
        ...(task === null ? {} : { tasks: [task] }),
        ...(queue === null ? {} : { queue }),
        ...(uniqueKey === null ? {} : { uniqueKey }),
        ...(group === null ? {} : { group }),
        ...(tag === null ? {} : { tag }),
        ...(finished ? { finishedTo: known.now } : {}),
        limit: what.limit,
      }
      return { verb: 'list', query }
    }
    case 'logs':
    case 'recorded': {
      const [id] = idsOf([what.pick], known, (state) => state === 'running')
      return id === undefined ? null : { verb: what.kind, id }
    }
    case 'queues':
    case 'workers':
      return { verb: what.kind }
  }
}

function waitingOrRunning(state: JobState): boolean {
  return !isFinal(state)
}

/** Ids of jobs for which the command does something, where there are such; else any that was ever known. */
function idsOf(
  picks: readonly Pick[],
  { state, ids }: Known,
  isFit: (state: JobState) => boolean,
): readonly string[] {
  const fit = [...state.jobs.values()].filter(({ shown }) => isFit(shown.state))
  return picks.flatMap(({ number, fits }) => {
    const id = fits && fit.length > 0 ? at(fit, number)?.shown.id : at(ids, number)
    return id === undefined ? [] : [id]
  })
}

/** Each advance takes jobs that follow each other, so that they can be explained one after the other. */
function insertOf(
  { jobs: plans, advances }: Extract<What, { kind: 'insert' }>,
  known: Known,
): Call {
  const jobs = jobsOf(plans, known, null)
  const ids = jobs.map(({ id }) => id)
  const advance: Advance[] = []
  // Which of two jobs of one id an advance means cannot be said.
  if (new Set(ids).size < ids.length) return { verb: 'insert', jobs, advance }
  let from = 0
  for (const { key, fits, to, skips, takes } of advances) {
    const own = ids.slice(from + skips, from + skips + takes)
    if (own.length > 0) advance.push({ key, from: recordAt(key, fits, known), to, jobs: own })
    from += skips + takes
  }
  return { verb: 'insert', jobs, advance }
}

function writeOf({ key, text, if: expected }: WritePlan, known: Known): RecordWrite {
  if (expected === 'anything') return { key, text }
  return { key, text, if: recordAt(key, expected === 'what it holds', known) }
}

/** What a record holds, or a text that none ever has. */
function recordAt(key: string, fits: boolean, { state }: Known): string | null {
  return fits ? (state.records.get(key) ?? null) : 'elsewhere'
}

function jobsOf(plans: readonly JobPlan[], known: Known, parent: string | null): readonly NewJob[] {
  const before: string[] = []
  return plans.map((plan) => {
    const job = jobOf(plan, known, parent, before)
    before.push(job.id)
    return job
  })
}

/** An id to insert again. One whose key outlives its job is left out: with other fields it would be another job, and ids are not reused. */
function repeatable({ ids, state }: Known, number: number): string | undefined {
  const id = at(ids, number)
  const isLeft = [...state.leftKeys.values()].some(({ job }) => job === id)
  return isLeft ? undefined : id
}

function jobOf(
  plan: JobPlan,
  known: Known,
  parent: string | null,
  before: readonly string[],
): NewJob {
  const { queue, task, priority, due, startWithinMs, deadlineMs, keepCancelledMs, tie } = plan
  const { label, headStartMs } = plan
  const id = (plan.repeats === null ? undefined : repeatable(known, plan.repeats)) ?? known.mint()
  const job = newJob({
    id,
    task,
    queue,
    priority,
    parent,
    input: JSON.stringify(plan.due),
    delayMs: due.kind === 'delay' ? due.ms : 0,
    runAt: due.kind === 'runAt' ? known.now + due.ms : null,
    startWithinMs,
    deadlineMs,
    keepCancelledMs,
    ...(headStartMs === 0 ? {} : { headStartMs }),
    ...(label === null ? {} : { group: label, tags: [label, 'any'], headers: { of: label } }),
  })
  const isInline = parent === null && (tie.kind === 'lease' || (tie.kind === 'unique' && tie.lease))
  const entry = { kind: 'running', worker: 'inline', leaseMs: 10_000 } as const
  const inline = { entry, delayMs: 0, runAt: null }
  switch (tie.kind) {
    case 'none':
      return job
    case 'lease':
      return isInline ? { ...job, ...inline } : job
    case 'unique': {
      const { key, during, forMs, maxWaitMs } = tie
      const onConflict = isInline ? 'skip' : tie.onConflict
      const unique = { key, during, forMs, onConflict, maxWaitMs }
      return { ...job, unique, ...(isInline ? inline : {}) }
    }
    case 'needs': {
      // A need is a job of the same batch, one that is still open, or any that was ever known.
      const open = [...known.state.jobs.values()].filter(({ shown }) => !isFinal(shown.state))
      const pool = [
        ...before,
        ...open.map(({ shown }) => shown.id),
        ...open.map(({ shown }) => shown.id),
        ...known.ids,
      ]
      const byId = new Map(tie.needs.map((need) => [at(pool, need.number), need.onFailed]))
      byId.delete(id)
      const needs = [...byId].flatMap(([need, onFailed]) =>
        need === undefined ? [] : [{ kind: 'job' as const, id: need, onFailed }],
      )
      const during = ['blocked', 'scheduled', 'ready'] as const
      const { key } = tie
      return {
        ...job,
        needs,
        unique:
          key === null ? null : { key, during, forMs: null, onConflict: 'skip', maxWaitMs: null },
      }
    }
  }
}

/** Leases by what became of them: (id, token) pairs of the model, and pairs that never were. */
function leaseOf({ number, which }: LeasePlan, { state, ids }: Known): LeaseRef | null {
  const jobs = [...state.jobs.values()]
  switch (which) {
    case 'held':
      return (
        at(
          jobs.filter(({ shown }) => shown.state === 'running').map(({ shown }) => shown),
          number,
        ) ?? null
      )
    case 'lost':
      return at(jobs.flatMap(lostOf), number) ?? null
    case 'settled':
      return (
        at(
          jobs.flatMap(({ shown: { id }, settled }) =>
            settled.slice(-1).map((token) => ({ id, token })),
          ),
          number,
        ) ?? null
      )
    case 'never': {
      const id = at(ids, number)
      // Far ahead, so that no call beside this one gives it.
      const token = (state.jobs.get(id ?? '')?.shown.token ?? 0) + 1_000_000_000 + number
      return id === undefined ? null : { id, token }
    }
  }
}

function lostOf({ shown, tokens, settled }: ModelJob): readonly LeaseRef[] {
  const holds = shown.state === 'running' ? shown.token : null
  return tokens
    .filter((token) => token !== holds && !settled.includes(token))
    .map((token) => ({ id: shown.id, token }))
}

function leasesOf(plans: readonly LeasePlan[], known: Known): readonly LeaseRef[] {
  const found = plans.map((plan) => leaseOf(plan, known)).filter((lease) => lease !== null)
  const distinct = new Map(found.map(({ id, token }) => [`${id} ${token}`, { id, token }]))
  return [...distinct.values()]
}

function noteOf(
  { lease, kind, agoMs }: NotePlan,
  known: Known,
): Extract<Call, { verb: 'note' }>['notes'] {
  const found = leaseOf(lease, known)
  if (found === null) return []
  const { id, token } = found
  switch (kind) {
    case 'start':
      return [{ id, token, kind, agoMs }]
    case 'progress':
      return [{ id, token, kind, value: String(agoMs) }]
    case 'log':
      return [{ id, token, kind, agoMs, level: 'info', text: `${agoMs}` }]
  }
}

/** Low limits, so that each is reached within a run. */
function policyOf({ keepMs, delayMs, lease }: SettlePlan): Policy {
  return {
    ...defaultPolicy,
    retryLimit: 1,
    postponeLimit: 1,
    losses: lease.number % 2,
    backoff: () => delayMs,
    keepMs: { completed: keepMs, failed: keepMs, cancelled: keepMs, discarded: keepMs },
  }
}

function settlementOf(plan: SettlePlan, known: Known): Settlement | null {
  const lease = leaseOf(plan.lease, known)
  const job = lease === null ? undefined : known.state.jobs.get(lease.id)
  if (lease === null) return null
  const { id, token } = lease
  const facts = {
    id,
    task: job?.shown.task ?? 't',
    queue: job?.shown.queue ?? 'a',
    counters: job?.shown.counters ?? {
      attempts: 0,
      failures: 0,
      postpones: 0,
      losses: 0,
      interruptions: 0,
      deferrals: 0,
    },
    deadlineAt: job?.shown.deadlineAt ?? null,
    startBy: job?.shown.startBy ?? null,
    started: (job?.shown.startedAt ?? null) !== null,
  }
  const outcome = outcomeOf(plan, job, known.now)
  const decision = decide(facts, outcome, policyOf(plan), known.now, () => 0.5)
  const odd = plan.odd ?? {}
  const followUps = jobsOf(plan.followUps, known, id)
  const isError = ['failed', 'unrecoverable', 'lost'].includes(outcome.kind)
  const common = { id, token, attempt: isError ? `"${token}"` : null, followUps }
  return decision.kind === 'requeue'
    ? { ...decision, ...odd, ...common }
    : {
        ...decision,
        yieldsToCancel: odd.yieldsToCancel ?? decision.yieldsToCancel,
        ...common,
        output: decision.state === 'completed' ? '"done"' : null,
        startedAgoMs: plan.startedAgoMs,
      }
}

/** What the attempt came to. A sensible worker knows what it was handed. */
function outcomeOf(plan: SettlePlan, job: ModelJob | undefined, now: number): Outcome {
  const { ending, delayMs, sensible } = plan
  if (sensible && job?.overdueFrom !== null && job !== undefined) {
    const { startBy } = job.shown
    return {
      kind: 'overdue',
      reason: startBy !== null && startBy <= now ? 'start-within' : 'deadline',
    }
  }
  // Half of the workers hear of the cancel by the answer to a settlement that yields.
  if (sensible && job?.shown.cancelAsked === true && ending !== 'completed' && delayMs > 0)
    return { kind: 'cancelled' }
  if (sensible && job?.why === 'lost') return { kind: 'lost' }
  return plainOutcome(ending, delayMs)
}

function plainOutcome(ending: SettlePlan['ending'], delayMs: number): Outcome {
  switch (ending) {
    case 'failed':
      return { kind: ending, error: null, reason: 'error' }
    case 'unrecoverable':
      return { kind: ending, error: null, reason: 'error' }
    case 'postponed':
      return { kind: ending, delayMs: Math.max(1, delayMs) }
    case 'discarded':
      return { kind: ending, reason: 'why' }
    case 'completed':
    case 'interrupted':
    case 'unstarted':
    case 'unknown':
    case 'lost':
    case 'cancelled':
      return { kind: ending }
  }
}

function at<T>(list: readonly T[], number: number): T | undefined {
  return list[number % Math.max(1, list.length)]
}
