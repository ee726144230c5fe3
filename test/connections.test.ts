/** How many connections a process takes, whatever it declares. */
import assert from 'node:assert/strict'
import test from 'node:test'
import { Redis } from 'ioredis'
import { createErrand, task } from 'errand'
import { postgres } from 'errand/postgres'
import { redis } from 'errand/redis'
import type { Store } from '../src/store/store.ts'
import { findPostgres, query } from './postgres-server.ts'
import { findRedis } from './redis-server.ts'

const most = 3
const queues = Object.fromEntries(
  Array.from({ length: 50 }, (_, n) => [`queue-${n}`, { slots: 2 }]),
)
const step = task({
  name: 'step',
  // Longer than what the renewer waits before it writes a start, so that its thread is connected too.
  run: async (_input: { n: number }) => {
    await new Promise((resolve) => setTimeout(resolve, 80))
    return 1
  },
})

const server = await findPostgres()
if (server !== null) {
  const { url } = server
  const name = `errand-connections-${process.pid}`
  test.after(() => server.stop())

  test('PostgreSQL: a worker of fifty queues, its renewer and its client take three connections', async () => {
    const schema = 'connections'
    const counted = `SELECT count(*)::int AS n FROM pg_stat_activity WHERE application_name = $1`
    const taken = await connectionsOf(
      postgres(`${url}?application_name=${name}`, { schema }),
      async () => Number((await query(url, counted, [name]))[0]?.['n']),
    )
    assert.ok(taken > 0 && taken <= most, `${taken} connections`)
    await query(url, `DROP SCHEMA ${schema} CASCADE`)
  })
}

const redisServer = await findRedis()
if (redisServer !== null) {
  const { url } = redisServer
  const admin = new Redis(url)
  test.after(async () => {
    admin.disconnect()
    await redisServer.stop()
  })

  test('Redis: a worker of fifty queues, its renewer and its client take three connections', async () => {
    const clients = async (): Promise<number> =>
      String(await admin.client('LIST'))
        .trim()
        .split('\n').length
    const before = await clients()
    const store = redis(url, { prefix: `connections-${process.pid}` })
    const taken = (await connectionsOf(store, clients)) - before
    assert.ok(taken > 0 && taken <= most, `${taken} connections`)
  })
}

/** Runs jobs on fifty queues and counts the connections at the end of them, the worker still running. */
async function connectionsOf(store: Store, count: () => Promise<number>): Promise<number> {
  const errand = createErrand({ store, tasks: [step], queues })
  const worker = errand.worker()
  await worker.start()
  const jobs = await Promise.all(
    Array.from({ length: 50 }, (_, n) => errand.enqueue(step, { n }, { queue: `queue-${n}` })),
  )
  await Promise.all(jobs.map((job) => job.result({ timeout: '30s' })))
  const counted = await count()
  await worker.stop()
  await errand.jobs.remove({})
  await errand.close()
  return counted
}
