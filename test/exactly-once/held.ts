/** Whether a transaction that completes one job and stays open keeps the leases of other jobs from being renewed. */
import pg from 'pg'
import { createErrand, task } from '../../src/index.ts'
import type { Server } from './ground.ts'
import { comes } from './processes.ts'
import { openStore } from './store.ts'

const heldS = 8
const others = 10
/** The lease of the other jobs, in ms. */
export const leaseMs = 4_000

/** How long ago the lease of another job was renewed for the last time, at most, in ms. */
const SILENCE = `SELECT max(errand.now_ms() + $1 - until) AS silence FROM (
  SELECT r.lease_until AS until FROM errand.running r JOIN errand.jobs j ON j.seq = r.seq WHERE j.task = 'waits'
  UNION ALL SELECT until FROM errand.leases) l`

export interface Held {
  readonly heldMs: number
  readonly silenceMs: number
  /** Jobs that ran more than once, or were told that their lease is gone. */
  readonly lost: number
}

export async function longestSilence(url: string, server: Server): Promise<Held> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  let running = 0
  let lost = 0
  let heldMs: number | null = null
  let release = (): void => {}
  const isReleased = new Promise<void>((resolve) => (release = resolve))
  const waits = task({
    name: 'waits',
    run: async (_: undefined, job) => {
      running += 1
      if (job.attempt > 1) lost += 1
      job.signal.addEventListener('abort', () => (lost += 1))
      await isReleased
    },
  })
  const holds = task({
    name: 'holds',
    run: async (_: undefined, job) => {
      await client.query('BEGIN')
      await job.complete(client, null)
      const since = performance.now()
      await client.query(`SELECT pg_sleep(${heldS})`)
      heldMs = Math.round(performance.now() - since)
      await client.query('COMMIT')
    },
  })
  const errand = createErrand({
    store: openStore(url),
    tasks: [waits, holds],
    lease: leaseMs,
    slots: others + 1,
  })
  let silenceMs = 0
  try {
    const worker = errand.worker()
    await worker.start()
    const ids = await errand.enqueueMany(
      Array.from({ length: others }, () => [waits, undefined] as const),
    )
    await comes('the others to run', async () => running >= others)
    const job = await errand.enqueue(holds, undefined)
    await comes('the transaction to end', async () => {
      const [row] = await server.run(SILENCE, [leaseMs])
      silenceMs = Math.max(silenceMs, Number(row?.['silence'] ?? 0))
      return heldMs !== null
    })
    release()
    await comes('all to be completed', async () => {
      const jobs = await errand.store.get([job.id, ...ids.map(({ id }) => id)])
      return jobs.every((one) => one?.state === 'completed')
    })
  } finally {
    release()
    await errand.close()
    await client.end()
  }
  return { heldMs: heldMs ?? NaN, silenceMs, lost }
}
