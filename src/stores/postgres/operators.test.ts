import assert from 'node:assert/strict'
import test from 'node:test'
import { findPostgres, query } from '../../../test/postgres-server.ts'
import { hour, newJob, unique } from '../../testing/conformance/jobs.ts'
import { postgres } from './index.ts'

const server = await findPostgres()

if (server !== null) {
  test('postgres: jobs that were cancelled and removed together leave nothing behind', async () => {
    const schema = 'nothing_left'
    const store = postgres(server.url, { schema })
    const bounds = { startWithinMs: hour, deadlineMs: hour }
    const jobs = [
      ...Array.from({ length: 5 }, () => newJob({ ...bounds, unique: unique(`${Math.random()}`) })),
      ...Array.from({ length: 5 }, () => newJob({ ...bounds, delayMs: hour })),
      ...Array.from({ length: 5 }, () => newJob({ ...bounds, keepCancelledMs: 0 })),
    ]
    const ids = jobs.map(({ id }) => id)
    const rows = async (...tables: readonly string[]): Promise<readonly string[]> => {
      const parts = tables.map((table) => `SELECT '${table}' AS name FROM ${schema}.${table}`)
      return (await query(server.url, parts.join(' UNION ALL '))).map(({ name }) => String(name))
    }
    try {
      await store.insert(jobs)
      assert.equal((await rows('bounds')).length, 15)
      await store.cancel(ids, null)
      assert.deepEqual(await rows('bounds', 'uniques', 'ready', 'scheduled'), [])
      await store.retry(ids)
      assert.equal((await rows('bounds')).length, 10)
      await store.cancel(ids, null)
      await store.remove(ids)
      assert.deepEqual(
        await rows('jobs', 'ready', 'scheduled', 'bounds', 'uniques', 'finished', 'needs'),
        [],
      )
      assert.deepEqual(await store.counts(), [])
    } finally {
      await store.close()
      await query(server.url, `DROP SCHEMA ${schema} CASCADE`)
      await server.stop()
    }
  })
}
