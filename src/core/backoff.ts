/** How long to wait before a retry. */
import { cutMs, isMs, toMs, type Duration } from './duration.ts'
import { refuseUnknownKeys } from './option-keys.ts'
import { readChoice, refuseValue } from './read.ts'

/** A backoff as data, so that it can be stored with a job. Times in milliseconds. */
export type Backoff =
  | { readonly kind: 'constant'; readonly delayMs: number }
  | { readonly kind: 'linear'; readonly stepMs: number; readonly maxMs: number }
  | {
      readonly kind: 'exponential'
      readonly firstMs: number
      readonly maxMs: number
      readonly factor: number
      readonly jitter: 'full' | 'none'
    }

/** What a custom backoff is told of the job. */
export interface BackoffJob {
  readonly id: string
  readonly task: string
  readonly queue: string
  /** The number of the attempt that failed, from 1. */
  readonly attempt: number
  /** Failures so far, this one included. */
  readonly failures: number
}

/**
 * Decides after each failure: a delay, or the end of the job. A delay beyond 100 years is cut to that. When it throws, or
 * answers what is no delay (a negative number, `NaN`, another type), the default backoff applies.
 */
export type CustomBackoff = (error: unknown, job: BackoffJob) => Duration | 'fail' | 'discard'

/** Waits the same time before each retry. */
export function constant(delay: Duration): Backoff {
  return { kind: 'constant', delayMs: toMs(delay, 'constant()') }
}

/** Waits `step` before the first retry, twice that before the second, and so on up to `max` (default 1 h). */
export function linear(
  step: Duration | { readonly step: Duration; readonly max?: Duration },
): Backoff {
  const given = typeof step === 'object' ? step : { step }
  refuseUnknownKeys(given, ['step', 'max'], 'linear()')
  return {
    kind: 'linear',
    stepMs: toMs(given.step, 'linear().step'),
    maxMs: toMs(given.max === undefined ? '1h' : given.max, 'linear().max'),
  }
}

/**
 * Doubles the wait (or multiplies it by `factor`, default 2) from `first` (default 5 s) up to `max` (default 1 h).
 * With full jitter, the default, each wait is drawn evenly between zero and that time.
 */
export function exponential(
  options: {
    readonly first?: Duration
    readonly max?: Duration
    readonly factor?: number
    readonly jitter?: 'full' | 'none'
  } = {},
): Backoff {
  refuseUnknownKeys(options, ['first', 'max', 'factor', 'jitter'], 'exponential()')
  const { first = '5s', max = '1h', factor = 2, jitter = 'full' } = options
  if (!isFactor(factor)) refuseValue('exponential().factor', 'a number from 1 up', factor)
  return {
    kind: 'exponential',
    firstMs: toMs(first, 'exponential().first'),
    maxMs: toMs(max, 'exponential().max'),
    factor,
    jitter: readChoice(jitter, ['full', 'none'], 'exponential().jitter'),
  }
}

/** Whether a value is a backoff as the functions above make it; one written by hand may not be. */
export function isBackoff(value: unknown): value is Backoff {
  if (typeof value !== 'object' || value === null) return false
  const given = value as { readonly [key in string]?: unknown }
  switch (given.kind) {
    case 'constant':
      return isMs(given.delayMs)
    case 'linear':
      return isMs(given.stepMs) && isMs(given.maxMs)
    case 'exponential':
      return (
        isMs(given.firstMs) &&
        isMs(given.maxMs) &&
        isFactor(given.factor) &&
        (given.jitter === 'full' || given.jitter === 'none')
      )
    default:
      return false
  }
}

function isFactor(value: unknown): value is number {
  return Number.isFinite(value) && (value as number) >= 1
}

/** The backoff where nothing else is said: exponential from 5 s to 1 h with full jitter. */
export const defaultBackoff: Backoff = exponential()

/**
 * Milliseconds before the retry that follows failure number `failures` (from 1), at most 100 years, whatever a stored backoff says.
 * `random` gives [0, 1).
 */
export function backoffMs(backoff: Backoff, failures: number, random: () => number): number {
  switch (backoff.kind) {
    case 'constant':
      return cutMs(backoff.delayMs)
    case 'linear':
      return cutMs(Math.min(backoff.stepMs * failures, backoff.maxMs))
    case 'exponential': {
      const ceiling = Math.min(backoff.firstMs * backoff.factor ** (failures - 1), backoff.maxMs)
      return cutMs(backoff.jitter === 'full' ? ceiling * random() : ceiling)
    }
  }
}
