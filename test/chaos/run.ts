/** One run from its first process to its last: inflow under chaos, then the drain. */
import { setTimeout as sleep } from 'node:timers/promises'
import { openStore } from '../../src/cli/open-store.ts'
import { ErrandError } from '../../src/core/errors.ts'
import { isFinal } from '../../src/core/job.ts'
import type { Store } from '../../src/store/store.ts'
import type { StoredJob } from '../../src/store/job.ts'
import { prepare, type Ground } from './ground.ts'
import { readJobs } from './history.ts'
import { leastNames, leastPerMinute, type Least } from './least.ts'
import { Ledger } from './ledger.ts'
import { strike } from './misfortunes.ts'
import type { Options } from './options.ts'
import { Fleet, type Place, type Role } from './processes.ts'
import { between, randomOf } from './random.ts'
import { paceOf, type Pace } from './rescues.ts'

const producers = 2
const leaseMs = { from: 2_000, to: 3_000 } as const

/** Bounds of the start, of misfortunes that have not come in time, of the drain, and of the end of a process that was asked to end. */
const bounds = {
  startMs: 60_000,
  owedMs: 60_000,
  drainMs: 180_000,
  endMs: 15_000,
  lookMs: 200,
} as const

export interface Ran {
  readonly jobs: readonly StoredJob[]
  /** From the end of the inflow until every job was final, or until that was waited for no longer. */
  readonly drainMs: number
  readonly pace: Pace
  readonly least: Least
  readonly isLossy: boolean
}

/** Runs; the ledger lies in the folder afterwards. Rejects with `invalid-option` for a store that it cannot use. */
export async function perform(options: Options, folder: string): Promise<Ran> {
  const ground = await prepare(options.store, options.aof, folder)
  try {
    const store = await openStore(ground.url)
    try {
      await store.setup()
      if ((await store.counts()).length > 0) {
        throw new ErrandError('invalid-option', `${ground.url} holds jobs; a run needs none.`)
      }
      return await under(store, ground, options, folder)
    } finally {
      await store.close()
    }
  } finally {
    await ground.close()
  }
}

async function under(store: Store, ground: Ground, options: Options, folder: string): Promise<Ran> {
  const { seed, sabotage } = options
  const random = randomOf(seed)
  const lease = Math.round(between(random, leaseMs.from, leaseMs.to))
  const ledger = new Ledger(folder, 'director')
  const fleet = new Fleet(ledger, { seed, folder, leaseMs: lease, sabotage })
  // A process that stands still would not notice the director's end.
  process.once('exit', () => fleet.abandon())
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1))
  try {
    const places = {
      producer: await placesFor('producer', producers),
      worker: await placesFor('worker', options.workers),
    }
    for (const place of [...places.producer, ...places.worker]) fleet.start(place)
    await staffed(fleet, options.workers)
    const ms = Math.round(options.minutes * 60_000)
    const { only, minutes } = options
    const mayBeLong = minutes >= 1
    const stage = { fleet, ground, ledger, leaseMs: lease, random, only, mayBeLong }
    await strike(stage, AbortSignal.timeout(ms), AbortSignal.timeout(ms + bounds.owedMs))
    fleet.close()
    await fleet.end('producer', bounds.endMs)
    for (const place of places.worker) if (!fleet.isTaken(place)) fleet.start(place)
    const drainMs = await drained(store, () => fleet.members('worker').length > 0)
    await fleet.end('worker', bounds.endMs)
    return {
      jobs: await readJobs(store),
      drainMs,
      pace: paceOf(lease),
      least: leastOf(options, ground, places.worker),
      isLossy: ground.isLossy,
    }
  } finally {
    fleet.abandon()
    ledger.close()
  }

  async function placesFor(role: Role, count: number): Promise<readonly Place[]> {
    return Promise.all(
      Array.from({ length: count }, async () => ({ role, way: await ground.way() })),
    )
  }
}

/** What was asked for, or what the minutes ask for of all that the ground offers. */
function leastOf(
  { minutes, least, only }: Options,
  ground: Ground,
  places: readonly Place[],
): Least {
  const hasProxies = places.some(({ way }) => way.proxy !== null)
  const offered: Partial<Record<keyof Least, boolean>> = {
    restarts: ground.restart !== null,
    failOvers: ground.failOver !== null,
    blackHoles: hasProxies,
    silences: hasProxies,
    terminated: ground.connections !== null,
    upheavals: ground.upheave !== null,
  }
  const entries = leastNames.map((name) => {
    // Who chose the misfortunes says how many there must be.
    const isExpected = only === null ? (offered[name] ?? true) : name === 'jobs'
    const usual = isExpected ? Math.floor(leastPerMinute[name] * minutes) : 0
    return [name, least[name] ?? usual] as const
  })
  return Object.fromEntries(entries) as Least
}

/** Waits until all workers work, so that a short run on a busy machine is no run without them. */
async function staffed(fleet: Fleet, workers: number): Promise<void> {
  const end = performance.now() + bounds.startMs
  while (fleet.members('worker', 'up').length < workers) {
    if (performance.now() > end) throw new Error('the workers do not start')
    await sleep(bounds.lookMs)
  }
}

/** Waits until every job is final, nobody works any more, or the time is over; answers how long it took. */
async function drained(store: Store, isStaffed: () => boolean): Promise<number> {
  const from = performance.now()
  for (;;) {
    const left = (await store.counts()).filter(({ state }) => !isFinal(state))
    const tookMs = Math.round(performance.now() - from)
    if (left.length === 0 || !isStaffed() || tookMs > bounds.drainMs) return tookMs
    await sleep(bounds.lookMs)
  }
}
