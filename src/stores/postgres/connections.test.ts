import assert from 'node:assert/strict'
import test, { type TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { findPgBouncer, findPostgres, query } from '../../../test/postgres-server.ts'
import { tcpProxy } from '../../../test/tcp-proxy.ts'
import { wireServer } from '../../../test/wire-server.ts'
import { isErrandError } from '../../core/errors.ts'
import type { Store } from '../../store/store.ts'
import { claimOf, finish, newJob } from '../../testing/conformance/jobs.ts'
import { Deadline, type Source } from './connection.ts'
import { Database } from './database.ts'
import { Hints } from './hints.ts'
import { migrate } from './schema.ts'
import { postgres } from './index.ts'
import { OwnConnections } from './own-connections.ts'
import { PoolConnections, type PgPool } from './pool-connections.ts'

const server = await findPostgres()
const schema = 'connection_jobs'
const shortMs = 1_000

if (server !== null) {
  const { url } = server
  const pooler = await findPgBouncer(url)
  const proxy = await tcpProxy(Number(new URL(url).port || 5432))
  const proxied = url.replace(/:\d+\//, `:${proxy.port}/`)
  test.after(async () => {
    await proxy.close()
    await query(url, `DROP SCHEMA ${schema} CASCADE`)
    await pooler?.stop()
    await server.stop()
  })

  const open = (t: TestContext, on: string | object, more: object = {}): Store => {
    const store = postgres(on, { schema, listen: false, callDeadlineMs: shortMs, ...more })
    t.after(() => store.close())
    return store
  }
  const ownPool = (t: TestContext, max: number, to = url): pg.Pool => {
    const pool = new pg.Pool({ connectionString: to, max })
    pool.on('error', () => {})
    t.after(async () => {
      proxy.recover()
      proxy.cut()
      // One that was lost to its pool is never given back, and a test that found this out ends all the same.
      await within(2_000, pool.end())
    })
    return pool
  }
  /** A call of a second may be spent on an attempt to connect that was begun in the silence. */
  const comesBack = async (store: Store): Promise<void> => {
    for (const end = performance.now() + 5_000; ; await sleep(50)) {
      try {
        await store.counts()
        return
      } catch (error) {
        if (performance.now() > end) throw error
      }
    }
  }
  const first = postgres(url, { schema })
  await first.setup()
  await first.close()

  const ways: readonly (readonly [name: string, target: (t: TestContext) => string | object])[] = [
    ['own connections', () => proxied],
    ["a pool of the user's", (t) => ownPool(t, 2, proxied)],
  ]
  for (const [name, target] of ways) {
    test(`postgres, ${name}: calls that waited in vain take no connection with them`, async (t) => {
      const store = open(t, target(t))
      await store.counts()
      proxy.fallSilent()
      const ends = await Promise.allSettled(Array.from({ length: 8 }, () => store.counts()))
      assert.deepEqual(
        ends.map(
          (end) => end.status === 'rejected' && isErrandError(end.reason) && end.reason.code,
        ),
        ends.map(() => 'store-unavailable'),
      )
      proxy.recover()
      // Long after every call of before has given up.
      await sleep(3 * shortMs)
      await Promise.all(Array.from({ length: 4 }, () => store.counts()))
    })
  }

  test("postgres, a pool of the user's: it keeps working for its user after a silence", async (t) => {
    const pool = ownPool(t, 3, proxied)
    const store = open(t, pool)
    await store.counts()
    proxy.fallSilent()
    for (let round = 0; round < 3; round += 1)
      await Promise.allSettled(Array.from({ length: 8 }, () => store.counts()))
    proxy.recover()
    await comesBack(store)
    assert.equal(pool.waitingCount, 0)
    const asked = Promise.all([1, 2].map(() => pool.query('SELECT pg_sleep(0.1)')))
    assert.equal(await within(5_000, asked), 'in time')
  })

  test("postgres, a pool of the user's: a lone call in a silence does not cost its only client", async (t) => {
    const pool = ownPool(t, 1, proxied)
    const store = open(t, pool)
    await store.counts()
    proxy.fallSilent()
    await assert.rejects(store.counts())
    proxy.recover()
    await comesBack(store)
    assert.equal(await within(5_000, pool.query('SELECT 1')), 'in time')
  })

  test("postgres, a pool of the user's: a client that comes when nobody waits any more is given back", async (t) => {
    const pool = ownPool(t, 1)
    const store = open(t, pool)
    await store.counts()
    const client = await pool.connect()
    await assert.rejects(store.counts(), /no connection became free/)
    client.release()
    assert.equal(await within(5_000, pool.query('SELECT 1')), 'in time')
    await store.counts()
  })

  test("postgres, a client of the user's: what nobody waits for any more is not sent", async (t) => {
    const client = new pg.Client(url)
    await client.connect()
    t.after(() => client.end())
    const sent: object[] = []
    const watched = {
      on: client.on.bind(client),
      removeListener: client.removeListener.bind(client),
      query: (config: object) => {
        sent.push(config)
        return client.query(config as pg.QueryConfig)
      },
    }
    const store = open(t, watched)
    await store.counts()
    sent.length = 0
    const busy = client.query('SELECT pg_sleep(3)')
    const ends = await Promise.allSettled(Array.from({ length: 5 }, () => store.counts()))
    assert.ok(ends.every(({ status }) => status === 'rejected'))
    await busy
    await store.counts()
    // The one that waited inside the client, and the last.
    assert.equal(sent.length, 2)
  })

  test("postgres, a client of the user's: one that is of no use any more says who can help", async (t) => {
    const client = new pg.Client(url)
    client.on('error', () => {})
    await client.connect()
    const store = open(t, client)
    const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')
    await store.counts()
    await query(url, 'SELECT pg_terminate_backend($1)', [rows[0]?.pid])
    await assert.rejects(
      store.claim(claimOf()),
      (error) =>
        isErrandError(error, 'store-unavailable') && /make a new store/.test(error.message),
    )
  })

  test('postgres: a statement whose connection is lost without a word is found out long before its deadline', async (t) => {
    const store = open(t, proxied, { callDeadlineMs: 30_000 })
    await Promise.all([store.counts(), store.counts()])
    proxy.fallSilent()
    const calls = [store.counts(), store.insert([newJob()])]
    await sleep(100)
    proxy.recover()
    const from = performance.now()
    await Promise.all(calls)
    assert.ok(performance.now() - from < 8_000, `${performance.now() - from} ms`)
  })

  const slowly = async (to: string): Promise<void> => {
    const own = new OwnConnections({ connectionString: to }, 1, new Deadline(30_000, 'here'))
    const held = await own.hold()
    assert.equal((await held.run({ text: 'SELECT pg_sleep(4), 7' }))[0]?.[1], 7)
    held.release(false)
    await own.close()
  }
  test('postgres: a statement that takes long is left alone', async () => slowly(url))
  test(
    'postgres: a statement that takes long is left alone behind a pooler, too',
    { skip: pooler === null },
    async () => slowly(pooler?.url ?? ''),
  )

  test('postgres: an attempt to connect that was begun in a silence is joined by another after it', async (t) => {
    const store = open(t, proxied, { callDeadlineMs: 30_000 })
    proxy.fallSilent()
    const call = store.counts()
    await sleep(200)
    proxy.recover()
    assert.equal(await within(6_000, call), 'in time')
  })

  test('postgres: close() does not wait for a connection that is being made', async () => {
    const store = postgres(proxied, { schema, listen: false })
    proxy.fallSilent()
    const call = store.counts()
    call.catch(() => {})
    await sleep(50)
    assert.equal(await within(1_000, store.close()), 'in time')
    await assert.rejects(call)
    proxy.recover()
  })

  test('postgres: a ping of the listener ends no statement that it waits for', async () => {
    const own = new OwnConnections({ connectionString: url }, 1, new Deadline(30_000, 'here'))
    const [held, listening] = [await own.hold(), await own.holdListening()]
    const slow = held.run({ text: 'SELECT pg_sleep(1), 7' })
    const ping = listening.run({ text: 'SELECT 8' }, 300)
    assert.equal((await slow)[0]?.[1], 7)
    assert.equal((await ping)[0]?.[0], 8)
    held.release(false)
    await own.close()
  })

  test('postgres: what waits behind a statement that passed its deadline goes on on a new connection', async () => {
    const own = new OwnConnections({ connectionString: url }, 1, new Deadline(30_000, 'here'))
    const listening = await own.holdListening()
    const late = listening.run({ text: 'SELECT pg_sleep(20)' }, 300)
    late.catch(() => {})
    const from = performance.now()
    const held = await own.hold()
    assert.equal((await held.run({ text: 'SELECT 9' }))[0]?.[0], 9)
    assert.ok(performance.now() - from < 10_000)
    await assert.rejects(late)
    held.release(false)
    await own.close()
  })

  testPools(url, open)
}

/** Handlers may hold all clients of the pool that the store is on, and wait for the store. */
function testPools(
  url: string,
  open: (t: TestContext, on: string | object, more?: object) => Store,
): void {
  for (const [name, listens] of [
    ['the client that listens serves', true],
    ['it is done within the transaction', false],
  ] as const) {
    test(`postgres: a completion needs no free client of the pool: ${name}`, async (t) => {
      const pool = new pg.Pool({ connectionString: url, max: listens ? 2 : 1 })
      const store = open(t, pool, { listen: listens, callDeadlineMs: 20_000 })
      const other = open(t, url, { callDeadlineMs: 20_000 })
      const queue = `pool ${name}`
      const jobs = [newJob({ queue }), newJob({ queue })]
      await store.insert(jobs)
      const { jobs: leased } = await store.claim(claimOf({ queues: [{ name: queue, limit: 2 }] }))
      const [mine, neighbour] = leased
      assert.ok(mine && neighbour)
      const unwatch = listens ? store.watch(() => {}) : () => {}
      await until(() => pool.totalCount - pool.idleCount === (listens ? 1 : 0))
      const client = await pool.connect()
      t.after(() => client.release())
      await client.query('BEGIN')
      const from = performance.now()
      const followUps = [newJob({ queue: `next ${name}` })]
      assert.deepEqual(await store.settle([finish(mine, { followUps })], client), ['settled'])
      assert.ok(performance.now() - from < 10_000, `${performance.now() - from} ms`)
      if (listens) {
        assert.deepEqual(await store.renew([neighbour], 60_000), ['renewed'])
        assert.deepEqual(await other.settle([finish(neighbour)]), ['settled'])
      }
      await client.query('COMMIT')
      assert.equal((await other.get([mine.id]))[0]?.state, 'completed')
      unwatch()
      t.after(() => pool.end())
    })
  }
}

/** Errors after which a connection is of no use, and some after which it is. */
const useless = [
  '08006',
  '08P01',
  '25006',
  '25P03',
  '25P04',
  '26000',
  '28000',
  '28P01',
  '57P01',
  '57P02',
  '57P03',
  '57P04',
  '57P05',
  '58030',
  'XX000',
] as const
const harmless = ['23505', '40001', '42P01', '53100', '55P03', '57014'] as const

const sources: readonly (readonly [
  name: string,
  make: (t: TestContext, url: string, deadline: Deadline) => Source,
])[] = [
  [
    'own connections',
    (_, url, deadline) => new OwnConnections({ connectionString: url }, 1, deadline),
  ],
  [
    "a pool of the user's",
    (t, url, deadline) => {
      const pool = new pg.Pool({ connectionString: url, max: 1 })
      t.after(() => pool.end())
      return new PoolConnections(pool as unknown as PgPool, deadline)
    },
  ],
]

for (const [name, make] of sources) {
  test(`postgres, ${name}: an error that belongs to the connection drops it, another does not`, async (t) => {
    let code: string | null = null
    const wire = await wireServer(() => code)
    t.after(() => wire.close())
    const deadline = new Deadline(5_000, 'here')
    const source = make(t, wire.url, deadline)
    t.after(() => source.close())
    const parts = { source, listening: null, schema, location: 'here', prepare: false, deadline }
    const db = new Database(parts, new Hints(), migrate)
    const ask = (): Promise<unknown> => db.within((run) => run('SELECT 1'))
    for (const [codes, isDropped] of [
      [useless, true],
      [harmless, false],
    ] as const) {
      for (const one of codes) {
        code = null
        await ask()
        const before = wire.let.count
        code = one
        await assert.rejects(ask(), { code: one })
        code = null
        await ask()
        // A pool proves that somebody is let in before it connects again.
        if (isDropped) assert.ok(wire.let.count > before, `${one} keeps the connection`)
        else assert.equal(wire.let.count, before, `${one} drops the connection`)
      }
    }
    await until(() => wire.let.open <= 1)
  })
}

async function within(ms: number, call: Promise<unknown>): Promise<'in time' | 'late'> {
  const late = AbortSignal.timeout(ms)
  return Promise.race([
    call.then(() => 'in time' as const),
    new Promise<'late'>((resolve) => late.addEventListener('abort', () => resolve('late'))),
  ])
}

async function until(holds: () => boolean): Promise<void> {
  const end = performance.now() + 10_000
  while (!holds()) {
    assert.ok(performance.now() < end, 'it did not come about')
    await sleep(5)
  }
}
