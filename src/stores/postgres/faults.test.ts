import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import test from 'node:test'
import pg from 'pg'
import { findPostgres, query } from '../../../test/postgres-server.ts'
import { tcpProxy, type TcpProxy } from '../../../test/tcp-proxy.ts'
import { isErrandError, type ErrandErrorCode } from '../../core/errors.ts'
import type { NewJob } from '../../store/job.ts'
import type { Store } from '../../store/store.ts'
import { claimOf, finish, newJob, unique } from '../../testing/conformance/jobs.ts'
import { postgres } from './index.ts'

/** How a job may be forgotten: with what it was inserted, and what is done to it. */
const waysToForget: readonly (readonly [
  way: string,
  over: Partial<NewJob>,
  forget: (store: Store, job: NewJob) => Promise<void>,
])[] = [
  ['it ends', {}, (store, job) => ended(store, job, 0)],
  ['it ends, and had a key', { unique: unique('k') }, (store, job) => ended(store, job, 0)],
  [
    'it ends and is pruned',
    {},
    async (store, job) => {
      await ended(store, job, 1)
      await new Promise((resolve) => setTimeout(resolve, 5))
      await store.prune({ limit: 1_000, cap: 1_000_000 })
    },
  ],
  ['it is removed', {}, async (store, { id }) => void (await store.remove([id]))],
  [
    'it ends and is taken',
    {},
    async (store, job) => {
      await ended(store, job, 60_000)
      await store.take([job.id])
    },
  ],
]

async function ended(store: Store, { queue }: NewJob, keepMs: number): Promise<void> {
  const { jobs } = await store.claim(claimOf({ queues: [{ name: queue, limit: 1 }] }))
  assert.deepEqual(await store.settle(jobs.map((job) => finish(job, { keepMs }))), ['settled'])
}

const server = await findPostgres()
const schema = 'fault_jobs'

if (server !== null) {
  const { url } = server
  const proxy = await tcpProxy(Number(new URL(url).port || 5432))
  const proxied = url.replace(/:\d+\//, `:${proxy.port}/`)
  await query(url, `DROP SCHEMA IF EXISTS ${schema} CASCADE`)
  test.after(async () => {
    await proxy.close()
    await query(url, `DROP SCHEMA ${schema} CASCADE`).catch(() => {})
    await server.stop()
  })

  test('postgres: an enqueue that the server refuses with its message is stored without', async () => {
    const store = postgres(url, { schema: 'full_jobs' })
    try {
      await store.setup()
      await query(
        url,
        `CREATE SEQUENCE full_jobs.tries;
        CREATE FUNCTION full_jobs.fill() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
          IF nextval('full_jobs.tries') = 1 THEN
            RAISE program_limit_exceeded USING MESSAGE = 'too many notifications in the NOTIFY queue';
          END IF;
          RETURN NULL;
        END $$;
        CREATE CONSTRAINT TRIGGER fill AFTER INSERT ON full_jobs.ready DEFERRABLE INITIALLY DEFERRED
          FOR EACH ROW EXECUTE FUNCTION full_jobs.fill()`,
      )
      const job = newJob()
      assert.deepEqual(await store.insert([job]), [{ id: job.id, status: 'created', token: null }])
      assert.equal((await store.get([job.id]))[0]?.state, 'ready')
    } finally {
      await store.close()
      await query(url, 'DROP SCHEMA full_jobs CASCADE')
    }
  })

  test('postgres: mistakes in options are refused where they are made', () => {
    const refused = (make: () => Store, about: RegExp): void => {
      assert.throws(
        make,
        (error) => isErrandError(error, 'invalid-option') && about.test(error.message),
      )
    }
    refused(() => postgres('not a url'), /needs a URL/)
    refused(() => postgres({}), /needs a URL, or a pool or client/)
    refused(() => postgres(url, { schema: 'Errand; DROP' }), /plain name/)
    refused(() => postgres(url, { shema: 'x' } as object), /schema/)
  })

  test('postgres: what the store tells of its place holds no password', async () => {
    const store = postgres('postgres://user:secret@db.example:5433/app', { schema })
    assert.equal(store.info.location, `postgres://db.example:5433/app, schema ${schema}`)
    assert.match(store.info.durability, /synchronous_commit/)
    await store.close()
    const real = postgres(url, { schema })
    await real.setup()
    assert.match(real.info.durability, /synchronous_commit = on/)
    await real.close()
  })

  const faults: readonly [name: string, url: string, about: RegExp][] = [
    ['nothing listens', 'postgres://postgres@127.0.0.1:1/postgres', /nothing listens there/],
    [
      'the host is unknown',
      'postgres://postgres@no.such.host.invalid/postgres',
      /host name cannot be found/,
    ],
    ['the database is missing', url.replace(/\/[^/]*$/, '/missing'), /no such database/],
  ]
  for (const [name, wrong, about] of faults) {
    test(`postgres: each call tells when ${name}`, async () => {
      const store = postgres(wrong, { schema })
      for (const call of [
        () => store.setup(),
        () => store.insert([newJob()]),
        () => store.claim(claimOf()),
      ])
        await rejects(call(), 'store-unavailable', about)
      await store.close()
    })
  }

  test(
    'postgres: a wrong password is told, and not shown',
    { skip: server.started === null },
    async () => {
      await query(url, `CREATE ROLE locked LOGIN PASSWORD 'right'`)
      const store = postgres(url.replace('postgres@', 'locked:wrong-one@'), { schema })
      await rejects(store.setup(), 'store-unavailable', /user or password is wrong/)
      await store.setup().catch((error: unknown) => assert.ok(!String(error).includes('wrong-one')))
      await store.close()
    },
  )

  test('postgres: a user who may not create the schema is told so', async () => {
    await query(url, `DROP ROLE IF EXISTS modest; CREATE ROLE modest LOGIN`)
    const store = postgres(url.replace('postgres@', 'modest@'), { schema: 'not_allowed' })
    await rejects(store.setup(), 'store-unavailable', /may not do that/)
    await store.close()
  })

  test('postgres: a read-only replica is told, and nothing else breaks', async () => {
    await migrated(url)
    const store = postgres(`${url}?options=-c%20default_transaction_read_only%3Don`, { schema })
    await rejects(store.insert([newJob()]), 'store-unavailable', /read-only/)
    assert.deepEqual(await store.get([newJob().id]), [null])
    await store.close()
  })

  test('postgres: a schema that is newer than the code is refused', async () => {
    const [newer] = ['newer_jobs']
    const first = postgres(url, { schema: newer })
    await first.setup()
    await first.close()
    await query(url, `UPDATE ${newer}.meta SET value = 99 WHERE name = 'schema'`)
    const store = postgres(url, { schema: newer })
    await rejects(store.insert([newJob()]), 'store-too-new', /schema 99/)
    await store.close()
    await query(url, `DROP SCHEMA ${newer} CASCADE`)
  })

  test('postgres: without pg the first call says how to install it', async () => {
    const program = `
      import { registerHooks } from 'node:module'
      const gone = Object.assign(new Error("Cannot find package 'pg'"), { code: 'ERR_MODULE_NOT_FOUND' })
      registerHooks({ resolve(name, context, next) { if (name === 'pg') throw gone; return next(name, context) } })
      const { postgres } = await import(${JSON.stringify(import.meta.resolve('./index.ts'))})
      const store = postgres('postgres://localhost/x')
      await store.setup().catch((error) => console.log(error.code, error.message))`
    const child = spawn(process.execPath, [
      '--conditions=errand-source',
      '--input-type=module',
      '-e',
      program,
    ])
    let output = ''
    child.stdout.on('data', (data) => (output += data))
    await once(child, 'close')
    assert.equal(output.trim(), 'missing-peer errand/postgres needs the package pg: npm install pg')
  })

  test('postgres: backends that an administrator ends come back by themselves', async () => {
    const store = postgres(url, { schema })
    await store.insert([newJob()])
    for (let round = 0; round < 5; round += 1) {
      await Promise.all([store.counts(), store.counts()])
      await query(
        url,
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'errand'`,
      )
      // Inserts and reads are repeated; a claim whose connection is gone fails once at most.
      assert.equal((await store.insert([newJob()]))[0]?.status, 'created')
      assert.ok((await store.counts()).length > 0)
      await store
        .claim(claimOf())
        .catch((error: unknown) => assert.ok(isErrandError(error, 'store-unavailable')))
      await store.claim(claimOf())
    }
    await store.close()
  })

  test('postgres: a client and a pool of the user are used, and left as they were', async () => {
    const client = new pg.Client(url)
    await client.connect()
    const pool = new pg.Pool({ connectionString: url, max: 3 })
    for (const connection of [client, pool]) {
      const store = postgres(connection, { schema })
      const job = newJob()
      await Promise.all([store.insert([job]), store.counts(), store.tasks()])
      assert.equal(store.connector, null)
      const stop = store.watch(() => {})
      stop()
      await store.close()
      await rejects(store.counts(), 'closed', /closed/)
    }
    const { rows } = await client.query<{ n: number }>('SELECT 1 AS n')
    assert.deepEqual(rows, [{ n: 1 }])
    await client.end()
    await pool.query('SELECT 1')
    await pool.end()
  })

  testAnswers(proxy, proxied, url)

  test(
    'postgres: a server that stops at once and comes back is used again',
    { skip: server.started === null },
    async () => {
      const store = postgres(url, { schema })
      const [before, after] = [newJob({ queue: 'restart' }), newJob({ queue: 'restart' })]
      await store.insert([before])
      await server.started?.kill()
      await rejects(store.claim(claimOf()), 'store-unavailable', /./)
      await rejects(store.insert([newJob()]), 'store-unavailable', /./)
      await server.started?.start()
      await store.insert([after])
      const { jobs } = await store.claim(claimOf({ queues: [{ name: 'restart', limit: 9 }] }))
      assert.deepEqual(
        jobs.map(({ id }) => id),
        [before.id, after.id],
      )
      await store.close()
    },
  )
}

function testAnswers(proxy: TcpProxy, proxied: string, url: string): void {
  const made = (callDeadlineMs: number): Store =>
    postgres(proxied, { schema, callDeadlineMs, listen: false })

  test('postgres: a call that is not answered ends at its deadline', async () => {
    await migrated(url)
    const store = made(300)
    await store.counts()
    proxy.fallSilent()
    const start = performance.now()
    await rejects(store.claim(claimOf()), 'store-unavailable', /no answer came within 300 ms/)
    assert.ok(performance.now() - start < 10_000)
    proxy.recover()
    proxy.cut()
    await store.claim(claimOf())
    await store.close()
  })

  test('postgres: an insert whose answer was lost is repeated, and adds nothing twice', async () => {
    const store = made(5_000)
    const job = newJob({ queue: 'lost answer' })
    await store.insert([newJob({ queue: job.queue, delayMs: 3_600_000 })])
    await rest(store)
    proxy.swallowAnswers()
    const inserting = store.insert([job])
    await until(async () => (await rowsOf(url, job.id)) === 1)
    proxy.recover()
    proxy.cut()
    assert.deepEqual(await inserting, [{ id: job.id, status: 'created', token: null }])
    assert.equal(
      (await store.claim(claimOf({ queues: [{ name: 'lost answer', limit: 9 }] }))).jobs.length,
      1,
    )
    await store.close()
  })

  for (const [way, over, forget] of waysToForget) {
    test(`postgres: an insert is not repeated when its job is forgotten: ${way}`, async (t) => {
      const [store, other] = [made(10_000), postgres(url, { schema })]
      t.after(() => Promise.all([store.close(), other.close()]))
      await other.setup()
      await query(url, `DELETE FROM ${schema}.erasures`)
      const queue = `forgotten ${way}`
      const job = newJob({ queue, ...over })
      await store.insert([newJob({ queue, delayMs: 3_600_000 })])
      await rest(store)
      proxy.swallowAnswers()
      const inserting = store.insert([job]).then(
        () => null,
        (error: unknown) => error,
      )
      const end = performance.now() + 10_000
      while ((await other.get([job.id]))[0] === null && performance.now() < end) await rest(other)
      await forget(other, job)
      assert.deepEqual(await other.get([job.id]), [null])
      proxy.recover()
      proxy.cut()
      const error = await inserting
      assert.ok(isErrandError(error, 'unknown-outcome'), String(error))
      assert.match(error.message, /have ended since/)
      assert.deepEqual(await other.get([job.id]), [null])
    })
  }

  test('postgres: an insert of which nobody knows whether it was carried out tells its ids', async () => {
    const store = made(500)
    const job = newJob()
    await store.insert([newJob()])
    await rest(store)
    proxy.swallowAnswers()
    await assert.rejects(store.insert([job]), (error) => {
      assert.ok(isErrandError(error, 'unknown-outcome'), String(error))
      assert.deepEqual(error.details['ids'], [job.id])
      return true
    })
    proxy.recover()
    proxy.cut()
    assert.deepEqual((await store.insert([job]))[0]?.status, 'created')
    assert.equal(await rowsOf(url, job.id), 1)
    await store.close()
  })

  test('postgres: an insert holds though the connection breaks while it looks again at its needs', async () => {
    const own = 'fault_looks'
    const store = postgres(url, { schema: own })
    const need = newJob()
    const job = newJob({ needs: [{ kind: 'job', id: need.id, onFailed: 'cancel' }] })
    try {
      await store.insert([need])
      await query(
        url,
        `CREATE OR REPLACE FUNCTION ${own}.recheck(p_ids uuid[]) RETURNS bool LANGUAGE plpgsql AS $$
          BEGIN RETURN pg_terminate_backend(pg_backend_pid()); END $$`,
      )
      assert.deepEqual(await store.insert([job]), [{ id: job.id, status: 'created', token: null }])
      assert.equal((await store.get([job.id]))[0]?.state, 'blocked')
    } finally {
      await store.close()
      await query(url, `DROP SCHEMA ${own} CASCADE`)
    }
  })

  test('postgres: a settlement whose answer was lost is recognised when it is repeated', async () => {
    const store = made(5_000)
    const job = newJob({ queue: 'lost settlement' })
    await store.insert([job])
    const [lease] = (await store.claim(claimOf({ queues: [{ name: job.queue, limit: 1 }] }))).jobs
    assert.ok(lease)
    await rest(store)
    proxy.swallowAnswers()
    const settling = store.settle([finish(lease)])
    settling.catch(() => {})
    await until(
      async () =>
        (await query(url, `SELECT 1 FROM ${schema}.finished WHERE token = $1`, [lease.token]))
          .length === 1,
    )
    proxy.recover()
    proxy.cut()
    await rejects(settling, 'store-unavailable', /./)
    assert.deepEqual(await store.settle([finish(lease)]), ['settled'])
    await store.close()
  })

  test('postgres: close() ends while the server is silent', async () => {
    const store = made(30_000)
    await store.counts()
    proxy.fallSilent()
    const claiming = store.claim(claimOf())
    claiming.catch(() => {})
    const start = performance.now()
    await store.close()
    assert.ok(performance.now() - start < 10_000)
    proxy.recover()
    proxy.cut()
    await assert.rejects(claiming)
  })
}

/** Resolves when both connections are open and have nothing under way. */
async function rest(store: Store): Promise<void> {
  await Promise.all([store.counts(), store.counts()])
}

async function migrated(url: string): Promise<void> {
  const store = postgres(url, { schema })
  await store.setup()
  await store.close()
}

async function rowsOf(url: string, id: string): Promise<number> {
  return (await query(url, `SELECT 1 FROM ${schema}.jobs WHERE id = $1`, [id])).length
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + 10_000
  while (!(await holds())) {
    assert.ok(performance.now() < end, 'it did not come about')
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

async function rejects(
  call: Promise<unknown>,
  code: ErrandErrorCode,
  about: RegExp,
): Promise<void> {
  await assert.rejects(call, (error) => {
    assert.ok(isErrandError(error, code), String(error))
    assert.match(error.message, about)
    return true
  })
}
