/**
 * Options as users give them, at four levels, and the one function that resolves them.
 * Durations are read once, by `normalise`; inside, every time is in milliseconds.
 */
import {
  defaultBackoff,
  isBackoff,
  type Backoff,
  type BackoffJob,
  type CustomBackoff,
} from './backoff.ts'
import { toMs, type Duration } from './duration.ts'
import { ErrandError } from './errors.ts'
import type { FinalState, JobState } from './job.ts'
import { refuseUnknownKeys } from './option-keys.ts'
import { jobDefaults } from './job.ts'
import { refuseValue } from './read.ts'
import { shownValue } from './shown.ts'

/** The highest number that counts anything: what is more is meant as no limit, or a mistake. */
export const mostCount = 1_000_000_000

/** A count, or `'none'` for no limit. */
export type Limit = number | 'none'
/** How long to keep a finished job: `'none'` removes it at once. */
export type Retention = Duration | 'none' | 'forever'
/** `never`, or `false`, fails at the first error, `once` retries one time, `always` retries without limit. */
export type RetryPreset = 'never' | 'once' | 'always' | false

/** An error class, as listed in `retry.when`. */
export type ErrorClass = abstract new (...args: never[]) => unknown

/** Retry rules that can be stored with a job. */
export interface StorableRetry {
  /** Retries after the first attempt: 5 means six runs at most. Default 10. */
  readonly limit?: Limit
  /** Default: exponential from 5 s to 1 h with full jitter. */
  readonly backoff?: Backoff
}

/** Retry rules of a task, a queue or the app. */
export interface Retry extends Omit<StorableRetry, 'backoff'> {
  readonly backoff?: Backoff | CustomBackoff
  /** Which errors are retried: a predicate, or classes of errors. Default: all. */
  readonly when?: ((error: unknown, job: BackoffJob) => boolean) | readonly ErrorClass[]
}

/** Who may wait beside whom. `true` is the same task and the same canonical JSON of the input. */
export type Unique<Input = never> =
  | boolean
  | {
      /** Text, or a function of the input. Default: the canonical JSON of the input. Keys of different tasks never meet. */
      readonly key?: string | ((input: Input) => string)
      /** The states in which the key is held. Default: blocked, scheduled, ready, and with `skip` also running. */
      readonly during?: readonly JobState[]
      /** Hold the key at least this long after the enqueue, whatever becomes of the job. */
      readonly for?: Duration
      /** `skip` (default) answers the job that is there; `replace` changes it, if it still waits. */
      readonly onConflict?: 'skip' | 'replace'
      /** With `replace`: the job is due at most this long after its first enqueue, however often a delay puts it off. */
      readonly maxWait?: Duration
    }

/** Options that may be given for a call, a task, a queue and the app; the nearest to the call wins. */
export interface CommonOptions {
  /** −1000…1000, default 0; lower runs first. */
  readonly priority?: number
  readonly retry?: Retry | RetryPreset
  /** How often and after how long a `Postpone` runs again. Default: limit 15, delay 5 s. */
  readonly postpone?: { readonly limit?: Limit; readonly delay?: Duration }
  /** How long one attempt may take. Default 10 min. */
  readonly timeout?: Duration | 'none'
  /** The first attempt must start this long after the job was due. Default `'none'`. */
  readonly startWithin?: Duration | 'none'
  /** No attempt starts later than this after the enqueue. Default `'none'`. */
  readonly deadline?: Duration | 'none'
  /** How many dead workers a job survives; the next one makes it fail as `poison`. 0 makes it at most once. Default 3. */
  readonly losses?: Limit
  /** How long finished jobs are kept. Default: completed 24 h, failed 14 d, others 24 h. */
  readonly retention?: Retention | { readonly [state in FinalState]?: Retention }
}

/** Common options with everything that can't be stored left out. */
export interface StorableOptions extends Omit<CommonOptions, 'retry'> {
  readonly retry?: StorableRetry | RetryPreset
}

/** The names of the common options. */
export const commonKeys = [
  'priority',
  'retry',
  'postpone',
  'timeout',
  'startWithin',
  'deadline',
  'losses',
  'retention',
] as const

/** One level's options in milliseconds. What is absent is decided by the next level. */
export interface Layer {
  readonly priority?: number
  /** How long a wait makes up for one step of priority; null where priority goes before any wait. Of queues and the app. */
  readonly ageingMs?: number | null
  readonly retryLimit?: number | null
  readonly backoff?: Backoff | CustomBackoff
  readonly retryWhen?: (error: unknown, job: BackoffJob) => boolean
  readonly postponeLimit?: number | null
  readonly postponeDelayMs?: number
  readonly timeoutMs?: number | null
  readonly startWithinMs?: number | null
  readonly deadlineMs?: number | null
  readonly losses?: number | null
  readonly keepMs?: { readonly [state in FinalState]?: number | null }
}

/** Everything decided. `null` means without limit. */
export interface Policy {
  readonly priority: number
  readonly ageingMs: number | null
  readonly retryLimit: number | null
  readonly backoff: Backoff | CustomBackoff
  readonly retryWhen: (error: unknown, job: BackoffJob) => boolean
  readonly postponeLimit: number | null
  readonly postponeDelayMs: number
  readonly timeoutMs: number | null
  readonly startWithinMs: number | null
  readonly deadlineMs: number | null
  readonly losses: number | null
  readonly keepMs: { readonly [state in FinalState]: number | null }
}

const hour = 3_600_000

/** What holds where no level says otherwise. */
export const defaultPolicy: Policy = {
  priority: jobDefaults.priority,
  ageingMs: null,
  retryLimit: 10,
  backoff: defaultBackoff,
  retryWhen: () => true,
  postponeLimit: 15,
  postponeDelayMs: 5_000,
  timeoutMs: 600_000,
  startWithinMs: null,
  deadlineMs: null,
  losses: 3,
  keepMs: {
    completed: 24 * hour,
    failed: 14 * 24 * hour,
    cancelled: jobDefaults.keepCancelledMs,
    discarded: 24 * hour,
  },
}

/** Resolves the levels of one job: call over task over queue over app over default, field by field. */
export function resolve(...levels: readonly (Layer | null | undefined)[]): Policy {
  const policy = { ...defaultPolicy, keepMs: { ...defaultPolicy.keepMs } } as Record<
    string,
    unknown
  >
  for (const level of levels.toReversed()) {
    if (!level) continue
    for (const [key, value] of Object.entries(level)) {
      if (value === undefined) continue
      policy[key] = key === 'keepMs' ? { ...(policy[key] as object), ...value } : value
    }
  }
  return policy as unknown as Policy
}

/**
 * Reads one level's options. Throws `invalid-option` for unknown names and values out of range.
 * `others` are further option names that the level allows.
 */
export function normalise(
  options: CommonOptions,
  where: string,
  others: readonly string[] = [],
): Layer {
  refuseUnknownKeys(options, [...commonKeys, ...others], where)
  return defined({
    priority: options.priority === undefined ? undefined : readPriority(options.priority, where),
    ...readRetry(options.retry, where),
    ...readPostpone(options.postpone, where),
    timeoutMs: readBound(options.timeout, `${where}.timeout`),
    startWithinMs: readBound(options.startWithin, `${where}.startWithin`),
    deadlineMs: readBound(options.deadline, `${where}.deadline`),
    losses: readLimit(options.losses, `${where}.losses`),
    keepMs: readRetention(options.retention, `${where}.retention`),
  })
}

/** The longest step of ageing: with it, no priority stands further off than `mostHeadStartMs`. */
const longestStepMs = 7 * 24 * hour

/** Reads how long a wait makes up for one step of priority. */
export function readAgeing(ageing: Duration | 'none' | undefined, where: string): Layer {
  const ageingMs = readBound(ageing, `${where}.ageing`)
  if (typeof ageingMs === 'number' && ageingMs > longestStepMs)
    throw new ErrandError('invalid-option', `${where}.ageing is at most 7 days.`)
  return defined({ ageingMs })
}

/** Checks a priority. */
function readPriority(value: number, where: string): number {
  if (Number.isInteger(value) && value >= -1000 && value <= 1000) return value + 0
  throw new ErrandError(
    'invalid-option',
    `${where}.priority must be a whole number from -1000 to 1000, not ${shownValue(value)}.`,
  )
}

function readRetry(retry: CommonOptions['retry'], where: string): Layer {
  switch (retry) {
    case undefined:
      return {}
    case 'never':
    case false:
      return { retryLimit: 0 }
    case 'once':
      return { retryLimit: 1 }
    case 'always':
      return { retryLimit: null }
  }
  if (typeof retry !== 'object' || retry === null || Array.isArray(retry)) {
    const needs = `'never', 'once', 'always', or an object such as { limit: 3 }`
    return refuseValue(`${where}.retry`, needs, retry)
  }
  refuseUnknownKeys(retry, ['limit', 'backoff', 'when'], `${where}.retry`)
  const retryLimit = readLimit(retry.limit, `${where}.retry.limit`)
  return defined({
    retryLimit,
    backoff: readBackoff(retry.backoff, where),
    retryWhen: readWhen(retry.when, where),
  })
}

function readBackoff(backoff: Retry['backoff'], where: string): Retry['backoff'] {
  if (backoff === undefined || typeof backoff === 'function' || isBackoff(backoff)) return backoff
  throw new ErrandError(
    'invalid-option',
    `${where}.retry.backoff must come from constant(), linear() or exponential(), or be a function.`,
  )
}

const classLists = new WeakSet<NonNullable<Layer['retryWhen']>>()

/** Whether a predicate was given as a list of classes, so that only the error itself will do. */
export function isClassList(when: Layer['retryWhen']): boolean {
  return when !== undefined && classLists.has(when)
}

function readWhen(when: Retry['when'], where: string): Layer['retryWhen'] {
  if (when === undefined || typeof when === 'function') return when
  if (Array.isArray(when) && when.length > 0 && when.every((one) => typeof one === 'function')) {
    const isOne = (error: unknown): boolean => when.some((one) => error instanceof one)
    classLists.add(isOne)
    return isOne
  }
  throw new ErrandError(
    'invalid-option',
    `${where}.retry.when must be a function or a list of at least one error class.`,
  )
}

function readPostpone(postpone: CommonOptions['postpone'], where: string): Layer {
  if (postpone === undefined) return {}
  refuseUnknownKeys(postpone, ['limit', 'delay'], `${where}.postpone`)
  return defined({
    postponeLimit: readLimit(postpone.limit, `${where}.postpone.limit`),
    postponeDelayMs:
      postpone.delay === undefined ? undefined : toMs(postpone.delay, `${where}.postpone.delay`),
  })
}

function readLimit(limit: Limit | undefined, where: string): number | null | undefined {
  if (limit === undefined) return undefined
  if (limit === 'none') return null
  if (Number.isInteger(limit) && limit >= 0 && limit <= mostCount) return limit + 0
  throw new ErrandError(
    'invalid-option',
    `${where} must be a whole number from 0 to ${mostCount}, or 'none', not ${shownValue(limit)}.`,
  )
}

function readBound(bound: Duration | 'none' | undefined, where: string): number | null | undefined {
  if (bound === undefined) return undefined
  if (bound === 'none') return null
  const ms = toMs(bound, where)
  if (ms > 0) return ms
  throw new ErrandError('invalid-option', `${where} must be above 0, or 'none' for no limit.`)
}

function readRetention(retention: CommonOptions['retention'], where: string): Layer['keepMs'] {
  if (retention === undefined) return undefined
  if (typeof retention !== 'object' || retention === null) {
    const keep = readKeep(retention, where)
    return { completed: keep, failed: keep, cancelled: keep, discarded: keep }
  }
  refuseUnknownKeys(retention, ['completed', 'failed', 'cancelled', 'discarded'], where)
  return Object.fromEntries(
    Object.entries(retention).map(([state, keep]) => [state, readKeep(keep, `${where}.${state}`)]),
  )
}

function readKeep(retention: Retention, where: string): number | null {
  if (retention === 'none') return 0
  if (retention === 'forever') return null
  return toMs(retention, where)
}

function defined(layer: { readonly [key in keyof Layer]: Layer[key] | undefined }): Layer {
  return Object.fromEntries(Object.entries(layer).filter(([, value]) => value !== undefined))
}
