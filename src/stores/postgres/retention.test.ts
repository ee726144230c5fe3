import assert from 'node:assert/strict'
import test from 'node:test'
import { postgresHarness } from '../../../test/postgres-harness.ts'
import { findPostgres, query } from '../../../test/postgres-server.ts'
import type { Store } from '../../store/store.ts'
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

  const removals: Readonly<
    Record<string, (store: Store, ids: readonly string[]) => Promise<unknown>>
  > = {
    'the cap on finished jobs': async (store) => {
      while ((await store.prune({ limit: 40, cap: 30 })).more);
    },
    remove: (store, ids) => store.remove(ids.slice(0, -30)),
    take: (store, ids) => store.take(ids.slice(0, -30)),
  }
  for (const [name, remove] of Object.entries(removals)) {
    test(`postgres: ${name} frees the outputs of jobs that were filed together, kept for ever or for a time`, async () => {
      const scene = await harness.create()
      const { store } = scene
      const output = JSON.stringify('x'.repeat(900))
      const size = async (): Promise<number> => {
        const sql = `SELECT coalesce(sum(length(array_to_string(outputs, ''))), 0)::int AS size FROM ${harness.schema}.batches`
        return Number((await query(server?.url ?? '', sql))[0]?.['size'])
      }
      try {
        for (const keepMs of [null, day]) {
          const ids: string[] = []
          for (let batch = 0; batch < 5; batch += 1) {
            await store.insert(Array.from({ length: 50 }, () => newJob()))
            const { jobs } = await store.claim(claimOf())
            await store.settle(jobs.map((job) => finish(job, { output, keepMs })))
            ids.push(...jobs.map(({ id }) => id))
          }
          assert.ok((await size()) >= 5 * 50 * 900, 'all are filed together')
          await remove(store, ids)
          assert.ok((await size()) <= 50 * output.length, `${await size()} characters are left`)
          await store.remove(ids)
          assert.equal(await size(), 0)
        }
      } finally {
        await scene.dispose()
      }
    })
  }

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
