/** Inserts that reach the server after their sender has given them up, and has sent them again. */
import assert from 'node:assert/strict'
import test from 'node:test'
import { findPostgres, query } from '../../../test/postgres-server.ts'
import { tcpProxy } from '../../../test/tcp-proxy.ts'
import type { NewJob } from '../../store/job.ts'
import { claimOf, finish, newJob, unique } from '../../testing/conformance/jobs.ts'
import { packJob } from './insert.ts'
import { postgres } from './index.ts'

const server = await findPostgres()
const schema = 'late_jobs'

const kinds: Readonly<Record<string, () => NewJob[]>> = {
  'one job': () => [newJob()],
  'several jobs': () => [newJob(), newJob(), newJob()],
  'a delayed job': () => [newJob({ delayMs: 1 })],
  'a job with a key': () => [newJob({ unique: unique('late') })],
  'ordinary jobs along with one with a key': () => [
    ...Array.from({ length: 10 }, () => newJob()),
    newJob({ unique: unique('late') }),
  ],
  'a job that runs inline': () => [
    newJob({ entry: { kind: 'running', worker: 'w', leaseMs: 60_000 } }),
  ],
}

if (server !== null) {
  const { url } = server
  const proxy = await tcpProxy(Number(new URL(url).port || 5432))
  const other = postgres(url, { schema })
  test.after(async () => {
    await other.close()
    await proxy.close()
    await query(url, `DROP SCHEMA ${schema} CASCADE`)
    await server.stop()
  })

  for (const [kind, make] of Object.entries(kinds)) {
    test(`postgres: an insert of ${kind} that arrives after its own repeat, when that has ended and is forgotten, adds nothing`, async () => {
      const store = postgres(url.replace(/:\d+\//, `:${proxy.port}/`), { schema, listen: false })
      try {
        // What follows needs no further statement, and finds its own prepared.
        const before = make()
        await store.insert(before)
        await end(before)
        await query(url, `DELETE FROM ${schema}.erasures`)
        const jobs = make()
        proxy.keepRequests()
        const inserted = await store.insert(jobs)
        assert.deepEqual(
          inserted.map(({ id, status }) => [id, status]),
          jobs.map(({ id }) => [id, 'created']),
        )
        await end(jobs)
        await proxy.carryKept()
        assert.deepEqual(
          await other.get(jobs.map(({ id }) => id)),
          jobs.map(() => null),
        )
        assert.deepEqual((await other.claim(claimOf())).jobs, [])
        assert.deepEqual(await other.counts(), [])
      } finally {
        await store.close()
      }
    })
  }

  test('postgres: a repeat that arrives long after it was sent does not take what has ended meanwhile for new', async () => {
    await other.setup()
    const job = JSON.stringify([packJob(newJob())])
    await query(url, `DELETE FROM ${schema}.erasures`)
    await query(url, `INSERT INTO ${schema}.erasures VALUES (${schema}.now_ms() - 20000)`)
    const sent = (agoMs: number): Promise<unknown> =>
      query(url, `SELECT ${schema}.insert_again($1, NULL, ${schema}.now_ms() - ${agoMs}, 10)`, [
        job,
      ])
    await assert.rejects(sent(30_000), { code: 'UF001' })
    await assert.rejects(sent(120_000), { code: 'UF001' })
    await sent(0)
  })

  test('postgres: an advance that arrives after its own repeat, when its record has moved back, moves nothing', async () => {
    const store = postgres(url.replace(/:\d+\//, `:${proxy.port}/`), { schema, listen: false })
    const job = newJob()
    const options = { advance: [{ key: 'cursor', from: null, to: '1', jobs: [job.id] }] }
    try {
      const before = newJob()
      const advance = [{ key: 'before', from: null, to: '1', jobs: [before.id] }]
      await store.insert([before], { advance })
      await end([before])
      await query(url, `DELETE FROM ${schema}.erasures`)
      proxy.keepRequests()
      const created = { id: job.id, status: 'created', token: null }
      assert.deepEqual(await store.insert([job], options), [created])
      assert.deepEqual(await other.getRecords(['cursor']), ['1'])
      await other.putRecords([{ key: 'cursor', text: null }])
      // The job is known, so that nothing but the record could tell.
      await proxy.carryKept()
      assert.deepEqual(await other.getRecords(['cursor']), [null])
      await end([job])
    } finally {
      await store.close()
    }
  })

  test('postgres: a repeat that finds its record moved and its jobs forgotten does not call them stale', async () => {
    await other.setup()
    const job = newJob()
    const advance = JSON.stringify([{ key: 'moved', from: null, to: '1', jobs: [job.id] }])
    const jobs = JSON.stringify([packJob(job)])
    const sent = () =>
      query(url, `SELECT ${schema}.insert_again($1, $2, ${schema}.now_ms(), 10)`, [jobs, advance])
    await query(url, `DELETE FROM ${schema}.erasures`)
    await other.putRecords([{ key: 'moved', text: '2' }])
    const [row] = await sent()
    assert.deepEqual(JSON.parse(String(row?.['insert_again'])), [[job.id, 'stale', null]])
    await query(url, `INSERT INTO ${schema}.erasures VALUES (${schema}.now_ms())`)
    await assert.rejects(sent(), { code: 'UF001' })
  })

  /** Ends jobs that nothing keeps; those that run already are removed with their lease's end. */
  async function end(jobs: readonly NewJob[]): Promise<void> {
    const ids = jobs.map(({ id }) => id)
    for (const until = performance.now() + 10_000; performance.now() < until;) {
      const { jobs: claimed } = await other.claim(claimOf())
      const running = (await other.get(ids)).flatMap((job) => (job?.state === 'running' ? job : []))
      const leases = claimed.length > 0 ? claimed : running
      await other.settle(leases.map((lease) => finish(lease, { keepMs: 0 })))
      if ((await other.get(ids)).every((job) => job === null)) return
    }
    assert.fail('the jobs have not ended')
  }
}
