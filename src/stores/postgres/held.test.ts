import assert from 'node:assert/strict'
import test from 'node:test'
import pg from 'pg'
import { findPostgres, query } from '../../../test/postgres-server.ts'
import { createErrand, isErrandError, task } from '../../index.ts'
import type { ClaimedJob, NewJob } from '../../store/job.ts'
import type { Store } from '../../store/store.ts'
import {
  requeue,
  claimOf,
  rescueOf,
  finish,
  leaseMs,
  newJob,
  unique,
  workerOf,
} from '../../testing/conformance/jobs.ts'
import { patient } from '../../testing/conformance/patient.ts'
import { postgres } from './index.ts'

const server = await findPostgres()

/** Longer than a call waits for a held job, shorter than anybody's patience. */
const promptMs = 3_500

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

  test('postgres: a renewal waits for the jobs that a transaction of the user holds together, not for each', async () => {
    const held = await running(store, 40)
    await within(url, async (client) => {
      await store.settle(
        held.map((job) => finish(job)),
        client,
      )
      const start = performance.now()
      assert.deepEqual(
        await store.renew(held, leaseMs),
        held.map(() => 'renewed'),
      )
      assert.ok(performance.now() - start < promptMs, `took ${performance.now() - start} ms`)
    })
  })

  test('postgres: a cancel of a job that a transaction of the user ends does not reach its next run', async () => {
    const [held] = await running(store, 1)
    await within(url, async (client) => {
      assert.deepEqual(await store.settle([finish(held, { state: 'failed' })], client), ['settled'])
      assert.deepEqual(await store.cancel([held.id], null), ['asked'])
      await client.query('COMMIT')
    })
    assert.deepEqual(await store.retry([held.id]), ['retried'])
    const queues = [{ name: held.queue, limit: 1 }]
    const [next] = (await store.claim(claimOf({ queues }))).jobs
    assert.equal(next?.id, held.id)
    assert.deepEqual(await store.renew([next], leaseMs), ['renewed'])
  })

  test('postgres: a call that gave one job up as held still waits for the next one as long as any call', async () => {
    const [held] = await running(store, 1)
    const waiting = newJob()
    const dependant = newJob({ needs: [{ kind: 'job', id: waiting.id, onFailed: 'cancel' }] })
    await store.insert([waiting, dependant])
    await within(url, async (client) => {
      await store.settle([finish(held)], client)
      await within(url, async (another) => {
        await another.query('SELECT 1 FROM held_jobs.jobs WHERE id = $1 FOR UPDATE', [dependant.id])
        const cancelled = store.cancel([held.id, waiting.id], null)
        await new Promise((resolve) => setTimeout(resolve, 600))
        await another.query('COMMIT')
        assert.deepEqual(await cancelled, ['asked', 'cancelled'])
      })
      await client.query('ROLLBACK')
    })
    assert.equal((await store.get([dependant.id]))[0]?.state, 'cancelled')
  })

  test('postgres: an enqueue whose unique key an open transaction holds is told so soon, and others go on', async () => {
    const app = createErrand({ store: postgres(url, { schema: 'held_jobs' }), tasks: [] })
    const work = task({ name: 'held work', run: () => undefined })
    const enqueue = (key: string) => app.enqueue(work, undefined, { unique: { key } })
    try {
      await within(url, async (client) => {
        await app.enqueue(work, undefined, { unique: { key: 'held' }, tx: client })
        const start = performance.now()
        const refused = assert.rejects(enqueue('held'), { code: 'store-busy' })
        const many = assert.rejects(
          app.enqueueMany(
            ['many', 'held'].map((key) => [work, undefined, { unique: { key } }] as const),
          ),
          { code: 'store-busy' },
        )
        for (const key of ['free', 'another', 'third'])
          assert.equal((await enqueue(key)).inserted, 'created')
        assert.ok(performance.now() - start < promptMs)
        await Promise.all([refused, many])
        assert.equal((await enqueue('many')).inserted, 'duplicate')
        assert.ok(performance.now() - start < 8_000)
        const held = enqueue('held')
        await enqueue('fourth')
        await client.query('ROLLBACK')
        assert.equal((await held).inserted, 'created')
      })
    } finally {
      await app.close()
    }
  })

  test('postgres: a worker settles what an open transaction keeps once it has ended, and all else at once', async () => {
    const app = createErrand({ store: postgres(url, { schema: 'held_jobs' }), tasks: [] })
    const follow = task({ name: 'held follow', queue: 'held follows', run: () => undefined })
    const needy = task({
      name: 'held needy',
      queue: 'held worker',
      run: (_: undefined, job) => job.enqueue(follow, undefined, { unique: { key: 'follow' } }),
    })
    const other = task({
      name: 'held other',
      queue: 'held worker',
      run: (_: undefined, job) => job.enqueue(follow, undefined),
    })
    const both = createErrand({
      store: postgres(url, { schema: 'held_jobs' }),
      tasks: [needy, other, follow],
    })
    const worker = both.worker({ queues: ['held worker'] })
    try {
      await within(url, async (client) => {
        const key = { unique: { key: 'follow' } }
        await app.enqueue(follow, undefined, { ...key, tx: client })
        const [first, ...others] = await both.enqueueMany([
          [needy, undefined],
          [other, undefined],
          [other, undefined],
        ])
        await worker.start()
        for (const job of others) await job.result({ timeout: '10s' })
        assert.equal((await both.jobs.get(first.id))?.state, 'running')
        await client.query('ROLLBACK')
        await first.result({ timeout: '20s' })
        assert.equal((await app.enqueue(follow, undefined, key)).inserted, 'duplicate')
      })
    } finally {
      await worker.stop()
      await Promise.all([app.close(), both.close()])
    }
  })

  test('postgres: a held job whose lease has expired is not swept; its neighbours are', async () => {
    const [held, other] = await running(store, 2, 50)
    await within(url, async (client) => {
      assert.deepEqual(await store.settle([finish(held)], client), ['settled'])
      await new Promise((resolve) => setTimeout(resolve, 60))
      const { jobs } = await store.rescue(rescueOf({ tasks: [held.task] }))
      assert.deepEqual(
        jobs.map(({ id }) => id),
        [other.id],
      )
      await client.query('ROLLBACK')
    })
    const { jobs } = await store.rescue(rescueOf({ tasks: [held.task] }))
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
        { tx: client },
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

  test('postgres: an insert that would replace a job which is just being cancelled adds its own', async () => {
    const rule = unique('replaced while cancelled', { onConflict: 'replace' })
    const [holder, late] = [newJob({ unique: rule }), newJob({ unique: rule })]
    await store.insert([holder])
    await within(url, async (client) => {
      await client.query(`SELECT held_jobs.cancel('{${holder.id}}', NULL)`)
      const inserting = patient(store).insert([late])
      await new Promise((resolve) => setTimeout(resolve, 200))
      await client.query('COMMIT')
      assert.deepEqual(await inserting, [{ id: late.id, status: 'created', token: null }])
    })
  })

  test('postgres: a duplicate in an open transaction does not hold the job that has the key', async () => {
    const queue = 'duplicates'
    const holder = newJob({ queue, unique: unique('same') })
    await store.insert([holder])
    await within(url, async (client) => {
      const [answer] = await store.insert([newJob({ queue, unique: unique('same') })], {
        tx: client,
      })
      assert.equal(answer?.status, 'duplicate')
      const start = performance.now()
      const { jobs } = await store.claim(claimOf({ queues: [{ name: queue, limit: 9 }] }))
      assert.deepEqual(await store.settle(jobs.map((job) => requeue(job))), ['settled'])
      assert.ok(performance.now() - start < promptMs)
    })
  })

  test('postgres: a job completed in a snapshot that is older than its lease fails as a serialization does', async () => {
    const [held] = await running(store, 2)
    await within(url, async (client) => {
      await client.query('SET TRANSACTION ISOLATION LEVEL REPEATABLE READ')
      await client.query('SELECT count(*) FROM held_jobs.jobs')
      await assert.rejects(store.settle([finish(held)], client), (error) => {
        assert.ok(isErrandError(error, 'store-busy'))
        assert.match(error.message, /rolled back and run again .* 40001/)
        assert.equal((error.cause as { readonly code?: unknown }).code, '40001')
        return true
      })
      await client.query('ROLLBACK')
      await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ')
      assert.deepEqual(await store.settle([finish(held)], client), ['settled'])
      await client.query('COMMIT')
    })
  })

  test('postgres: a job inserted in a long transaction, whose need ends meanwhile, does not wait for ever', async () => {
    const [need] = await running(store, 1)
    const job = newJob({
      queue: 'dependants',
      needs: [{ kind: 'job', id: need.id, onFailed: 'cancel' }],
    })
    await within(url, async (client) => {
      await store.insert([job], { tx: client })
      assert.deepEqual(await store.settle([finish(need)]), ['settled'])
      await client.query('COMMIT')
    })
    await store.tend(workerOf())
    assert.equal((await store.get([job.id]))[0]?.state, 'ready')
  })

  test('postgres: claims find the work of every priority behind dead rows that an open transaction keeps', async () => {
    const queue = 'open transaction'
    const claim = claimOf({ queues: [{ name: queue, limit: 100 }], limit: 100 })
    await within(url, async (client) => {
      await client.query('SET TRANSACTION ISOLATION LEVEL REPEATABLE READ')
      await client.query('SELECT count(*) FROM held_jobs.ready')
      for (let round = 0; round < 60; round += 1) {
        await store.insert(singles(queue, 100))
        const got: ClaimedJob[] = []
        while (got.length < 100) {
          const { jobs, nextDueMs } = await store.claim(claim)
          assert.ok(jobs.length > 0 || nextDueMs !== null, `round ${round}: the rest was not found`)
          got.push(...jobs)
          await store.settle(jobs.map((job) => finish(job)))
        }
        assert.deepEqual(got.map(({ priority }) => priority).filter(Boolean).length, 50)
      }
    })
  })

  test('postgres: a claim looks from a place of each priority, and finds priorities that it has no place for', async () => {
    const queue = 'places'
    await store.insert([newJob({ queue, priority: -5 }), newJob({ queue, priority: 3 })])
    await store.insert(singles(queue, 8))
    const rows = await query(
      url,
      `SELECT priority, place, last FROM held_jobs.ready WHERE queue = '${queue}' AND priority IN (0, 1) ORDER BY priority, last`,
    )
    const placeOf = (index: number): string => Object.values(rows[index] ?? {}).join(',')
    // Behind the second of four of priority 0, and the third of four of priority 1.
    const after = `${placeOf(1)};${placeOf(6)}`
    const [, ...claimed] = await query(
      url,
      `SELECT priority FROM held_jobs.claim('w', '{${queue}}', '{9}', 0, 9, 1000, 0, '{"${after}"}', NULL, false)`,
    )
    assert.deepEqual(
      claimed.map(({ priority }) => priority),
      [-5, 0, 0, 1, 3],
    )
  })
}

/** Jobs of which each is a row of its own in the line, as those are that were enqueued one by one: no neighbours are alike. */
function singles(queue: string, count: number): NewJob[] {
  return Array.from({ length: count }, (_, at) => newJob({ queue, priority: at % 2 }))
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
