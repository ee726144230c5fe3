/**
 * What becomes of a job after an attempt, a loss or a missed deadline. The one place of this policy:
 * pure functions from facts to a decision, which stores only carry out.
 */
import { backoffMs, defaultBackoff, type BackoffJob } from './backoff.ts'
import { cutMs, parseMs } from './duration.ts'
import type { Counters, FailureReason, FinalState } from './job.ts'
import type { Policy } from './options.ts'

/** What an attempt came to. */
export type Outcome =
  | { readonly kind: 'completed' }
  /** Threw or timed out: retried if the policy says so. */
  | {
      readonly kind: 'failed'
      readonly error: unknown
      readonly reason: 'error' | 'timeout' | 'not-committed'
    }
  /** Failed for good. */
  | {
      readonly kind: 'unrecoverable'
      readonly error: unknown
      readonly reason: 'error' | 'invalid-input' | 'invalid-output'
    }
  | { readonly kind: 'retry-after'; readonly error: unknown; readonly delayMs: number }
  | { readonly kind: 'postponed'; readonly delayMs: number | null }
  | { readonly kind: 'discarded'; readonly reason: string }
  /** A cancel was asked for, and it wins. */
  | { readonly kind: 'cancelled' }
  /** The lease expired. */
  | { readonly kind: 'lost' }
  /** The worker stopped before the attempt ended. */
  | { readonly kind: 'interrupted' }
  /** Given back before it was started. */
  | { readonly kind: 'unstarted' }
  /** This worker does not know the task or the codec. */
  | { readonly kind: 'unknown' }
  /** `startBy` or `deadlineAt` passed while it waited. */
  | { readonly kind: 'overdue'; readonly reason: 'start-within' | 'deadline' }
  /** Not all that is stored of it can be read. */
  | { readonly kind: 'unreadable' }

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
export type Decision =
  | {
      readonly kind: 'finish'
      readonly state: FinalState
      readonly reason: string | null
      readonly counters: Counters
      readonly keepMs: number | null
      readonly yieldsToCancel: boolean
    }
  | {
      readonly kind: 'requeue'
      readonly delayMs: number
      readonly place: 'keep' | 'due'
      readonly started: boolean
      readonly suspect: boolean
      readonly counters: Counters
      readonly yieldsToCancel: boolean
    }

const second = 1_000

/** How long a job of an unknown task is put aside: 1 s, then growing to 5 min. */
export const deferral = { firstMs: 1_000, maxMs: 300_000 } as const

/** A lost job waits up to this long, drawn evenly, doubled with each loss. */
const lossDelay = { firstMs: 2 * second, maxMs: 30 * second }

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
      return finish('completed', null, attempted, policy, false)
    case 'discarded':
      return finish('discarded', outcome.reason, attempted, policy, false)
    case 'cancelled':
      return finish('cancelled', null, job.started ? attempted : counters, policy, false)
    case 'failed':
    case 'retry-after':
      return retryOrFail(job, outcome, policy, now, random)
    case 'unrecoverable':
      return finish(
        'failed',
        outcome.reason,
        { ...attempted, failures: counters.failures + 1 },
        policy,
        true,
      )
    case 'postponed': {
      const postponed = { ...counters, postpones: counters.postpones + 1 }
      if (over(postponed.postpones, policy.postponeLimit))
        return fail('postpone-limit', postponed, policy)
      return again(cutMs(outcome.delayMs ?? policy.postponeDelayMs), 'due', true, false, postponed)
    }
    case 'lost': {
      // Nothing is counted for a run that may never have begun, but the job is watched from now on.
      if (!job.started) return again(0, 'keep', false, true, counters)
      const lost = { ...attempted, losses: counters.losses + 1 }
      if (over(lost.losses, policy.losses))
        return fail(policy.losses === 0 ? 'lost' : 'poison', lost, policy)
      const ceiling = Math.min(lossDelay.firstMs * 2 ** counters.losses, lossDelay.maxMs)
      return again(Math.round(ceiling * random()), 'keep', true, true, lost)
    }
    case 'interrupted':
      return again(0, 'keep', true, false, {
        ...counters,
        interruptions: counters.interruptions + 1,
      })
    case 'unstarted':
      return again(0, 'keep', false, false, counters)
    case 'unknown': {
      return again(deferralMs(job, now), 'keep', false, false, {
        ...counters,
        deferrals: counters.deferrals + 1,
      })
    }
    case 'overdue':
      return fail(outcome.reason, counters, policy)
    case 'unreadable':
      // Not even a cancel that was asked for lets it wait on.
      return finish('failed', 'unreadable', counters, policy, false)
  }
}

/** Which clock a waiting job has overrun, if any. `startBy` counts until the first attempt has begun. */
export function overdue(
  job: { readonly startBy: number | null; readonly deadlineAt: number | null },
  now: number,
): 'start-within' | 'deadline' | null {
  if (job.startBy !== null && job.startBy <= now) return 'start-within'
  return job.deadlineAt !== null && job.deadlineAt <= now ? 'deadline' : null
}

/** A job whose time is running out comes back at half of what is left of it, so that a worker that knows it can still take it. */
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
  if (over(counters.failures, policy.retryLimit)) return fail(reason, counters, policy)
  // A handler that asks for a retry has judged for itself.
  if (outcome.kind === 'failed' && !isRetryable(outcome.error, facts, policy))
    return fail(reason, counters, policy)
  const verdict =
    outcome.kind === 'retry-after'
      ? cutMs(outcome.delayMs)
      : askBackoff(policy, outcome.error, facts, random)
  if (verdict === 'fail') return fail(reason, counters, policy)
  if (verdict === 'discard') return finish('discarded', reason, counters, policy, true)
  // A retry that could only start too late is no retry.
  if (job.deadlineAt !== null && now + verdict >= job.deadlineAt)
    return fail(reason, counters, policy)
  return again(verdict, 'due', true, false, counters)
}

/** A predicate that throws itself has not forbidden the retry. */
function isRetryable(error: unknown, job: BackoffJob, policy: Policy): boolean {
  try {
    return policy.retryWhen(error, job)
  } catch {
    return true
  }
}

function askBackoff(
  policy: Policy,
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
    // As for an answer that is no delay.
  }
  return backoffMs(defaultBackoff, job.failures, random)
}

function over(count: number, limit: number | null): boolean {
  return limit !== null && count > limit
}

function fail(reason: FailureReason, counters: Counters, policy: Policy): Decision {
  return finish('failed', reason, counters, policy, true)
}

function finish(
  state: FinalState,
  reason: string | null,
  counters: Counters,
  policy: Policy,
  yieldsToCancel: boolean,
): Decision {
  const keep = policy.keepMs[state]
  const keepMs = keep === null ? null : cutMs(keep)
  return { kind: 'finish', state, reason, counters, keepMs, yieldsToCancel }
}

function again(
  delayMs: number,
  place: 'keep' | 'due',
  started: boolean,
  suspect: boolean,
  counters: Counters,
): Decision {
  return { kind: 'requeue', delayMs, place, started, suspect, counters, yieldsToCancel: true }
}
