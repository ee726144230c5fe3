/** The singletons of an app: run, looked at, woken. */
import { randomUUID } from 'node:crypto'
import { ErrandError } from '../core/errors.ts'
import { refuseInThread } from '../loops/in-thread.ts'
import { nearest } from '../core/nearest.ts'
import { refuseUnknownKeys } from '../core/option-keys.ts'
import { readList, readMs, readSignal, refuseValue } from '../core/read.ts'
import { checkBeats, type Verdict } from './liveness/check.ts'
import type { Beats, Liveness } from './liveness/liveness.ts'
import type { LockOwner, Locks } from '../store/locks.ts'
import type { Round } from './loop.ts'
import type { Metrics } from './metrics/metrics.ts'
import type { Opened, SingletonHost } from './open.ts'
import type { SettingSources } from './settings.ts'
import { isSingleton, type AnySingleton } from './singleton.ts'

/** Settings of a run that win over those of the definition. */
export interface RunSingletonOptions extends Partial<SettingSources> {
  /** Ends the loop. */
  readonly signal: AbortSignal
}

/** What can be done with the singletons of an app. Names that are not known are refused with `invalid-option`. */
export interface Singletons {
  readonly names: readonly string[]
  /** The singleton of a name. */
  find(name: string): AnySingleton
  /**
   * Runs a singleton until the signal aborts, or once; answers what its last round came to. The lock is free then. Rejects with
   * `invalid-config` and `invalid-option` for settings that cannot work.
   */
  run(singleton: string | AnySingleton, options: RunSingletonOptions): Promise<Round>
  /** Who holds its lock; null when nobody does. */
  owner(
    singleton: string | AnySingleton,
    sources?: Partial<SettingSources>,
  ): Promise<LockOwner | null>
  /** Its last beats, and whether a success is younger than `maxAgeMs`. */
  check(
    singleton: string | AnySingleton,
    maxAgeMs: number,
    sources?: Partial<SettingSources>,
  ): Promise<Beats & Verdict>
  /** Ends the rest of a singleton, wherever it runs, so that its next round begins. */
  trigger(singleton: string): Promise<void>
  /** Closes the backends that definitions brought; what they still have to deliver is given 5 s. */
  close(): Promise<void>
}

/** What backends still have to deliver at the end is given so long. */
const closeMs = 5_000
const noSources: SettingSources = { flags: {}, env: {} }

export function singletonsOf(host: SingletonHost, singletons: readonly AnySingleton[]): Singletons {
  const byName = new Map<string, AnySingleton>()
  for (const singleton of readList(singletons, 'createErrand().singletons', 'singletons')) {
    checkSingleton(singleton, 'Each of createErrand().singletons')
    if (byName.has(singleton.name))
      throw new ErrandError('invalid-option', `Two singletons are called ${singleton.name}.`)
    byName.set(singleton.name, singleton)
  }
  const find = (wanted: string | AnySingleton): AnySingleton => {
    if (typeof wanted !== 'string') return checkSingleton(wanted, 'What is named')
    const found = byName.get(wanted)
    if (found !== undefined) return found
    const meant = nearest(wanted, byName.keys())
    const names = [...byName.keys()].join(', ')
    const hint =
      meant !== null
        ? `Did you mean ${meant}?`
        : names === ''
          ? 'List them in createErrand({ singletons: […] }).'
          : `There are ${names}.`
    throw new ErrandError('invalid-option', `No singleton is called ${wanted}. ${hint}`)
  }
  // What runs singletons is loaded when it is needed: most programs have none.
  const opened = async (
    wanted: string | AnySingleton,
    sources: Partial<SettingSources> = {},
  ): Promise<Opened> => {
    const singleton = find(wanted)
    const { open } = await import('./open.ts')
    return open(host, singleton, { ...noSources, ...sources })
  }

  return {
    names: [...byName.keys()],
    find,
    async run(wanted, options) {
      refuseInThread('A singleton')
      refuseUnknownKeys(options, ['signal', 'flags', 'env'], 'singletons.run()')
      const { signal, ...sources } = options
      readSignal(signal, 'singletons.run().signal')
      const { runLoop } = await import('./open.ts')
      const own = await opened(wanted, sources)
      try {
        return await runLoop(host, find(wanted), own, signal)
      } finally {
        await own.close()
      }
    },
    async owner(wanted, sources) {
      const { settings, close } = await opened(wanted, sources)
      try {
        return (await settings.locks?.lockOwner(settings.name)) ?? null
      } finally {
        await close()
      }
    },
    async check(wanted, maxAgeMs, sources) {
      readMs(maxAgeMs, 'The maxAgeMs of singletons.check()')
      const { settings, close } = await opened(wanted, sources)
      try {
        const { storeLiveness } = await import('./liveness/store.ts')
        const [liveness = storeLiveness(host.store)] = settings.liveness
        const beats = await liveness.read(settings.name)
        return { ...beats, ...checkBeats(beats, maxAgeMs, Date.now()) }
      } finally {
        await close()
      }
    },
    async trigger(name) {
      const { triggerKey } = await import('./trigger.ts')
      await host.store.putRecords([{ key: triggerKey(find(name).name), text: randomUUID() }])
    },
    async close() {
      const backends = new Set<{ close(ms: number): Promise<void> }>()
      for (const { definition } of byName.values()) {
        const { lock, liveness, metrics } = definition as Brought
        for (const one of [lock, liveness, metrics].flat())
          if (typeof one === 'object') backends.add(one)
      }
      await Promise.all([...backends].map((one) => one.close(closeMs)))
    },
  }
}

function checkSingleton(value: AnySingleton, where: string): AnySingleton {
  return isSingleton(value) ? value : refuseValue(where, 'what singleton() gives', value)
}

/** Backends as definitions bring them. */
interface Brought {
  readonly lock?: string | Locks
  readonly liveness?: Liveness | readonly Liveness[]
  readonly metrics?: Metrics | readonly Metrics[]
}
