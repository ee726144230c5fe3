import assert from 'node:assert/strict'
import test from 'node:test'
import pg from 'pg'
import { findPostgres, query } from '../../../test/postgres-server.ts'
import type { ClaimedJob, NewJob, Store } from '../../store.ts'
import {
  again,
  claimOf,
  expiredOf,
  finish,
  leaseMs,
  newJob,
  unique,
} from '../../testing/conformance/jobs.ts'
import { postgres } from './index.ts'

const server = await findPostgres()

/** Longer than a call waits for a held job, shorter than anybody's patience. */
const promptMs = 1_000

if (server !== null) {
  const { url } = server
  const store = postgres(url, { schema: 'held_jobs' })
  test.after(async () => {
    await store.close()
    await query(url, 'DROP SCHEMA held_jobs CASCADE')
    await server.stop()
  })

  test('postgres: a job that a transaction of the user completes stalls nobody, and is taken as alive', async () => {
    const [held, other, third] = await running(store, 3)
    const waiting = newJob()
    await store.insert([waiting])
    await within(url, async (client) => {
      assert.deepEqual(await store.settle([finish(held)], client), ['settled'])
      const start = performance.now()
      assert.deepEqual(await store.renew([held, other], leaseMs), ['renewed', 'renewed'])
      assert.deepEqual(
        await store.note([
          { id: held.id, token: held.token, kind: 'start', agoMs: 0 },
          { id: other.id, token: other.token, kind: 'start', agoMs: 0 },
        ]),
        ['noted', 'noted'],
      )
      assert.deepEqual(await store.settle([finish(third)]), ['settled'])
      assert.deepEqual(await store.cancel([held.id, waiting.id], null), ['asked', 'cancelled'])
      assert.equal(
        (await store.claim(claimOf({ queues: [{ name: held.queue, limit: 9 }] }))).jobs.length,
        0,
      )
      assert.ok(performance.now() - start < promptMs, `took ${performance.now() - start} ms`)
      await client.query('COMMIT')
    })
    assert.equal((await store.get([held.id]))[0]?.state, 'completed')
    assert.deepEqual(await store.settle([finish(other)]), ['settled'])
  })

  test('postgres: an insert whose unique key an open transaction holds is told so soon, and others go on', async () => {
    const rule = unique('held key')
    const [late, plain] = [newJob({ unique: rule }), newJob()]
    await within(url, async (client) => {
      await store.insert([newJob({ unique: rule })], client)
      const start = performance.now()
      const refused = assert.rejects(store.insert([late]), { code: 'store-busy' })
      await store.insert([plain])
      assert.ok(performance.now() - start < promptMs)
      await refused
      assert.ok(performance.now() - start < 5_000)
      await client.query('ROLLBACK')
    })
    assert.deepEqual(await store.get([late.id]), [null])
    assert.equal((await store.insert([late]))[0]?.status, 'created')
  })

  test('postgres: a held job whose lease has expired is not swept; its neighbours are', async () => {
    const [held, other] = await running(store, 2, 50)
    await within(url, async (client) => {
      assert.deepEqual(await store.settle([finish(held)], client), ['settled'])
      await new Promise((resolve) => setTimeout(resolve, 60))
      const { jobs } = await store.expired(expiredOf({ tasks: [held.task] }))
      assert.deepEqual(
        jobs.map(({ id }) => id),
        [other.id],
      )
      await client.query('ROLLBACK')
    })
    const { jobs } = await store.expired(expiredOf({ tasks: [held.task] }))
    assert.deepEqual(
      jobs.map(({ id }) => id),
      [held.id],
    )
    assert.deepEqual(await store.settle([finish(held)]), ['stale'])
  })

  test('postgres: an insert in a transaction that stays open stops neither claims nor settlements', async () => {
    const rule = unique('held', { onConflict: 'replace' })
    const queue = 'replacing'
    const holder = newJob({ queue, unique: rule })
    const [lease] = await running(store, 1)
    await store.insert([holder, newJob({ queue })])
    await within(url, async (client) => {
      const [answer] = await store.insert(
        [newJob({ queue, unique: rule }), newJob({ queue, unique: unique('other') })],
        client,
      )
      assert.deepEqual(answer, { id: holder.id, status: 'replaced', token: null })
      const start = performance.now()
      const { jobs } = await store.claim(claimOf({ queues: [{ name: queue, limit: 9 }] }))
      assert.equal(jobs.length, 1)
      assert.deepEqual(await store.settle([...jobs, lease].map((job) => finish(job))), [
        'settled',
        'settled',
      ])
      assert.equal(
        (await store.insert([newJob({ queue }), newJob({ queue, unique: unique('third') })]))
          .length,
        2,
      )
      assert.ok(performance.now() - start < promptMs)
      await client.query('COMMIT')
    })
    assert.equal(
      (await store.claim(claimOf({ queues: [{ name: queue, limit: 9 }] }))).jobs.length,
      4,
    )
  })

  test('postgres: a duplicate in an open transaction does not hold the job that has the key', async () => {
    const queue = 'duplicates'
    const holder = newJob({ queue, unique: unique('same') })
    await store.insert([holder])
    await within(url, async (client) => {
      const [answer] = await store.insert([newJob({ queue, unique: unique('same') })], client)
      assert.equal(answer?.status, 'duplicate')
      const start = performance.now()
      const { jobs } = await store.claim(claimOf({ queues: [{ name: queue, limit: 9 }] }))
      assert.deepEqual(await store.settle(jobs.map((job) => again(job))), ['settled'])
      assert.ok(performance.now() - start < promptMs)
    })
  })

  test('postgres: a job inserted in a long transaction, whose need ends meanwhile, does not wait for ever', async () => {
    const [need] = await running(store, 1)
    const job = newJob({ queue: 'dependants', needs: [{ id: need.id, onFailed: 'cancel' }] })
    await within(url, async (client) => {
      await store.insert([job], client)
      assert.deepEqual(await store.settle([finish(need)]), ['settled'])
      await client.query('COMMIT')
    })
    const worker = {
      id: 'w',
      host: 'h',
      pid: 1,
      version: '1',
      queues: [],
      slots: 1,
      running: [],
      stopped: false,
    }
    await store.tend({ ...worker, startedAt: 0, lastSeenAt: 0 })
    assert.equal((await store.get([job.id]))[0]?.state, 'ready')
  })

  test('postgres: claims keep at least half of their rate while a transaction is held open elsewhere', async () => {
    const queue = 'open transaction'
    const total = 12_000
    const single = async (from: number): Promise<void> => {
      const jobs = Array.from({ length: 500 }, () => newJob({ queue, priority: from % 2 }))
      // Alternating priorities make each job a row of its own, as single inserts do.
      await store.insert(jobs.map((job, index) => ({ ...job, priority: index % 2 })))
    }
    for (let from = 0; from < total; from += 500) await single(from)
    await within(url, async (client) => {
      await client.query(
        'SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM held_jobs.ready',
      )
      const rates: number[] = []
      let claimed = 0
      while (claimed < total) {
        const start = performance.now()
        const before = claimed
        while (claimed < total && claimed - before < 2_000) {
          const { jobs } = await store.claim(
            claimOf({ queues: [{ name: queue, limit: 100 }], limit: 100 }),
          )
          assert.ok(jobs.length > 0, `${claimed} of ${total} were claimed`)
          claimed += jobs.length
          await store.settle(jobs.map((job) => finish(job)))
        }
        rates.push((claimed - before) / (performance.now() - start))
      }
      const best = Math.max(...rates.slice(0, 2))
      assert.ok((rates.at(-1) ?? 0) >= best / 2, rates.map((rate) => rate.toFixed(1)).join(' '))
    })
  })
}

/** Makes jobs of a task of their own and claims them. */
async function running(
  store: Store,
  count: number,
  ms = leaseMs,
): Promise<[ClaimedJob, ...ClaimedJob[]] & ClaimedJob[] & { 1: ClaimedJob; 2: ClaimedJob }> {
  const name = `held ${Math.random()}`
  const jobs: NewJob[] = Array.from({ length: count }, () => newJob({ queue: name, task: name }))
  await store.insert(jobs)
  const claimed = await store.claim(claimOf({ queues: [{ name, limit: count }], leaseMs: ms }))
  assert.equal(claimed.jobs.length, count)
  return claimed.jobs as never
}

/** Runs `work` with a client in a transaction, which is rolled back in the end if it is still open. */
async function within(url: string, work: (client: pg.Client) => Promise<void>): Promise<void> {
  const client = new pg.Client(url)
  await client.connect()
  try {
    await client.query('BEGIN')
    await work(client)
  } finally {
    await client.query('ROLLBACK')
    await client.end()
  }
}
