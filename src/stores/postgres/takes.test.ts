/** Takes of single jobs that are in flight together. */
import assert from 'node:assert/strict'
import test from 'node:test'
import pg from 'pg'
import { findPostgres, query } from '../../../test/postgres-server.ts'
import { handedBytes } from '../../core/job.ts'
import { claimOf, finish, newJob } from '../../testing/conformance/jobs.ts'
import { postgres } from './index.ts'

const server = await findPostgres()
/** Less than a call waits for a job that somebody holds. */
const promptMs = 3_500

if (server !== null) {
  const { url } = server
  const schema = 'takes_together'
  const store = postgres(url, { schema })
  test.after(async () => {
    await store.close()
    await query(url, `DROP SCHEMA ${schema} CASCADE`)
    await server.stop()
  })

  /** Ids of completed jobs. */
  const completed = async (count: number, output: string): Promise<readonly string[]> => {
    await store.insert(Array.from({ length: count }, () => newJob()))
    const { jobs } = await store.claim(claimOf({ limit: count }))
    await store.settle(jobs.map((job) => finish(job, { output })))
    return jobs.map(({ id }) => id)
  }

  const takeEach = (ids: readonly string[]) =>
    Promise.all(ids.map(async (id) => (await store.take([id]))[0]))

  test('postgres: of takes in flight together each gets its job, and of two of one job one does', async () => {
    const ids = await completed(300, '1')
    const asked = [...ids, ...ids, newJob().id]
    const found = (await takeEach(asked)).map((job) => job?.id ?? null)
    const taken = found.filter((id) => id !== null)
    assert.deepEqual(taken.toSorted(), ids.toSorted())
    for (const [at, id] of found.entries()) assert.ok(id === null || id === asked[at])
    assert.deepEqual(await store.counts(), [])
  })

  test('postgres: a take waits for nobody but who holds its own job', async () => {
    const ids = await completed(20, '1')
    const [held = '', ...others] = ids
    const client = new pg.Client(url)
    await client.connect()
    try {
      await client.query('BEGIN')
      await client.query(`SELECT 1 FROM ${schema}.jobs WHERE id = $1 FOR UPDATE`, [held])
      const start = performance.now()
      // The one that is held goes along with others.
      const first = takeEach(others.slice(0, 5))
      const last = takeEach([held])
      const rest = takeEach(others.slice(5))
      const jobs = [...(await first), ...(await rest)]
      assert.ok(performance.now() - start < promptMs, `took ${performance.now() - start} ms`)
      assert.deepEqual(
        jobs.map((job) => job?.id),
        others,
      )
      await client.query('COMMIT')
      assert.equal((await last)[0]?.id, held)
    } finally {
      await client.end()
    }
  })

  test('postgres: takes in flight together are answered in parts that are not too large', async () => {
    const output = JSON.stringify('x'.repeat(handedBytes / 4))
    const ids = await completed(12, output)
    const client = new pg.Client(url)
    await client.connect()
    try {
      await client.query('BEGIN')
      const { rows } = await client.query<{ seq: string | null }>(
        `SELECT seq FROM ${schema}.take($1, false)`,
        [ids],
      )
      assert.equal(rows.length, ids.length)
      assert.equal(rows.filter(({ seq }) => seq !== null).length, 4)
      await client.query('ROLLBACK')
    } finally {
      await client.end()
    }
    const jobs = await takeEach(ids)
    assert.deepEqual(
      jobs.map((job) => [job?.id, job?.output?.length]),
      ids.map((id) => [id, output.length]),
    )
  })
}
