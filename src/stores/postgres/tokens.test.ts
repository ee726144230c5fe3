import assert from 'node:assert/strict'
import test from 'node:test'
import { canStartPostgres, query, startPostgres } from '../../../test/postgres-server.ts'
import type { Claimed } from '../../store/worker-calls.ts'
import type { Store } from '../../store/store.ts'
import { requeue, claimOf, counted, finish, newJob } from '../../testing/conformance/jobs.ts'
import { only } from '../../testing/conformance/scene.ts'
import { postgres } from './index.ts'

/** Each crash takes back whatever is not flushed by hand. */
const forgetful = {
  synchronous_commit: 'off',
  fsync: 'on',
  wal_writer_delay: '10s',
  wal_writer_flush_after: '100MB',
}
/** How often a crash is tried until one takes back what it should. */
const tries = 10

if (canStartPostgres()) {
  const server = await startPostgres(forgetful)
  const store = postgres(server.url)
  await store.setup()
  test.after(async () => {
    await store.close()
    await server.stop()
  })

  const flush = async (): Promise<void> => {
    await query(server.url, 'SELECT pg_switch_wal()')
    await query(server.url, 'CHECKPOINT')
  }
  const crash = async (): Promise<void> => {
    await server.kill('SIGQUIT')
    await server.start()
    // The connections of the store are gone.
    await store.counts()
  }
  const claimed = (limit = 1): Promise<Claimed> => store.claim(claimOf({ limit }))
  const restart = (value: number): Promise<unknown> =>
    query(server.url, `SELECT setval('errand.tokens', $1)`, [value])

  test('postgres: a claim that a crash took back leaves its job ready, and its token is not given again', async () => {
    for (let round = 1; round <= tries; round += 1) {
      const job = newJob()
      await store.insert([job])
      await flush()
      const before = only((await claimed()).jobs)
      await crash()
      const [after] = (await claimed()).jobs
      if (after === undefined) {
        await store.settle([finish(before)])
        continue
      }
      assert.equal(after.id, job.id)
      assert.ok(after.token > before.token)
      assert.deepEqual(await store.settle([finish(before), finish(after)]), ['stale', 'settled'])
      return
    }
    assert.fail('no crash took a claim back')
  })

  test('postgres: a settlement ends no other job whose number comes again after a crash', async () => {
    for (let round = 1; round <= tries; round += 1) {
      await flush()
      const [lost, other] = [newJob(), newJob()]
      await store.insert([lost])
      const before = only((await claimed()).jobs)
      const numberOf = async (id: string): Promise<unknown> =>
        (await query(server.url, 'SELECT seq FROM errand.jobs WHERE id = $1', [id]))[0]?.['seq']
      const number = await numberOf(lost.id)
      await crash()
      if ((await numberOf(lost.id)) !== undefined) {
        await store.settle([finish(before)])
        continue
      }
      await store.insert([other])
      const after = only((await claimed()).jobs)
      assert.equal(after.id, other.id)
      assert.equal(await numberOf(other.id), number)
      assert.deepEqual(await store.settle([finish(before, { output: '"lost"' })]), ['stale'])
      assert.deepEqual(await store.settle([finish(after, { output: '"other"' })]), ['settled'])
      assert.equal((await store.get([other.id]))[0]?.output, '"other"')
      return
    }
    assert.fail('no crash took an insert back')
  })

  test('postgres: tokens go on where a restored copy is behind', async () => {
    let last = 0
    for (const behindMs of [1_500, 3_600_000, Date.now()]) {
      await store.insert([newJob()])
      const job = only((await claimed()).jobs)
      assert.ok(job.token > last, `${job.token} after ${last}`)
      last = job.token
      await restart(Math.max(1, last - behindMs * 1_000))
    }
    await store.insert([newJob()])
    assert.ok(only((await claimed()).jobs).token > last)
  })

  test('postgres: claims that find the tokens behind at once get one each', async () => {
    const count = 8
    const stores: Store[] = Array.from({ length: count }, () => postgres(server.url))
    await Promise.all(stores.map((one) => one.setup()))
    for (let round = 0; round < 20; round += 1) {
      await store.insert(stores.map((_, n) => newJob({ queue: `queue-${n}` })))
      await restart(1)
      const answers = await Promise.all(
        stores.map((one, n) => one.claim(claimOf({ queues: [{ name: `queue-${n}`, limit: 1 }] }))),
      )
      const tokens = answers.flatMap(({ jobs }) => jobs.map(({ token }) => token))
      assert.equal(tokens.length, count)
      assert.equal(new Set(tokens).size, count)
    }
    await Promise.all(stores.map((one) => one.close()))
  })

  test('postgres: the claim of a suspect, which is its start too, survives a crash', async () => {
    const durable = postgres(`${server.url}?options=-c%20synchronous_commit%3Don`)
    for (let round = 0; round < 3; round += 1) {
      await durable.insert([newJob()])
      const job = only((await durable.claim(claimOf({ limit: 1 }))).jobs)
      const counters = counted({ attempts: 1, losses: 1 })
      await durable.settle([requeue(job, { counters, started: true, suspect: true })])
      const suspect = only(
        (await durable.claim(claimOf({ limit: 1, maxLosses: 1, id: null }))).jobs,
      )
      await crash()
      const [stored] = await durable.get([suspect.id])
      assert.equal(stored?.state, 'running')
      assert.notEqual(stored.startedAt, null)
      assert.deepEqual(await durable.settle([finish(suspect)]), ['settled'])
    }
    await durable.close()
  })
}
