/** Plain finishes beside jobs that need more than a row of history. */
import assert from 'node:assert/strict'
import test from 'node:test'
import { findPostgres, query } from '../../../test/postgres-server.ts'
import { claimOf, finish, newJob } from '../../testing/conformance/jobs.ts'
import { postgres } from './index.ts'

const server = await findPostgres()

if (server !== null) {
  const { url } = server
  const schema = 'plain_finishes'
  const store = postgres(url, { schema })
  test.after(async () => {
    await store.close()
    await query(url, `DROP SCHEMA ${schema} CASCADE`)
    await server.stop()
  })

  const rowsOf = async (table: string): Promise<number> =>
    (await query(url, `SELECT 1 FROM ${schema}.${table}`)).length

  /** Needed jobs of another queue, whose ids lie between those of a batch. */
  for (const [among, elsewhere] of [
    ['few others', 0],
    ['more others than jobs in the batch', 300],
  ] as const) {
    test(`postgres: a needed job and its batch are filed together, but for a cancelled one, among ${among}`, async () => {
      const first = Array.from({ length: 50 }, () => newJob())
      const others = Array.from({ length: elsewhere }, () => newJob({ queue: 'others' }))
      const last = Array.from({ length: 50 }, () => newJob())
      const jobs = [...first, ...last]
      const [needed, cancelled] = [jobs[80], jobs[20]]
      assert.ok(needed && cancelled)
      await store.insert([...jobs, ...others])
      const queues = [{ name: 'queue', limit: 100 }]
      const waiting = [needed, ...others].map(({ id }) =>
        newJob({ queue: 'waiting', needs: [{ kind: 'job', id, onFailed: 'cancel' }] }),
      )
      await store.insert(waiting)
      const claimed = (await store.claim(claimOf({ queues, limit: 100 }))).jobs
      assert.equal(claimed.length, 100)
      const [dependant] = waiting
      assert.ok(dependant)
      await store.cancel([cancelled.id], null)

      const outputOf = (at: number): string | null => (at % 3 === 0 ? null : `"${at}"`)
      const outputs = new Map(jobs.map(({ id }, at) => [id, outputOf(at)]))
      const batches = await rowsOf('batches')
      const single = await rowsOf('finished')
      const answers = await store.settle(
        claimed.map((job) => finish(job, { output: outputs.get(job.id) ?? null })),
      )
      assert.deepEqual(new Set(answers), new Set(['settled']))
      assert.equal((await rowsOf('batches')) - batches, 1)
      assert.equal((await rowsOf('finished')) - single, 1)
      const ended = await store.get(jobs.map(({ id }) => id))
      assert.deepEqual(
        ended.map((job) => [job?.state, job?.output]),
        jobs.map((_, at) => ['completed', outputOf(at)]),
      )
      assert.equal((await store.get([dependant.id]))[0]?.state, 'ready')
      assert.equal(await rowsOf('leases'), 0)
      await store.remove(waiting.map(({ id }) => id))
    })
  }
}
