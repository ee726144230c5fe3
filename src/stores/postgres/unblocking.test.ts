/** Many jobs that others need end in one statement, and what that statement leaves alone. */
import assert from 'node:assert/strict'
import test from 'node:test'
import pg from 'pg'
import { findPostgres, query } from '../../../test/postgres-server.ts'
import type { ClaimedJob, NewJob, StoredJob } from '../../store/job.ts'
import { claimOf, finish, newJob, unique } from '../../testing/conformance/jobs.ts'
import { postgres } from './index.ts'

const server = await findPostgres()

if (server !== null) {
  const { url } = server
  const schema = 'unblocking'
  const store = postgres(url, { schema })
  const other = postgres(url, { schema })
  test.after(async () => {
    await store.close()
    await other.close()
    await query(url, `DROP SCHEMA ${schema} CASCADE`)
    await server.stop()
  })

  const rowsOf = async (table: string): Promise<number> =>
    (await query(url, `SELECT 1 FROM ${schema}.${table}`)).length
  const statesOf = async (jobs: readonly NewJob[]): Promise<(string | undefined)[]> =>
    (await store.get(jobs.map(({ id }) => id))).map((job) => job?.state)
  const needing = (needed: readonly NewJob[], over: Partial<NewJob> = {}): NewJob =>
    newJob({
      queue: 'waiting',
      needs: needed.map(({ id }) => ({ kind: 'job', id, onFailed: 'cancel' })),
      ...over,
    })

  /** Inserts jobs with those that need them, and claims them under one lease. */
  const claimed = async (
    needed: readonly NewJob[],
    waiting: readonly NewJob[],
    from = store,
  ): Promise<readonly ClaimedJob[]> => {
    await store.insert([...needed, ...waiting])
    const limit = needed.length
    const { jobs } = await from.claim(claimOf({ queues: [{ name: 'queue', limit }], limit }))
    assert.deepEqual(
      jobs.map(({ id }) => id),
      needed.map(({ id }) => id),
    )
    return jobs
  }
  const many = (count: number): NewJob[] => Array.from({ length: count }, () => newJob())

  test('postgres: jobs that others need are filed with their batch, and hand their outputs on', async () => {
    const needed = many(40)
    const wants = needing([], {
      group: 'flow',
      needs: needed.map(({ id }) => ({ kind: 'job', id, onFailed: 'cancel', output: 'hand' })),
    })
    const [due, later, keyed] = [
      needing(needed.slice(0, 10)),
      needing(needed.slice(5, 20), { delayMs: 3_600_000 }),
      needing(needed.slice(0, 1), { unique: unique('while blocked', { during: ['blocked'] }) }),
    ]
    const jobs = await claimed(needed, [wants, due, later, keyed])
    const single = await rowsOf('finished')
    const answers = await store.settle(
      jobs.slice(0, 39).map((job, at) => finish(job, { output: at % 3 === 0 ? null : `"${at}"` })),
    )
    assert.deepEqual(new Set(answers), new Set(['settled']))
    assert.equal(await rowsOf('finished'), single)
    assert.deepEqual(await statesOf([wants, due, later, keyed]), [
      'blocked',
      'ready',
      'scheduled',
      'ready',
    ])
    const [again] = await store.insert([
      newJob({ queue: 'waiting', unique: unique('while blocked') }),
    ])
    assert.equal(again?.status, 'created')
    await store.settle(jobs.slice(39).map((job) => finish(job, { output: '"39"' })))
    const queues = [{ name: 'waiting', limit: 10 }]
    const handed = (await store.claim(claimOf({ queues }))).jobs.find(({ id }) => id === wants.id)
    assert.ok(handed && typeof handed.needed !== 'string')
    const outputs = new Map(handed.needed.map(({ id, state, output }) => [id, [state, output]]))
    assert.deepEqual(
      needed.map(({ id }) => outputs.get(id)),
      needed.map((_, at) => ['completed', at < 39 && at % 3 === 0 ? null : `"${at}"`]),
    )
    assert.equal(await rowsOf('needs'), 0)
    await store.remove([later.id])
  })

  test('postgres: jobs that become free together stand by their head starts', async () => {
    const needed = many(20)
    const [late, plain, early] = [-60_000, 0, 60_000].map((headStartMs) =>
      needing(needed, { headStartMs }),
    )
    const jobs = await claimed(needed, [late!, plain!, early!])
    await store.settle(jobs.map((job) => finish(job)))
    const queues = [{ name: 'waiting', limit: 10 }]
    const { jobs: free } = await store.claim(claimOf({ queues }))
    assert.deepEqual(
      free.map(({ id }) => id),
      [early?.id, plain?.id, late?.id],
    )
    await store.settle(free.map((job) => finish(job)))
  })

  test('postgres: an end that others do not survive ends these, beside ends that they wait for no more', async () => {
    const needed = many(4)
    const [first, second, third, fourth] = needed as [NewJob, NewJob, NewJob, NewJob]
    const run = [{ kind: 'job', id: second.id, onFailed: 'run' }] as const
    const waiting = [needing([first]), needing([], { needs: run }), needing([third])]
    const [one, two, three, four] = await claimed(needed, waiting)
    assert.ok(one && two && three && four)
    const answers = await store.settle([
      finish(one, { state: 'discarded' }),
      finish(two, { state: 'discarded' }),
      finish(three, { keepMs: 0 }),
      finish(four),
    ])
    assert.deepEqual(answers, ['settled', 'settled', 'settled', 'settled'])
    assert.deepEqual(await statesOf(waiting), ['cancelled', 'ready', 'ready'])
    assert.deepEqual(await statesOf([third, fourth]), [undefined, 'completed'])
    assert.equal(await rowsOf('needs'), 0)
    await store.remove(waiting.map(({ id }) => id))
  })

  test('postgres: a job whose dependant an open transaction holds is held, and its batch is settled', async () => {
    const needed = many(20)
    const waiting = [needing(needed.slice(3, 4)), needing(needed.slice(5, 15))]
    const jobs = await claimed(needed, waiting)
    const client = new pg.Client(url)
    await client.connect()
    try {
      await client.query('BEGIN')
      await client.query(`SELECT 1 FROM ${schema}.jobs WHERE id = $1 FOR UPDATE`, [waiting[0]?.id])
      const answers = await store.settle(jobs.map((job) => finish(job)))
      assert.deepEqual(
        answers,
        needed.map((_, at) => (at === 3 ? 'held' : 'settled')),
      )
      assert.deepEqual(await statesOf(waiting), ['blocked', 'ready'])
      await client.query('COMMIT')
    } finally {
      await client.end()
    }
    assert.deepEqual(await store.settle(jobs.slice(3, 4).map((job) => finish(job))), ['settled'])
    assert.deepEqual(await statesOf(waiting), ['ready', 'ready'])
    await store.remove(waiting.map(({ id }) => id))
  })

  test('postgres: two processes that end what the same jobs need release each of these once', async () => {
    const needed = many(60)
    const waiting = Array.from({ length: 10 }, (_, at) =>
      needing(needed.filter((_, place) => place % 10 === at || place % 10 === 9 - at)),
    )
    await store.insert([...needed, ...waiting])
    const queues = [{ name: 'queue', limit: 20 }]
    const leased = [
      (await store.claim(claimOf({ queues }))).jobs,
      (await other.claim(claimOf({ queues }))).jobs,
      (await store.claim(claimOf({ queues }))).jobs,
    ]
    const [first = [], second = [], third = []] = leased
    const answers = await Promise.all([
      store.settle([...first, ...third.slice(0, 10)].map((job) => finish(job))),
      other.settle(second.map((job) => finish(job))),
      store.settle(third.slice(10).map((job) => finish(job))),
    ])
    assert.deepEqual(new Set(answers.flat()), new Set(['settled']))
    assert.deepEqual(new Set(await statesOf(waiting)), new Set(['ready']))
    const { jobs } = await store.claim(claimOf({ queues: [{ name: 'waiting', limit: 100 }] }))
    assert.deepEqual(jobs.map(({ id }) => id).sort(), waiting.map(({ id }) => id).sort())
    const counted = await store.counts()
    assert.equal(
      counted.find(({ queue, state }) => queue === 'waiting' && state === 'blocked'),
      undefined,
    )
    await store.settle(jobs.map((job) => finish(job)))
  })

  test('postgres: follow-ups come with the ends of a batch, but for those that were not accepted', async () => {
    const parents = many(20)
    const jobs = await claimed(parents, [])
    const followUp = (job: ClaimedJob, at: number): NewJob =>
      newJob({
        queue: 'follow-ups',
        parent: job.id,
        input: `"${at}"`,
        priority: at % 2,
        tags: [`${at}`],
      })
    const follows = jobs.map((job, at) =>
      at % 4 === 3 ? [] : Array.from({ length: at === 1 ? 2 : 1 }, () => followUp(job, at)),
    )
    await store.cancel([parents[4]?.id ?? ''], null)
    const settlements = jobs.map((job, at) =>
      finish(job, { yieldsToCancel: true, followUps: follows[at] ?? [] }),
    )
    const expected = parents.map((_, at) => (at === 4 ? 'cancel-asked' : 'settled'))
    assert.deepEqual(await store.settle(settlements), expected)
    assert.deepEqual(await store.settle(settlements), expected)
    const { jobs: found } = await store.list({ queue: 'follow-ups', limit: 100 })
    const shown = ({ id, parent, input, tags }: NewJob | StoredJob): string =>
      [id, parent, input, ...tags].join(' ')
    assert.deepEqual(new Set(found.map(({ state }) => state)), new Set(['ready']))
    assert.deepEqual(
      found.map(shown).sort(),
      follows
        .filter((_, at) => at !== 4)
        .flat()
        .map(shown)
        .sort(),
    )
    const queues = [{ name: 'follow-ups', limit: 100 }]
    assert.equal((await store.claim(claimOf({ queues }))).jobs.length, found.length)
  })
}
