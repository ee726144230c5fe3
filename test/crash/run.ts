/** One run from its first process to its last: inflow under chaos, then the drain. */
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { openStore } from '../../src/cli/open-store.ts'
import { ErrandError } from '../../src/core/errors.ts'
import { isFinal } from '../../src/core/job.ts'
import type { Store, StoredJob } from '../../src/store.ts'
import { strike } from './chaos.ts'
import { readJobs } from './history.ts'
import { Ledger } from './ledger.ts'
import type { Options } from './options.ts'
import { Fleet } from './processes.ts'
import { between, randomOf } from './random.ts'

const crew = { producer: 2, worker: 4 } as const
const leaseMs = { from: 1_000, to: 1_600 } as const

/** Bounds of the drain, and of the end of a process that was asked to end. */
const bounds = { drainMs: 60_000, endMs: 15_000, lookMs: 200 } as const

export interface Ran {
  readonly jobs: readonly StoredJob[]
  /** From the end of the inflow until every job was final, or until that was waited for no longer. */
  readonly drainMs: number
}

/** Runs; the ledger lies in the folder afterwards. Rejects with `invalid-option` for a store that it cannot use. */
export async function perform(options: Options, folder: string): Promise<Ran> {
  const url = options.store ?? `sqlite:${join(folder, 'jobs.db')}`
  const store = await openStore(url)
  try {
    await store.setup()
    if ((await store.counts()).length > 0) {
      throw new ErrandError('invalid-option', `${url} holds jobs; a run needs an empty store.`)
    }
    return await under(store, url, options, folder)
  } finally {
    await store.close()
  }
}

async function under(store: Store, url: string, options: Options, folder: string): Promise<Ran> {
  const random = randomOf(options.seed)
  const lease = Math.round(between(random, leaseMs.from, leaseMs.to))
  const ledger = new Ledger(folder, 'director')
  const part = {
    seed: options.seed,
    store: url,
    folder,
    leaseMs: lease,
    sabotage: options.sabotage,
  }
  const fleet = new Fleet(ledger, part)
  // A process that stands still would not notice the director's end.
  process.once('exit', () => fleet.abandon())
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1))
  try {
    for (let i = 0; i < crew.producer; i++) fleet.start('producer')
    for (let i = 0; i < crew.worker; i++) fleet.start('worker')
    await strike(fleet, lease, random, AbortSignal.timeout(options.seconds * 1_000))
    fleet.close()
    await fleet.end('producer', bounds.endMs)
    while (fleet.members('worker').length < crew.worker) fleet.start('worker')
    const drainMs = await drained(store, () => fleet.members('worker').length > 0)
    await fleet.end('worker', bounds.endMs)
    return { jobs: await readJobs(store), drainMs }
  } finally {
    fleet.abandon()
    ledger.close()
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
