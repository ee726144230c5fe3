/** Makes what a singleton's settings name, and runs its loop. */
import { ErrandError } from '../core/errors.ts'
import type { JobLog } from '../core/running-job.ts'
import type { LogLevel } from '../core/job.ts'
import { ticksOf } from '../flows/schedules/ticks.ts'
import type { EventHub } from '../observe/events.ts'
import type { Store } from '../store/store.ts'
import { livenessNamed, locksNamed, metricsNamed } from './backends.ts'
import { storeLiveness } from './liveness/store.ts'
import type { Locks } from '../store/locks.ts'
import { storeLocks } from './locks/store.ts'
import { SingletonLoop, type Round } from './loop.ts'
import { readSettings, type SettingSources, type SingletonSettings } from './settings.ts'
import type { AnySingleton, SingletonRun } from './singleton.ts'
import { TickBook } from './tick-book.ts'
import { triggersOf } from './trigger.ts'

/** What singletons need of their app. */
export interface SingletonHost {
  readonly store: Store
  readonly events: EventHub
  /** The time zone of cron texts that name none. */
  readonly timezone: string
  readonly context: { acquire(): Promise<unknown>; release(): Promise<void> }
}

/** Beats and metrics of the end are given so long. */
const closeMs = 5_000

/** A singleton's settings, with the backends that they name. */
export interface Opened {
  readonly settings: SingletonSettings
  readonly options: unknown
  /** Closes what was made for it. */
  readonly close: () => Promise<void>
}

/** Reads the settings and makes what they name; that is closed again, and what the definition brought belongs to the app. */
export async function open(
  host: SingletonHost,
  singleton: AnySingleton,
  sources: SettingSources,
): Promise<Opened> {
  const { lock, liveness, metrics, options, ...rest } = await readSettings(
    singleton,
    sources,
    host.timezone,
  )
  const { env } = sources
  const made: { close(ms: number): Promise<void> }[] = []
  const orMade = async <T extends { close(ms: number): Promise<void> }>(
    one: string | T,
    make: (name: string) => T | Promise<T>,
  ): Promise<T> => {
    if (typeof one !== 'string') return one
    const backend = await make(one)
    made.push(backend)
    return backend
  }
  const close = async (): Promise<void> => {
    await Promise.all(made.map((one) => one.close(closeMs)))
  }
  try {
    const locks =
      lock === 'none'
        ? null
        : await orMade(lock, (name) =>
            name === 'store' ? storeLocks(host.store) : locksNamed(name, env),
          )
    checkTtl(singleton, rest.ttlMs, locks)
    const settings: SingletonSettings = {
      ...rest,
      locks,
      liveness: await inTurn(liveness, (one) =>
        orMade(one, (name) =>
          name === 'store' ? storeLiveness(host.store) : livenessNamed(name, env),
        ),
      ),
      metrics: await inTurn(metrics, (one) =>
        orMade(one, (name) =>
          metricsNamed(name, env, (error, againMs) =>
            host.events.emit('part-failed', { part: 'metrics', error, againMs }),
          ),
        ),
      ),
    }
    return { settings, options, close }
  } catch (error) {
    await close()
    throw error
  }
}

function checkTtl({ name }: AnySingleton, ttlMs: number, locks: Locks | null): void {
  if (locks === null || ttlMs >= locks.leastTtlMs) return
  const least = `${locks.leastTtlMs / 1_000}s`
  throw new ErrandError(
    'invalid-config',
    `The ttl of ${name} is shorter than ${locks.info.kind} can keep a lock: use ${least} or more.`,
  )
}

async function inTurn<T, U>(items: readonly T[], action: (item: T) => Promise<U>): Promise<U[]> {
  const results: U[] = []
  for (const item of items) results.push(await action(item))
  return results
}

/** Runs a singleton until the signal aborts, or once. */
export async function runLoop(
  host: SingletonHost,
  singleton: AnySingleton,
  { settings, options }: Opened,
  signal: AbortSignal,
): Promise<Round> {
  const { events, store } = host
  const { name } = singleton
  const context = await host.context.acquire()
  const loop = new SingletonLoop({
    settings,
    clock: store.clock,
    events,
    run: async ({ signal: runSignal, token, extend }) => {
      const run: SingletonRun = {
        singleton: name,
        signal: runSignal,
        token,
        options,
        context,
        log: logOf(events, name),
        extend,
        metric: (metric, value, tags) => loop.metric(metric, value, tags ?? {}),
      }
      await (singleton.definition.run as (run: SingletonRun) => unknown)(run)
    },
    trigger: await triggersOf(store, name),
    book:
      settings.pace.kind === 'cron'
        ? new TickBook(store, name, ticksOf(settings.pace.when))
        : undefined,
  })
  try {
    return await loop.run(signal)
  } finally {
    await host.context.release()
  }
}

function logOf(events: EventHub, singleton: string): JobLog {
  const at =
    (level: LogLevel) =>
    (text: string, fields: object = {}): void =>
      events.emit('singleton-log', { singleton, level, text, fields })
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
}
