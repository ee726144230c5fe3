/** Singletons: named loops of which one instance runs across all machines. */
import type { StandardSchemaV1 } from '@standard-schema/spec'
import type { Duration } from '../core/duration.ts'
import { ErrandError } from '../core/errors.ts'
import type { JobLog } from '../core/running-job.ts'
import { readTimezone, readWhen } from '../flows/schedules/ticks.ts'
import { refuseUnknownKeys } from '../core/option-keys.ts'
import { readFlag, readShape } from '../core/read.ts'
import type { Liveness } from './liveness/liveness.ts'
import { checkName } from '../core/text.ts'
import type { Locks } from '../store/locks.ts'
import type { Metrics } from './metrics/metrics.ts'
import { checkOptionSpecs, type OptionSpecs, type OptionValues } from './options.ts'

/** What `singleton()` takes. All but `name` and `run` can be said on the command line and in the environment, too. */
export interface SingletonOptions<Specs extends OptionSpecs, Values, Context> {
  readonly name: string
  /** For `errand run <name> --help`. */
  readonly description?: string
  /** From the start of a run to the start of the next; a run that takes longer is followed at once. Default 1 min, when there is no `pause`. */
  readonly every?: Duration
  /** From the end of a run to the start of the next. */
  readonly pause?: Duration
  /**
   * Begins a round at each tick of a cron text, one for all processes; a tick at which a round still
   * runs is left out. In place of `every` and `pause`.
   */
  readonly cron?: string
  /** Of `cron`: an IANA name or an offset such as `'+09:00'`. Default: the app's, else UTC. */
  readonly timezone?: string
  /** Run one time only. Default false. */
  readonly once?: boolean
  /** Keep the lock between runs, without a gap. Default false. */
  readonly keepLock?: boolean
  /** With `keepLock`: free the lock after a failed run and rest twice as long, so that another machine may try. Default false. */
  readonly releaseOnError?: boolean
  /** `'store'` (the default) takes the app's own store, `'none'` runs without a lock. */
  readonly lock?: 'store' | 'none' | Locks
  /** How long the lock outlives a dead holder. Default 30 s. */
  readonly ttl?: Duration
  /** How long a run may go on after a stop. Default 25 s. */
  readonly grace?: Duration | 'none'
  /** Where beats are written. Default: records of the app's store. */
  readonly liveness?: Liveness | readonly Liveness[]
  readonly metrics?: Metrics | readonly Metrics[]
  /** The singleton's own options, by name. */
  readonly options?: Specs
  /** Checks the options together; `run` gets what it answers. */
  readonly check?: StandardSchemaV1<unknown, Values>
  readonly run: (run: SingletonRun<Values, Context>) => unknown
}

/** One run, as its handler sees it. */
export interface SingletonRun<Values = unknown, Context = unknown> {
  readonly singleton: string
  /** Aborts on a stop and at once when the lock is lost. */
  readonly signal: AbortSignal
  /** The fencing number: greater than that of any other holder before. Hand it to systems that can refuse old ones. Null without a lock. */
  readonly token: number | null
  readonly options: Values
  /** The app's shared context. */
  readonly context: Context
  readonly log: JobLog
  /** Makes sure that the lock is held now. Rejects with `lease-lost`, and with `server-unavailable` when nobody can tell. */
  readonly extend: () => Promise<void>
  /** Gives a point to the metrics. The tag `task` is taken by the singleton's name: another one throws `invalid-option`. */
  readonly metric: (name: string, value: number, tags?: Readonly<Record<string, string>>) => void
}

/** A singleton, read and checked. */
export interface Singleton<
  Specs extends OptionSpecs = OptionSpecs,
  Values = unknown,
  Context = never,
> {
  readonly name: string
  readonly definition: SingletonOptions<Specs, Values, Context>
}

/** Any singleton at all. */
// oxlint-disable-next-line typescript/no-explicit-any -- the one type that every singleton fits
export type AnySingleton = Singleton<any, any, any>

const keys = [
  'name',
  'description',
  'every',
  'pause',
  'cron',
  'timezone',
  'once',
  'keepLock',
  'releaseOnError',
  'lock',
  'ttl',
  'grace',
  'liveness',
  'metrics',
  'options',
  'check',
  'run',
]

/**
 * Defines a singleton. Its settings are read when it is run, with those of the command line and the environment. Throws `invalid-option`.
 *
 * @example
 * export const reports = singleton({ name: 'reports', every: '5m', keepLock: true, run: async ({ signal }) => sendReports(signal) })
 */
export function singleton<
  // oxlint-disable-next-line typescript/no-generated-empty-object-type -- no options at all
  const Specs extends OptionSpecs = Record<never, never>,
  Values = OptionValues<Specs>,
  Context = unknown,
>(options: SingletonOptions<Specs, Values, Context>): Singleton<Specs, Values, Context> {
  refuseUnknownKeys(options, keys, 'singleton()')
  const { name, run } = options
  checkName(name, 'singleton()')
  const where = `singleton(${JSON.stringify(name)})`
  if (typeof run !== 'function')
    throw new ErrandError('invalid-option', `${where} needs run, the function that does its work.`)
  for (const flag of ['once', 'keepLock', 'releaseOnError'] as const)
    if (options[flag] !== undefined) readFlag(options[flag], `${where}.${flag}`)
  checkCron(options, where)
  const { lock, liveness = [], metrics = [], options: specs = {} } = options
  if (lock !== undefined && typeof lock !== 'string')
    readShape(lock, ['hold', 'release', 'lockOwner', 'watch'], `${where}.lock`, backends.lock)
  for (const one of [liveness].flat())
    readShape(one, ['write', 'read', 'close'], `${where}.liveness`, backends.liveness)
  for (const one of [metrics].flat())
    readShape(one, ['push', 'close'], `${where}.metrics`, backends.metrics)
  checkOptionSpecs(specs, where)
  return { name, definition: options }
}

function checkCron(
  { cron, timezone }: { readonly cron?: string; readonly timezone?: string },
  where: string,
): void {
  const zone = timezone === undefined ? 'UTC' : readTimezone(timezone, `${where}.timezone`)
  if (cron !== undefined) readWhen({ cron }, where, zone)
}

/** What each backend must be, for messages. */
const backends = {
  lock: `'store', 'none', or locks such as consulLocks() gives`,
  liveness: 'a place for beats such as fileLiveness() gives',
  metrics: 'a receiver of points such as influxdb() gives',
} as const

/** Tells whether a value came from `singleton()`, by its looks: it may come from another copy of the package. */
export function isSingleton(value: unknown): value is AnySingleton {
  if (typeof value !== 'object' || value === null || !('definition' in value)) return false
  const { definition } = value as { readonly definition: unknown }
  return (
    typeof definition === 'object' &&
    definition !== null &&
    'run' in definition &&
    !('layer' in definition)
  )
}
