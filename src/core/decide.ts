/**
 * What becomes of a job after an attempt, a loss or a missed deadline. The one place of this
 * policy: pure functions from facts to a decision, which stores only carry out.
 */
import { backoffMs, defaultBackoff, type BackoffJob } from './backoff.ts'
import { cutMs, parseMs } from './duration.ts'
import type { Counters, FailureReason, FinalState } from './job.ts'
import type { Layer, Policy } from './options.ts'

/** What an attempt came to. */
export type Outcome =
  | { readonly kind: 'completed' }
  /** Threw or timed out: retried if the policy says so. */
  | {
      readonly kind: 'failed'
      readonly error: unknown
      readonly reason: 'error' | 'timeout' | 'not-committed'
      /** What the task's own rules said where it was thrown; they are not asked again. */
      readonly judged?: Judged
    }
  /** Failed for good. */
  | {
      readonly kind: 'unrecoverable'
      readonly error: unknown
      readonly reason: 'error' | 'invalid-input' | 'invalid-output' | 'call-changed'
    }
  | { readonly kind: 'retry-after'; readonly error: unknown; readonly delayMs: number }
  | { readonly kind: 'postponed'; readonly delayMs: number | null }
  | { readonly kind: 'discarded'; readonly reason: string }
  /** A cancel was asked for, and it wins. */
  | { readonly kind: 'cancelled' }
  /** The lease expired; `waited` when the job waited for one that it has called. */
  | { readonly kind: 'lost'; readonly waited?: boolean }
  /** The worker stopped before the attempt ended, or puts the job behind others for a while. */
  | { readonly kind: 'interrupted'; readonly delayMs?: number }
  /** Given back before it was started, for others at once or, where none may start it, for later. */
  | { readonly kind: 'unstarted'; readonly delayMs?: number }
  /** This worker does not know the task or the codec. */
  | { readonly kind: 'unknown' }
  /** `startBy` or `deadlineAt` passed while it waited. */
  | { readonly kind: 'overdue'; readonly reason: 'start-within' | 'deadline' }
  /** Not all that is stored of it can be read. */
  | { readonly kind: 'unreadable' }

/** What `retry.when` and a custom backoff of a task say of an error; absent for what was not asked. */
export interface Judged {
  readonly mayRetry?: boolean
  readonly backoff?: number | 'fail' | 'discard'
}

/** What the decision depends on. */
export interface Facts extends Omit<BackoffJob, 'attempt' | 'failures'> {
  readonly counters: Counters
  readonly deadlineAt: number | null
  /** By when it must start, while it has not. */
  readonly startBy: number | null
  /** Whether the run's start was written, for a lost one. */
  readonly started: boolean
}

/** What to write. */
export type Decision = Finish | Requeue

interface Finish {
  readonly kind: 'finish'
  readonly state: FinalState
  readonly reason: string | null
  readonly counters: Counters
  readonly keepMs: number | null
  /** Whether a cancel that was asked for wins. */
  readonly yieldsToCancel: boolean
}

interface Requeue {
  readonly kind: 'requeue'
  readonly delayMs: number
  /** `keep` leaves its place in the line, `due` lines it up by its new due time. */
  readonly place: 'keep' | 'due'
  /** Whether the run had begun. */
  readonly started: boolean
  /** Whether it was lost, so that it is claimed alone from now on. */
  readonly suspect: boolean
  readonly counters: Counters
  readonly yieldsToCancel: boolean
}

const second = 1_000

/** How long a job of an unknown task is put aside: 1 s, then growing to 5 min. */
export const deferral = { firstMs: 1_000, maxMs: 300_000 } as const

/** A lost job waits up to this long, drawn evenly, doubled with each loss. */
const lossDelay = { firstMs: 2 * second, maxMs: 30 * second }

/** A job that has been interrupted this often is counted as lost even if it waited. */
const mostWaits = 50

/** Decides what an outcome means for a job. `now` is the store's time, `random` gives [0, 1). */
export function decide(
  job: Facts,
  outcome: Outcome,
  policy: Policy,
  now: number,
  random: () => number,
): Decision {
  const { counters } = job
  const attempted = { ...counters, attempts: counters.attempts + 1 }
  switch (outcome.kind) {
    case 'completed':
      return finish(policy, { state: 'completed', reason: null, counters: attempted })
    case 'discarded':
      return finish(policy, { state: 'discarded', reason: outcome.reason, counters: attempted })
    case 'cancelled':
      return finish(policy, {
        state: 'cancelled',
        reason: null,
        counters: job.started ? attempted : counters,
      })
    case 'failed':
    case 'retry-after':
      return retryOrFail(job, outcome, policy, now, random)
    case 'unrecoverable':
      return fail(policy, outcome.reason, { ...attempted, failures: counters.failures + 1 })
    case 'postponed': {
      const postponed = { ...counters, postpones: counters.postpones + 1 }
      if (over(postponed.postpones, policy.postponeLimit))
        return fail(policy, 'postpone-limit', postponed)
      const delayMs = cutMs(outcome.delayMs ?? policy.postponeDelayMs)
      return requeue({ delayMs, place: 'due', started: true, counters: postponed })
    }
    case 'lost': {
      // Nothing is counted for a run that may never have begun, but the job is watched from now on.
      if (!job.started) return requeue({ suspect: true, counters })
      // A handler that waits does not end its process, and hundreds may wait in one.
      if (outcome.waited === true && policy.losses !== 0 && counters.interruptions < mostWaits) {
        const waited = { ...counters, interruptions: counters.interruptions + 1 }
        return requeue({ started: true, suspect: true, counters: waited })
      }
      const lost = { ...attempted, losses: counters.losses + 1 }
      if (over(lost.losses, policy.losses))
        return fail(policy, policy.losses === 0 ? 'lost' : 'poison', lost)
      const ceiling = Math.min(lossDelay.firstMs * 2 ** counters.losses, lossDelay.maxMs)
      const delayMs = Math.round(ceiling * random())
      return requeue({ delayMs, started: true, suspect: true, counters: lost })
    }
    case 'interrupted':
      return requeue({
        started: true,
        ...(outcome.delayMs === undefined ? {} : { delayMs: outcome.delayMs, place: 'due' }),
        counters: { ...counters, interruptions: counters.interruptions + 1 },
      })
    case 'unstarted':
      return requeue({ delayMs: outcome.delayMs ?? 0, counters })
    case 'unknown':
      return requeue({
        delayMs: deferralMs(job, now),
        counters: { ...counters, deferrals: counters.deferrals + 1 },
      })
    case 'overdue':
      return fail(policy, outcome.reason, counters)
    case 'unreadable':
      // Not even a cancel that was asked for lets it wait on.
      return finish(policy, { state: 'failed', reason: 'unreadable', counters })
  }
}

/**
 * Which clock a waiting job has overrun, if any. `startBy` counts until the first attempt has
 * begun.
 */
export function overdue(
  job: { readonly startBy: number | null; readonly deadlineAt: number | null },
  now: number,
): 'start-within' | 'deadline' | null {
  if (job.startBy !== null && job.startBy <= now) return 'start-within'
  return job.deadlineAt !== null && job.deadlineAt <= now ? 'deadline' : null
}

/**
 * A job whose time is running out comes back at half of what is left of it, so that a worker that
 * knows it can still take it.
 */
function deferralMs(job: Facts, now: number): number {
  const ms = Math.min(deferral.firstMs * 2 ** job.counters.deferrals, deferral.maxMs)
  const leftMs = Math.min(job.startBy ?? Infinity, job.deadlineAt ?? Infinity) - now
  return leftMs <= 0 ? ms : Math.min(ms, Math.max(Math.round(leftMs / 2), deferral.firstMs))
}

function retryOrFail(
  job: Facts,
  outcome: Extract<Outcome, { kind: 'failed' | 'retry-after' }>,
  policy: Policy,
  now: number,
  random: () => number,
): Decision {
  const counters = {
    ...job.counters,
    attempts: job.counters.attempts + 1,
    failures: job.counters.failures + 1,
  }
  const reason = outcome.kind === 'failed' ? outcome.reason : 'error'
  const facts: BackoffJob = {
    id: job.id,
    task: job.task,
    queue: job.queue,
    attempt: counters.attempts,
    failures: counters.failures,
  }
  if (over(counters.failures, policy.retryLimit)) return fail(policy, reason, counters)
  // A handler that asks for a retry has judged for itself.
  const judged = outcome.kind === 'failed' ? outcome.judged : undefined
  if (outcome.kind === 'failed' && !(judged?.mayRetry ?? isRetryable(outcome.error, facts, policy)))
    return fail(policy, reason, counters)
  const verdict =
    outcome.kind === 'retry-after'
      ? cutMs(outcome.delayMs)
      : (judged?.backoff ?? askBackoff(policy, outcome.error, facts, random))
  if (verdict === 'fail') return fail(policy, reason, counters)
  if (verdict === 'discard')
    return finish(policy, { state: 'discarded', reason, counters, yieldsToCancel: true })
  // A retry that could only start too late is no retry.
  if (job.deadlineAt !== null && now + verdict >= job.deadlineAt)
    return fail(policy, reason, counters)
  return requeue({ delayMs: verdict, place: 'due', started: true, counters })
}

/** Asks rules of a task where its error was thrown: the decision comes later, and elsewhere. */
export function judge(
  rules: Pick<Layer, 'retryWhen' | 'backoff'>,
  error: unknown,
  job: BackoffJob,
  random: () => number,
): Judged {
  const { retryWhen, backoff } = rules
  return {
    ...(retryWhen === undefined ? {} : { mayRetry: isRetryable(error, job, { retryWhen }) }),
    ...(backoff === undefined ? {} : { backoff: askBackoff({ backoff }, error, job, random) }),
  }
}

/** If the predicate itself throws, the job is retried. */
function isRetryable(error: unknown, job: BackoffJob, policy: Pick<Policy, 'retryWhen'>): boolean {
  try {
    return policy.retryWhen(error, job)
  } catch {
    return true
  }
}

function askBackoff(
  policy: Pick<Policy, 'backoff'>,
  error: unknown,
  job: BackoffJob,
  random: () => number,
): number | 'fail' | 'discard' {
  const { backoff } = policy
  if (typeof backoff !== 'function') return backoffMs(backoff, job.failures, random)
  try {
    const verdict = backoff(error, job)
    if (verdict === 'fail' || verdict === 'discard') return verdict
    const ms = parseMs(verdict)
    if (ms !== null) return cutMs(ms)
  } catch {
    // As for a value that is not a delay.
  }
  return backoffMs(defaultBackoff, job.failures, random)
}

function over(count: number, limit: number | null): boolean {
  return limit !== null && count > limit
}

/** Failed, unless a cancel was asked for. */
function fail(policy: Policy, reason: FailureReason, counters: Counters): Finish {
  return finish(policy, { state: 'failed', reason, counters, yieldsToCancel: true })
}

/** The end of the job. A cancel that was asked for changes nothing about it, unless it says so. */
function finish(
  policy: Policy,
  said: Pick<Finish, 'state' | 'reason' | 'counters'> & Partial<Finish>,
): Finish {
  const keepMs = policy.keepMs[said.state]
  return {
    kind: 'finish',
    keepMs: keepMs === null ? null : cutMs(keepMs),
    yieldsToCancel: false,
    ...said,
  }
}

/**
 * Back into the line: at once, at its old place, as not started and not suspect, unless it says
 * otherwise.
 */
function requeue(said: Pick<Requeue, 'counters'> & Partial<Requeue>): Requeue {
  return {
    kind: 'requeue',
    delayMs: 0,
    place: 'keep',
    started: false,
    suspect: false,
    yieldsToCancel: true,
    ...said,
  }
}
