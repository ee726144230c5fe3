/** That queues which were used once cost a claim nothing, once their dead rows are cleared away. */
import assert from 'node:assert/strict'
import test, { type TestContext } from 'node:test'
import { setTimeout as soon } from 'node:timers/promises'
import pg from 'pg'
import { findPostgres, query } from '../../../test/postgres-server.ts'
import { claimOf, finish, newJob, workerOf } from '../../testing/conformance/jobs.ts'
import type { Store } from '../../store/store.ts'
import { postgres } from './index.ts'

const server = await findPostgres()
/** So many names, a job in each: dead rows in the table `ready`. */
const names = 6_000
/** The pages of the index that a look for a queue with work reads: few, and those of all names. */
const few = 10
const many = 30
/** An empty queue is forgotten within 10 s: a worker tends the store each 5 s, beside that. */
const clearedMs = 5_000
/** A vacuum of so small a table takes less. */
const pauseMs = 50

if (server !== null) {
  const { url } = server
  test.after(() => server.stop())

  test('postgres: queues used once are passed by soon after, and one of a fleet clears them away', async (t) => {
    const scene = await used(t, 'vacuum_owner')
    assert.ok((await scene.pages()) > many)
    await scene.cleared()
    for (let beat = 0; beat < 10; beat += 1) await scene.beat()
    assert.equal(await scene.vacuums(), 1)
  })

  test('postgres: dead rows that an open transaction holds are not vacuumed with each heartbeat', async (t) => {
    const scene = await used(t, 'vacuum_held', async (other) => {
      await other.query('BEGIN ISOLATION LEVEL REPEATABLE READ')
      await other.query('SELECT 1')
    })
    for (let beat = 0; beat < 20; beat += 1) await scene.beat()
    assert.equal(await scene.vacuums(), 1)
    assert.ok((await scene.pages()) > many, 'they are held')
  })

  test('postgres: a claim that found work where it looked first does not search dead rows each time', async (t) => {
    const scene = await used(t, 'vacuum_search', async (other) => {
      await other.query('BEGIN ISOLATION LEVEL REPEATABLE READ')
      await other.query('SELECT 1')
    })
    const soFar = async (): Promise<number> => {
      const { rows } = await scene.client.query<{ count: string }>(
        `SELECT pg_stat_get_xact_tuples_returned('vacuum_search.ready_line'::regclass) AS count`,
      )
      return Number(rows[0]?.count)
    }
    const queues = [{ name: 'default', limit: 10 }]
    const read: number[] = []
    const rests: (number | null)[] = []
    // The search rests for some ten milliseconds, in which a busy machine may not come to a claim.
    for (let job = 0; job < 200 && !(rests.some(isTime) && Math.min(...read) < few); job += 1) {
      await scene.onClient.insert([newJob({ queue: 'default' })])
      await scene.client.query('BEGIN')
      const before = await soFar()
      const claimed = await scene.onClient.claim(claimOf({ queues, others: 10, limit: 10 }))
      read.push((await soFar()) - before)
      await scene.client.query('COMMIT')
      assert.equal(claimed.jobs.length, 1)
      rests.push(claimed.nextDueMs)
    }
    assert.ok(rests.some(isTime), 'when to search again')
    assert.ok(Math.max(...read) > names, 'the first search reads them')
    assert.ok(Math.min(...read) < few, `${read.join()} rows`)
    await scene.onClient.insert([newJob({ queue: 'elsewhere' })])
    const claimed = await scene.onClient.claim(claimOf({ queues, others: 10, limit: 10 }))
    assert.equal(claimed.jobs[0]?.queue, 'elsewhere', 'where nothing is left, it searches at once')
  })

  test('postgres: who may not vacuum is warned, and no vacuum is sent on a client of the user', async (t) => {
    const role = 'vacuum_app'
    const schema = 'vacuum_poor'
    await query(url, `DROP ROLE IF EXISTS ${role}; CREATE ROLE ${role} LOGIN PASSWORD 'pw'`)
    const scene = await used(t, schema)
    t.after(() => query(url, `DROP OWNED BY ${role}; DROP ROLE ${role}`))
    await query(
      url,
      `GRANT USAGE ON SCHEMA ${schema} TO ${role};
       GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA ${schema} TO ${role}`,
    )
    const own = new URL(url)
    ;[own.username, own.password] = [role, 'pw']
    const poor = postgres(own.href, { schema, listen: false })
    t.after(() => poor.close())
    for (const store of [poor, scene.onClient]) await store.tend(workerOf())
    await soon(pauseMs)
    assert.equal(await scene.vacuums(), 0)
    const warned = async (store: Store): Promise<boolean> =>
      (await store.warnings('ask')).some(({ text }) => /dead rows .* may not vacuum/.test(text))
    assert.deepEqual([await warned(poor), await warned(scene.store)], [true, false])
  })

  function isTime(ms: number | null): boolean {
    return ms !== null
  }

  interface Scene {
    readonly store: Store
    /** A store on a client of the user, by which the queues were used. */
    readonly onClient: Store
    readonly client: pg.Client
    readonly other: pg.Client
    /** How many pages of the index the look for a queue with work reads. */
    pages(): Promise<number>
    /** Tends the store, and waits a moment. */
    beat(): Promise<void>
    /** How often the table was vacuumed. */
    vacuums(): Promise<number>
    /** Resolves when that look reads few pages, while workers tend the store; fails if it is late. */
    cleared(): Promise<void>
  }

  /** A store in which each of many queues had one job, and autovacuum is off. */
  async function used(
    t: TestContext,
    schema: string,
    before: (other: pg.Client) => Promise<void> = async () => {},
  ): Promise<Scene> {
    const client = new pg.Client(url)
    const other = new pg.Client(url)
    await Promise.all([client.connect(), other.connect()])
    await query(url, `DROP SCHEMA IF EXISTS ${schema} CASCADE`)
    const onClient = postgres(client, { schema, listen: false })
    const store = postgres(url, { schema, listen: false })
    t.after(async () => {
      await store.close()
      await Promise.all([client.end(), other.end()])
      await query(url, `DROP SCHEMA ${schema} CASCADE`)
    })
    await store.setup()
    await query(url, `ALTER TABLE ${schema}.ready SET (autovacuum_enabled = off)`)
    await before(other)
    for (let from = 0; from < names; from += 1_000) {
      const jobs = Array.from({ length: 1_000 }, (_, at) => newJob({ queue: `q${from + at}` }))
      await onClient.insert(jobs)
      const claimed = await onClient.claim(claimOf({ queues: [], others: 1_000, limit: 1_000 }))
      assert.equal(claimed.jobs.length, 1_000)
      await onClient.settle(claimed.jobs.map((job) => finish(job)))
    }
    // What this session has counted is known to all.
    await client.query('SELECT pg_stat_force_next_flush()')
    const count = async (sql: string): Promise<number> =>
      Number((await query(url, sql))[0]?.['count'])
    const pages = (): Promise<number> =>
      count(`WITH look AS MATERIALIZED (SELECT ${schema}.next_busy('') AS name)
        SELECT pg_stat_get_xact_blocks_fetched('${schema}.ready_line'::regclass) AS count FROM look`)
    const vacuums = (): Promise<number> =>
      count(`SELECT pg_stat_get_vacuum_count('${schema}.ready'::regclass) AS count`)
    const beat = async (): Promise<void> => {
      await store.tend(workerOf())
      await soon(pauseMs)
    }
    const cleared = async (): Promise<void> => {
      const until = performance.now() + clearedMs
      for (let seen = await pages(); seen > few; seen = await pages()) {
        assert.ok(performance.now() < until, `${seen} pages are walked`)
        await beat()
      }
    }
    return { store, onClient, client, other, pages, beat, vacuums, cleared }
  }
}
