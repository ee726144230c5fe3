import assert from 'node:assert/strict'
import test from 'node:test'
import { Kysely, PostgresDialect, sql as kyselySql } from 'kysely'
import pg from 'pg'
import postgresJs from 'postgres'
import { findPostgres, query } from '../../../test/postgres-server.ts'
import { longestMs } from '../../core/duration.ts'
import { isErrandError } from '../../core/errors.ts'
import { normaliseUnique, uniqueKey } from '../../core/unique.ts'
import type { Hint } from '../../store/worker-calls.ts'
import type { Store } from '../../store/store.ts'
import { claimOf, finish, newJob, unique } from '../../testing/conformance/jobs.ts'
import { postgres } from './index.ts'

const server = await findPostgres()

/** Loaded without its types, which need the clients of every database that it knows. */
const { drizzleSql, drizzlePg, drizzleJs } = await loadDrizzle()

/** A library: begins a transaction, hands it over with a way to write a row of the user's own, and rolls back when told. */
interface Library {
  readonly name: string
  run(
    work: (tx: unknown, write: (text: string) => Promise<unknown>) => Promise<void>,
  ): Promise<void>
  close(): Promise<void>
}

class RolledBack extends Error {}

if (server !== null) {
  const { url } = server
  const store = postgres(url, { schema: 'tx_jobs' })
  await query(
    url,
    'DROP SCHEMA IF EXISTS tx_jobs CASCADE; DROP TABLE IF EXISTS rows; CREATE TABLE rows (value text)',
  )
  const libraries = [
    pgClient(url),
    pgPoolClient(url),
    js(url),
    kysely(url),
    drizzleOnPg(url),
    drizzleOnJs(url),
  ]
  test.after(async () => {
    for (const library of libraries) await library.close()
    await store.close()
    await query(url, 'DROP SCHEMA tx_jobs CASCADE; DROP TABLE rows')
    await server.stop()
  })
  for (const library of libraries) testLibrary(library, store, url)
  testOthers(store, url)
}

function testLibrary(library: Library, store: Store, url: string): void {
  const name = (rule: string): string => `postgres tx, ${library.name}: ${rule}`

  test(name('an insert belongs to the transaction: gone with it, there with it'), async () => {
    const [lost, kept] = [newJob(), newJob({ input: `{"text":"it's \\\\ \\"quoted\\" $1"}` })]
    await library
      .run(async (tx, write) => {
        await write('lost')
        assert.equal((await store.insert([lost], { tx }))[0]?.status, 'created')
        throw new RolledBack()
      })
      .catch((error: unknown) => assert.ok(error instanceof RolledBack, String(error)))
    await library.run(async (tx, write) => {
      await write(kept.id)
      await store.insert([kept], { tx })
      assert.deepEqual(await store.get([kept.id]), [null])
    })
    const [none, job] = await store.get([lost.id, kept.id])
    assert.equal(none, null)
    assert.equal(job?.input, kept.input)
    assert.equal((await query(url, 'SELECT * FROM rows WHERE value = $1', [kept.id])).length, 1)
  })

  test(name('a completion belongs to the transaction'), async () => {
    const job = newJob({ queue: `complete ${library.name}` })
    await store.insert([job])
    const [lease] = (await store.claim(claimOf({ queues: [{ name: job.queue, limit: 1 }] }))).jobs
    assert.ok(lease)
    await library
      .run(async (tx) => {
        assert.deepEqual(await store.settle([finish(lease)], tx), ['settled'])
        throw new RolledBack()
      })
      .catch((error: unknown) => assert.ok(error instanceof RolledBack, String(error)))
    assert.equal((await store.get([job.id]))[0]?.state, 'running')
    const followUp = newJob()
    await library.run(async (tx, write) => {
      await write(job.id)
      assert.deepEqual(
        await store.settle([finish(lease, { output: '1', followUps: [followUp] })], tx),
        ['settled'],
      )
    })
    const [done, next] = await store.get([job.id, followUp.id])
    assert.deepEqual([done?.state, done?.output, next?.state], ['completed', '1', 'ready'])
    assert.deepEqual(await store.settle([finish(lease)]), ['settled'])
  })

  test(name('a unique conflict is answered, and the transaction goes on'), async () => {
    const rule = unique(`tx ${library.name}`)
    const holder = newJob({ unique: rule })
    await store.insert([holder])
    await library.run(async (tx, write) => {
      const [answer] = await store.insert([newJob({ unique: rule })], { tx })
      assert.deepEqual(answer, { id: holder.id, status: 'duplicate', token: null })
      await write('after the conflict')
    })
  })
}

function testOthers(store: Store, url: string): void {
  test('postgres: errand.enqueue refuses times and priorities out of bounds by their names', async () => {
    const call = (options: object): Promise<unknown> =>
      query(
        url,
        `SELECT tx_jobs.enqueue('task', '{}', '${JSON.stringify({ queue: 'sql', ...options })}')`,
      )
    const far = longestMs + 1
    for (const [name, values] of Object.entries({
      delayMs: [-1, far, 2 ** 53, 1e300],
      startWithinMs: [-1, far, 1e300],
      deadlineMs: [-1, far, 1e300],
      priority: [-1_001, 1_001],
      runAt: ['9999-01-01', '0001-01-01', 'infinity', '-infinity'],
    })) {
      for (const value of values)
        await assert.rejects(call({ [name]: value }), { code: '22023', message: new RegExp(name) })
    }
    assert.deepEqual(await store.list({ queue: 'sql', limit: 10 }), { jobs: [], next: null })
    const { delayMs, startWithinMs } = { delayMs: longestMs, startWithinMs: longestMs }
    await call({ delayMs, startWithinMs, deadlineMs: null, priority: -1_000 })
    const { jobs } = await store.list({ queue: 'sql', limit: 10 })
    assert.deepEqual(
      jobs.map(({ state, priority }) => [state, priority]),
      [['scheduled', -1_000]],
    )
    await store.remove(jobs.map(({ id }) => id))
  })

  test('postgres tx: a pool, and what is no transaction, is refused before anything is written', async () => {
    const pool = new pg.Pool({ connectionString: url })
    const sql = postgresJs(url)
    const db = new Kysely<unknown>({
      dialect: new PostgresDialect({ pool: new pg.Pool({ connectionString: url }) }),
    })
    const job = newJob()
    for (const tx of [pool, sql, db, {}, 'tx', null, () => {}]) {
      await assert.rejects(store.insert([job], { tx }), (error) =>
        isErrandError(error, 'tx-unsupported'),
      )
    }
    assert.deepEqual(await store.get([job.id]), [null])
    await pool.end()
    await sql.end()
    await db.destroy()
  })

  test('postgres tx: watchers hear of an insert when its transaction commits, not before', async () => {
    const other = postgres(url, { schema: 'tx_jobs' })
    const hints: Hint[] = []
    const client = new pg.Client(url)
    await client.connect()
    const job = newJob()
    try {
      other.watch((hint) => hints.push(hint))
      await heard(hints, 'work')
      hints.length = 0
      await client.query('BEGIN')
      await store.insert([job], { tx: client })
      await new Promise((resolve) => setTimeout(resolve, 100))
      assert.ok(!hints.includes('work'))
      await client.query('COMMIT')
      await heard(hints, 'work')
    } finally {
      await client.end()
      await other.close()
    }
  })

  test('postgres: the SQL function enqueues from a trigger, in the transaction that fires it', async () => {
    await store.registerTasks([
      { name: 'mail', aliases: [], queue: 'mails', inputSchema: null, options: '{}' },
    ])
    const client = new pg.Client(url)
    await client.connect()
    try {
      await client.query(`CREATE TABLE users (name text);
        CREATE FUNCTION greet() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN PERFORM tx_jobs.enqueue('mail', jsonb_build_object('to', NEW.name)); RETURN NEW; END $$;
        CREATE TRIGGER greet AFTER INSERT ON users FOR EACH ROW EXECUTE FUNCTION greet()`)
      await client.query(`BEGIN; INSERT INTO users VALUES ('lost'); ROLLBACK`)
      await client.query(`INSERT INTO users VALUES ('ada')`)
      const { jobs } = await store.list({ limit: 10, tasks: ['mail'] })
      assert.deepEqual(
        jobs.map(({ queue, input, state }) => [queue, JSON.parse(input), state]),
        [['mails', { to: 'ada' }, 'ready']],
      )
    } finally {
      await client.query('DROP TABLE users; DROP FUNCTION greet')
      await client.end()
    }
  })

  test('postgres: the SQL function takes options, refuses unknown ones, and answers the holder of a key', async () => {
    const call = async (options: object): Promise<string> =>
      String(
        (
          await query(url, `SELECT tx_jobs.enqueue('any', '{}', $1) AS id`, [
            JSON.stringify(options),
          ])
        )[0]?.['id'],
      )
    const id = await call({
      queue: 'q',
      priority: -3,
      delayMs: 60_000,
      uniqueKey: 'k',
      deadlineMs: 90_000,
    })
    assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
    const [job] = await store.get([id])
    assert.deepEqual(
      [job?.queue, job?.priority, job?.state, job?.uniqueKey],
      ['q', -3, 'scheduled', 'any:k'],
    )
    assert.equal(await call({ uniqueKey: 'k' }), id)
    const [later] = await store.get([await call({ runAt: '2100-01-01T00:00:00Z' })])
    assert.equal(later?.dueAt, Date.UTC(2100, 0, 1))
    await assert.rejects(call({ prioritty: 1 }), /no option prioritty/)
    for (const bad of ['', null]) await assert.rejects(call({ uniqueKey: bad }), /not empty/)
    for (const options of [{ queue: 'a\u001f' }, { uniqueKey: 'a\nb' }, { queue: '\u009b' }])
      await assert.rejects(call(options), /no control characters/)
    await call({ queue: 'größe 👍', uniqueKey: '日本語' })
  })

  test('postgres: the SQL function meets the keys of a task that was renamed, and of a job that runs', async () => {
    await store.registerTasks([
      { name: 'named', aliases: ['first', 'second'], queue: 'n', inputSchema: null, options: '{}' },
    ])
    const call = async (task: string): Promise<unknown> =>
      (await query(url, `SELECT tx_jobs.enqueue($1, '{}', '{"uniqueKey":"k"}') AS id`, [task]))[0]
    const id = await call('first')
    assert.deepEqual(await call('named'), id)
    await store.claim({ ...claimOf(), queues: [], others: 10 })
    assert.deepEqual(await call('named'), id)
  })

  test('postgres: what is called finds the functions of the server, not those of the path', async () => {
    const client = new pg.Client(url)
    await client.connect()
    try {
      await client.query(`CREATE SCHEMA tx_others;
        CREATE FUNCTION tx_others.json_array_length(json) RETURNS int LANGUAGE sql AS 'SELECT 1/0';
        SET search_path = tx_others, pg_catalog`)
      await assert.rejects(client.query(`SELECT json_array_length('[]'::json)`), { code: '22012' })
      await client.query(`SELECT tx_jobs.enqueue('any', '{}')`)
      await client.query('BEGIN')
      const job = newJob({ unique: unique('path') })
      const [answer] = await store.insert([job], { tx: client })
      await client.query('COMMIT')
      assert.equal(answer?.status, 'created')
      await store.remove([job.id])
    } finally {
      await client.query('DROP SCHEMA tx_others CASCADE')
      await client.end()
    }
  })

  test('postgres: the SQL function makes the same unique keys as a program', async () => {
    for (const task of ['mail', 'mail:send', '10%:off', '%3A', 'é: ü']) {
      for (const key of ['ada', ':', 'send:ada', '%3A', 'é'.repeat(100), 'é'.repeat(101)]) {
        const [row] = await query(url, `SELECT tx_jobs.unique_key($1, $2) AS key`, [task, key])
        const layer = normaliseUnique({ key }, 'unique')
        assert.ok(layer)
        assert.equal(row?.['key'], uniqueKey(task, layer, null), `${task} ${key}`)
      }
    }
  })
}

async function heard(hints: readonly Hint[], hint: Hint): Promise<void> {
  const end = performance.now() + 10_000
  while (!hints.includes(hint)) {
    assert.ok(performance.now() < end, `no hint of ${hint}`)
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
}

const INSERT = 'INSERT INTO rows (value) VALUES ($1)'

function pgClient(url: string): Library {
  const client = new pg.Client(url)
  const connected = client.connect()
  return {
    name: 'pg client',
    run: async (work) => {
      await connected
      await client.query('BEGIN')
      try {
        await work(client, (text) => client.query(INSERT, [text]))
        await client.query('COMMIT')
      } catch (error) {
        await client.query('ROLLBACK')
        throw error
      }
    },
    close: () => client.end(),
  }
}

function pgPoolClient(url: string): Library {
  const pool = new pg.Pool({ connectionString: url })
  return {
    name: 'pg pool client',
    run: async (work) => {
      const client = await pool.connect()
      await client.query('BEGIN')
      try {
        await work(client, (text) => client.query(INSERT, [text]))
        await client.query('COMMIT')
      } catch (error) {
        await client.query('ROLLBACK')
        throw error
      } finally {
        client.release()
      }
    },
    close: () => pool.end(),
  }
}

function js(url: string): Library {
  const sql = postgresJs(url, { onnotice: () => {} })
  return {
    name: 'postgres.js',
    run: async (work) => {
      await sql.begin((tx) => work(tx, (text) => tx`INSERT INTO rows (value) VALUES (${text})`))
    },
    close: () => sql.end(),
  }
}

function kysely(url: string): Library {
  const db = new Kysely<unknown>({
    dialect: new PostgresDialect({ pool: new pg.Pool({ connectionString: url }) }),
  })
  return {
    name: 'Kysely',
    run: (work) =>
      db
        .transaction()
        .execute((trx) =>
          work(trx, (text) => kyselySql`INSERT INTO rows (value) VALUES (${text})`.execute(trx)),
        ),
    close: () => db.destroy(),
  }
}

function drizzleOnPg(url: string): Library {
  const pool = new pg.Pool({ connectionString: url })
  const db = drizzlePg(pool)
  return {
    name: 'Drizzle on pg',
    run: (work) =>
      db.transaction((tx) =>
        work(tx, (text) => tx.execute(drizzleSql`INSERT INTO rows (value) VALUES (${text})`)),
      ),
    close: () => pool.end(),
  }
}

function drizzleOnJs(url: string): Library {
  const sql = postgresJs(url, { onnotice: () => {} })
  const db = drizzleJs(sql)
  return {
    name: 'Drizzle on postgres.js',
    run: (work) =>
      db.transaction((tx) =>
        work(tx, (text) => tx.execute(drizzleSql`INSERT INTO rows (value) VALUES (${text})`)),
      ),
    close: () => sql.end(),
  }
}

interface Drizzle {
  transaction(
    work: (tx: { execute(query: unknown): Promise<unknown> }) => Promise<void>,
  ): Promise<void>
}

async function loadDrizzle(): Promise<{
  drizzleSql: (parts: TemplateStringsArray, ...values: unknown[]) => unknown
  drizzlePg: (pool: unknown) => Drizzle
  drizzleJs: (sql: unknown) => Drizzle
}> {
  const load = async <T>(name: string): Promise<T> => (await import(name)) as T
  const { sql } = await load<{
    sql: (parts: TemplateStringsArray, ...values: unknown[]) => unknown
  }>('drizzle-orm')
  const onPg = await load<{ drizzle: (pool: unknown) => Drizzle }>('drizzle-orm/node-postgres')
  const onJs = await load<{ drizzle: (sql: unknown) => Drizzle }>('drizzle-orm/postgres-js')
  return { drizzleSql: sql, drizzlePg: onPg.drizzle, drizzleJs: onJs.drizzle }
}
