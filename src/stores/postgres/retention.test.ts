import assert from 'node:assert/strict'
import test from 'node:test'
import { postgresHarness } from '../../../test/postgres-harness.ts'
import { findPostgres, query } from '../../../test/postgres-server.ts'
import { claimOf, finish, newJob } from '../../testing/conformance/jobs.ts'

const server = await findPostgres()
const day = 86_400_000

if (server !== null) {
  const harness = await postgresHarness(server.url)
  test.after(async () => {
    await harness.close()
    await server.stop()
  })

  test('postgres: history lies by the day on which it expires, and gives its space back after that day', async () => {
    const scene = await harness.create()
    const { store } = scene
    try {
      await store.insert(Array.from({ length: 50 }, () => newJob()))
      const { jobs } = await store.claim(claimOf({ limit: 50 }))
      // A reason keeps them from being filed as one row.
      const ends = jobs.map((job) => finish(job, { state: 'failed', reason: 'r', keepMs: day }))
      await store.settle(ends)
      const [filled] = await partitions()
      assert.ok(filled, 'a partition holds them')
      await scene.advance(day)
      assert.deepEqual(await store.prune({ limit: 1_000, cap: 1_000 }), {
        removed: 50,
        more: false,
      })
      assert.deepEqual(await partitions(), [filled], 'the day is not over')
      await scene.advance(day)
      await store.prune({ limit: 1_000, cap: 1_000 })
      assert.deepEqual(await partitions(), [])
    } finally {
      await scene.dispose()
    }
  })

  /** Partitions that take space. */
  async function partitions(): Promise<string[]> {
    const rows = await query(
      server?.url ?? '',
      `SELECT relname FROM pg_class WHERE relnamespace = $1::regnamespace AND relkind = 'r'
       AND relname LIKE 'finished%' AND pg_relation_size(oid) > 0 ORDER BY relname`,
      [harness.schema],
    )
    return rows.map((row) => String(row['relname']))
  }
}
