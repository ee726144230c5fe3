/**
 * A steady load on two stores in turn, a second each, as many jobs added as drained. On the server of the first a transaction is held
 * open, on that of the second none, so that a machine which is busy with something else slows both. One server would not do: a
 * transaction with a number is in the snapshots of all databases.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import type { NewJob } from '../../src/store/job.ts'
import type { Store } from '../../src/store/store.ts'
import { postgres } from '../../src/stores/postgres/index.ts'
import { claimOf, finish, newJob } from '../../src/testing/conformance/jobs.ts'
import { query } from '../postgres-server.ts'

/** What is held open: a snapshot, or a transaction with a number, idle since it wrote. */
export const holds = ['repeatable read', 'idle in transaction'] as const
export type Hold = (typeof holds)[number]

/** What one store did in a stretch of time. */
export interface Done {
  readonly drained: number
  readonly tookMs: number
  /** Rows of the line that are gone but not cleared away, as the server counts them. */
  readonly dead: number
}

export interface Window {
  /** Since the load began. */
  readonly endMs: number
  readonly held: Done
  readonly free: Done
}

export interface LoadOptions {
  readonly windows: number
  readonly windowMs: number
}

const queue = 'steady'
const batch = 100
const backlog = 1_000
const stretchMs = 1_000

const DEAD = `SELECT n_dead_tup AS dead FROM pg_stat_user_tables WHERE relid = 'errand.ready'::regclass`

/** Loads the stores of two new servers. */
export async function load(
  urls: { readonly held: string; readonly free: string },
  hold: Hold,
  { windows, windowMs }: LoadOptions,
): Promise<readonly Window[]> {
  const held = new Steady(urls.held)
  const free = new Steady(urls.free)
  const client = new pg.Client({ connectionString: held.url })
  await client.connect()
  try {
    await held.begin()
    await free.begin()
    await open(client, hold)
    const measured: Window[] = []
    const began = performance.now()
    while (measured.length < windows) {
      const end = began + (measured.length + 1) * windowMs
      while (performance.now() < end) {
        await held.work(stretchMs)
        await free.work(stretchMs)
      }
      const endMs = performance.now() - began
      measured.push({ endMs, held: await held.done(), free: await free.done() })
    }
    return measured
  } finally {
    await client.end()
    await held.close()
    await free.close()
  }
}

async function open(client: pg.Client, hold: Hold): Promise<void> {
  switch (hold) {
    case 'repeatable read':
      await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ')
      await client.query('SELECT count(*) FROM errand.ready')
      return
    case 'idle in transaction':
      await client.query('CREATE TABLE elsewhere (id int)')
      await client.query('BEGIN')
      await client.query('INSERT INTO elsewhere VALUES (1)')
  }
}

/** A store whose line keeps its length. */
class Steady {
  readonly url: string
  readonly #store: Store
  #drained = 0
  #tookMs = 0

  constructor(url: string) {
    this.url = url
    this.#store = postgres(url)
  }

  async begin(): Promise<void> {
    for (let count = 0; count < backlog; count += batch) await this.#store.insert(singles())
    await this.work(stretchMs)
    await this.done()
  }

  /** Adds and drains batches for so long. */
  async work(ms: number): Promise<void> {
    const from = performance.now()
    while (performance.now() - from < ms) await this.#cycle()
    this.#tookMs += performance.now() - from
  }

  /** What was done since it was asked last. */
  async done(): Promise<Done> {
    const [row] = await query(this.url, DEAD)
    const done = { drained: this.#drained, tookMs: this.#tookMs, dead: Number(row?.['dead']) }
    this.#drained = 0
    this.#tookMs = 0
    return done
  }

  close(): Promise<void> {
    return this.#store.close()
  }

  /** Adds a batch, and drains as many. A claim may leave work for its next look, and tells when that is due. */
  async #cycle(): Promise<void> {
    await this.#store.insert(singles())
    for (let left = batch; left > 0;) {
      const { jobs, nextDueMs } = await this.#store.claim(
        claimOf({ queues: [{ name: queue, limit: left }], limit: left }),
      )
      if (jobs.length === 0) await sleep(nextDueMs ?? 0)
      else await this.#store.settle(jobs.map((job) => finish(job)))
      left -= jobs.length
    }
    this.#drained += batch
  }
}

/** Jobs of which each is a row of its own in the line, as those are that were enqueued one by one: no neighbours are alike. */
function singles(): NewJob[] {
  return Array.from({ length: batch }, (_, at) => newJob({ queue, priority: at % 2 }))
}
