/** Since when the oldest ready job of a queue has been due. */
import assert from 'node:assert/strict'
import test from 'node:test'
import { findPostgres, query } from '../../../test/postgres-server.ts'
import { claimOf, counted, newJob, requeue } from '../../testing/conformance/jobs.ts'
import { postgres } from './index.ts'

const server = await findPostgres()
const schema = 'stats'

if (server !== null) {
  const { url } = server
  const store = postgres(url, { schema })
  test.after(async () => {
    await store.close()
    await query(url, `DROP SCHEMA ${schema} CASCADE`)
    await server.stop()
  })

  test('postgres: the oldest ready job is found in whatever priority it stands, and if it was lost', async () => {
    const now = Date.now()
    const dueAgo = async (queue: string): Promise<number | null> => {
      const found = (await store.stats()).find((one) => one.queue === queue)
      const at = found?.oldestReadyAt ?? null
      return at === null ? null : now - at
    }
    for (const [priority, agoMs] of [
      [-5, 1_000],
      [0, 9_000],
      [7, 5_000],
    ] as const) {
      await store.insert([newJob({ queue: 'many', priority, runAt: now - agoMs })])
      await store.insert([newJob({ queue: 'many', priority, runAt: now - agoMs + 1 })])
    }
    assert.equal(await dueAgo('many'), 9_000)

    await store.insert([newJob({ queue: 'lost', priority: 3, runAt: now - 2_000 })])
    const queues = [{ name: 'lost', limit: 1 }]
    const [lost] = (await store.claim(claimOf({ queues }))).jobs
    assert.ok(lost)
    assert.equal(await dueAgo('lost'), null)
    const counters = counted({ losses: 1 })
    await store.settle([requeue(lost, { counters, started: true, suspect: true })])
    const since = await dueAgo('lost')
    assert.ok(since !== null && since <= 0, 'due anew since it was put back')
  })

  test('postgres: a job that was put back to the front hides no older one behind it', async () => {
    const now = Date.now()
    const queues = [{ name: 'front', limit: 1 }]
    await store.insert([newJob({ queue: 'front', runAt: now - 9_000 })])
    const [first] = (await store.claim(claimOf({ queues }))).jobs
    assert.ok(first)
    await store.insert([newJob({ queue: 'front', runAt: now - 4_000 })])
    await store.settle([requeue(first)])
    const found = (await store.stats()).find(({ queue }) => queue === 'front')
    assert.deepEqual(found, {
      queue: 'front',
      counts: { ready: 2 },
      oldestReadyAt: now - 4_000,
    })
  })
}
