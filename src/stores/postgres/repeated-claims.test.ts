/** Claims with an id of their own, which are sent again when their answer is lost. */
import assert from 'node:assert/strict'
import test from 'node:test'
import pg from 'pg'
import { findPostgres, query } from '../../../test/postgres-server.ts'
import {
  claimOf,
  counted,
  finish,
  newJob,
  requeue,
  workerOf,
} from '../../testing/conformance/jobs.ts'
import { postgres } from './index.ts'

const server = await findPostgres()
const schema = 'repeated_claims'

if (server !== null) {
  const { url } = server
  const [store, other] = [postgres(url, { schema }), postgres(url, { schema })]
  test.after(async () => {
    await store.close()
    await other.close()
    await query(url, `DROP SCHEMA ${schema} CASCADE`)
    await server.stop()
  })

  test('postgres: a claim and its repeat at the same time share one answer', async () => {
    for (let round = 0; round < 30; round += 1) {
      const jobs = Array.from({ length: 6 }, () => newJob())
      await store.insert(jobs)
      const request = claimOf({ id: newJob().id, limit: 2 })
      const claims = await Promise.all([store, other, store].map((one) => one.claim(request)))
      const [first, ...others] = claims.map((claim) => claim.jobs.map(({ id }) => id))
      assert.equal(first?.length, 2)
      for (const ids of others) assert.deepEqual(ids, first)
      assert.equal((await running()).length, 2)
      const rest = (await store.claim(claimOf())).jobs
      assert.equal(rest.length, 4)
      const all = [...(claims[0]?.jobs ?? []), ...rest]
      await store.settle(all.map((job) => finish(job, { keepMs: 0 })))
    }
  })

  test('postgres: a claim waits for its repeat that is just being carried out, and claims no others', async () => {
    const job = newJob({ queue: 'overtaken' })
    await store.insert([job])
    const request = claimOf({ id: newJob().id, queues: [{ name: 'overtaken', limit: 1 }] })
    const repeat = new pg.Client(url)
    await repeat.connect()
    try {
      await repeat.query('BEGIN')
      await repeat.query(
        `INSERT INTO ${schema}.claims (id, token, until) VALUES ($1, 0, ${schema}.now_ms() + 30000)`,
        [request.id],
      )
      const claimed = store.claim(request)
      await new Promise((resolve) => setTimeout(resolve, 200))
      await repeat.query('COMMIT')
      assert.deepEqual((await claimed).jobs, [])
    } finally {
      await repeat.end()
    }
    const free = (await store.claim(claimOf({ queues: request.queues }))).jobs
    assert.deepEqual(
      free.map(({ id }) => id),
      [job.id],
    )
    await store.settle(free.map((one) => finish(one, { keepMs: 0 })))
  })

  test('postgres: the repeat of a claim returns a suspect as it was started, and what has a lease of its own', async () => {
    await store.insert([newJob()])
    const [lost] = (await store.claim(claimOf())).jobs
    assert.ok(lost)
    const counters = counted({ attempts: 1, losses: 1 })
    await store.settle([requeue(lost, { counters, started: true, suspect: true })])
    const suspect = claimOf({ id: newJob().id, maxLosses: 1 })
    const first = (await store.claim(suspect)).jobs
    assert.equal(first[0]?.id, lost.id)
    assert.notEqual(first[0]?.startedAt, null)
    assert.deepEqual((await other.claim(suspect)).jobs, first)
    await store.settle(first.map((job) => finish(job, { keepMs: 0 })))
    assert.deepEqual((await other.claim(suspect)).jobs, [])

    await store.insert([newJob(), newJob()])
    const request = claimOf({ id: newJob().id })
    const [one, two] = (await store.claim(request)).jobs
    assert.ok(one && two)
    await store.note([{ id: one.id, token: one.token, kind: 'start', agoMs: 0 }])
    const again = (await other.claim(request)).jobs
    assert.deepEqual(
      again.map(({ id, startedAt }) => [id, startedAt !== null]),
      [
        [one.id, true],
        [two.id, false],
      ],
    )
    await store.settle(again.map((job) => finish(job, { keepMs: 0 })))
  })

  test('postgres: the repeat of a claim that found nothing claims nothing, and a claim without an id leaves no trace', async () => {
    const request = claimOf({ id: newJob().id })
    assert.deepEqual((await store.claim(request)).jobs, [])
    await store.insert([newJob()])
    assert.deepEqual((await other.claim(request)).jobs, [])
    const { jobs } = await store.claim(claimOf())
    assert.equal(jobs.length, 1)
    await store.settle(jobs.map((job) => finish(job, { keepMs: 0 })))
    const rows = await query(url, `SELECT * FROM ${schema}.claims WHERE token = ${jobs[0]?.token}`)
    assert.equal(rows.length, 0)
  })

  test('postgres: claims that can be repeated no more are forgotten', async () => {
    await store.claim(claimOf({ id: newJob().id, leaseMs: 1 }))
    const kept = newJob().id
    await store.claim(claimOf({ id: kept }))
    await new Promise((resolve) => setTimeout(resolve, 5))
    await store.tend(workerOf())
    const rows = await query(
      url,
      `SELECT id FROM ${schema}.claims WHERE until < ${Date.now() + 5_000}`,
    )
    assert.deepEqual(rows, [])
    assert.equal(
      (await query(url, `SELECT 1 FROM ${schema}.claims WHERE id = '${kept}'`)).length,
      1,
    )
  })

  async function running(): Promise<readonly unknown[]> {
    return (await store.list({ states: ['running'], limit: 100 })).jobs
  }
}
