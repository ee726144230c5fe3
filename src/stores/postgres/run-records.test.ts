/** Records of runs: they go with their job, and wait for whoever may be ending it. Records by key: their order. */
import assert from 'node:assert/strict'
import test from 'node:test'
import pg from 'pg'
import { findPostgres, query } from '../../../test/postgres-server.ts'
import type { ClaimedJob } from '../../store/job.ts'
import { claimOf, finish, newJob } from '../../testing/conformance/jobs.ts'
import { postgres } from './index.ts'
import { endOf } from './records.ts'

const server = await findPostgres()
const schema = 'run_records'

test('postgres: the end of a prefix comes after all that begin with it, and before all that come later', () => {
  const ends: readonly (readonly [string, string | null])[] = [
    ['a', 'b'],
    ['a/', 'a0'],
    ['😀', '😁'],
    ['\u{d7ff}', '\u{e000}'],
    ['a\u{10ffff}', 'b'],
    ['\u{10ffff}', null],
    ['', null],
  ]
  for (const [prefix, end] of ends) assert.equal(endOf(prefix), end, JSON.stringify(prefix))
})

if (server !== null) {
  const { url } = server
  const store = postgres(url, { schema })
  test.after(async () => {
    await store.close()
    await query(url, `DROP SCHEMA ${schema} CASCADE`)
    await server.stop()
  })

  test('postgres: records of runs are removed with their jobs, however these go', async () => {
    const ways: Readonly<Record<string, (jobs: readonly ClaimedJob[]) => Promise<unknown>>> = {
      'ends of many that nothing keeps': (jobs) =>
        store.settle(jobs.map((job) => finish(job, { keepMs: 0 }))),
      'an end of one that nothing keeps': (jobs) =>
        store.settle(jobs.map((job) => finish(job, { keepMs: 0, attempt: '"no"' }))),
      'pruning of many that ended together': async (jobs) => {
        await store.settle(jobs.map((job) => finish(job, { keepMs: 1 })))
        await pruned()
      },
      'pruning of those that ended apart': async (jobs) => {
        await store.settle(jobs.map((job) => finish(job, { keepMs: 1, attempt: '"no"' })))
        await pruned()
      },
      'removal by an operator': async (jobs) => {
        await store.settle(jobs.map((job) => finish(job)))
        await store.remove(jobs.map(({ id }) => id))
      },
      'taking by an operator': async (jobs) => {
        await store.settle(jobs.map((job) => finish(job)))
        await store.take(jobs.map(({ id }) => id))
      },
    }
    for (const [way, go] of Object.entries(ways)) {
      const jobs = await running(12)
      const records = jobs.map(({ id, token }) => ({ id, token, name: 'n', text: '1' }))
      assert.deepEqual(new Set(await store.record(records)), new Set(['recorded']))
      await go(jobs)
      assert.deepEqual(
        await store.get(jobs.map(({ id }) => id)),
        jobs.map(() => null),
        way,
      )
      assert.deepEqual(await query(url, `SELECT * FROM ${schema}.recorded`), [], way)
    }
  })

  test('postgres: a record waits for a transaction that ends its job: stale once that commits, written if it does not', async () => {
    for (const [verb, expected] of [
      ['COMMIT', 'stale'],
      ['ROLLBACK', 'recorded'],
    ] as const) {
      const [job] = await running(1)
      assert.ok(job)
      const client = new pg.Client(url)
      await client.connect()
      try {
        await client.query('BEGIN')
        assert.deepEqual(await store.settle([finish(job)], client), ['settled'])
        let isOver = false
        const { id, token } = job
        const written = store
          .record([{ id, token, name: 'n', text: '1' }])
          .finally(() => (isOver = true))
        await new Promise((resolve) => setTimeout(resolve, 400))
        assert.equal(isOver, false)
        await client.query(verb)
        assert.deepEqual(await written, [expected])
        const left = await store.recorded({ id, after: null, limit: 9 })
        assert.equal(left.length, verb === 'COMMIT' ? 0 : 1)
        if (verb === 'ROLLBACK') await store.settle([finish(job)])
      } finally {
        await client.end()
      }
    }
  })

  async function running(count: number): Promise<readonly ClaimedJob[]> {
    await store.insert(Array.from({ length: count }, () => newJob()))
    const { jobs } = await store.claim(claimOf())
    assert.equal(jobs.length, count)
    return jobs
  }

  async function pruned(): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, 5))
    await store.prune({ limit: 1_000, cap: 1_000 })
  }
}
