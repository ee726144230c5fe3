import assert from 'node:assert/strict'
import { DatabaseSync } from 'node:sqlite'
import { test, type TestContext } from 'node:test'
import pg from 'pg'
import { constant } from '../../src/core/backoff.ts'
import type { RunningJob } from '../../src/core/running-job.ts'
import { Discard, RetryAfter, Unrecoverable } from '../../src/core/instructions.ts'
import { task } from '../../src/core/task.ts'
import { postgres } from '../../src/stores/postgres/index.ts'
import { sqlite } from '../../src/stores/sqlite/index.ts'
import { findPostgres, query } from '../postgres-server.ts'
import { appOn, newFile, type Bench, type Config } from './harness.ts'

/** A database that holds jobs and rows of the user's own, with a check that fails at the commit. */
interface Ground {
  readonly bench: (config: Config) => Bench
  /** The user's own connection. */
  readonly tx: unknown
  readonly exec: (sql: string) => unknown
  readonly begin: string
}

const tables = `CREATE TABLE accounts (id INTEGER PRIMARY KEY);
  CREATE TABLE payments (account INTEGER REFERENCES accounts (id) DEFERRABLE INITIALLY DEFERRED)`

async function onSqlite(t: TestContext): Promise<Ground> {
  const file = newFile(t)
  // The renewer's thread writes too.
  const own = new DatabaseSync(file, { timeout: 20_000 })
  t.after(() => own.close())
  own.exec(`PRAGMA foreign_keys = ON; ${tables}`)
  return {
    bench: (config) => appOn(t, sqlite(file), config),
    tx: own,
    exec: (sql) => own.exec(sql),
    begin: 'BEGIN IMMEDIATE',
  }
}

const server = await findPostgres()
if (server !== null) test.after(() => server.stop())
let schemas = 0

async function onPostgres(t: TestContext): Promise<Ground> {
  const url = server?.url ?? ''
  const schema = `complete_${process.pid}_${(schemas += 1)}`
  const own = new pg.Client({ connectionString: url })
  await own.connect()
  await own.query(`CREATE SCHEMA ${schema}_own; SET search_path = ${schema}_own; ${tables}`)
  t.after(async () => {
    await own.end()
    await query(url, `DROP SCHEMA IF EXISTS ${schema} CASCADE; DROP SCHEMA ${schema}_own CASCADE`)
  })
  return {
    bench: (config) => appOn(t, postgres(url, { schema }), config),
    tx: own,
    exec: (sql) => own.query(sql),
    begin: 'BEGIN',
  }
}

const grounds = [
  ['sqlite', onSqlite],
  ...(server === null ? [] : [['postgres', onPostgres] as const]),
] as const

/** Completes the job in a transaction that pays to an account, which the commit refuses when there is none. */
async function pay(ground: Ground, job: RunningJob, account: number): Promise<void> {
  await ground.exec(ground.begin)
  try {
    await ground.exec(`INSERT INTO payments VALUES (${account})`)
    await job.complete(ground.tx, { account })
    await ground.exec('COMMIT')
  } catch (error) {
    await ground.exec('ROLLBACK')
    throw error
  }
}

for (const [name, make] of grounds) {
  test(`${name}: what a handler throws after job.complete and a failed commit is its outcome`, async (t) => {
    const ground = await make(t)
    const ends: Record<string, (error: Error) => Error> = {
      plain: (error) => error,
      unrecoverable: (error) => new Unrecoverable(`no such account: ${error.message}`),
      discard: () => new Discard('nothing to pay'),
      later: () => new RetryAfter('1h'),
    }
    const judged: string[] = []
    const paying = task({
      name: 'paying',
      retry: {
        limit: 1,
        backoff: constant(1),
        when: (error) => judged.push((error as Error).message) > 0,
      },
      run: async (how: string, job) => {
        try {
          await pay(ground, job, 4711)
        } catch (error) {
          throw ends[how]?.(error as Error) ?? new Error('none')
        }
      },
    })
    const { client, work, reach } = ground.bench({ tasks: [paying] })
    await work({ slots: 1 })
    const plain = await reach((await client.enqueue(paying, 'plain')).id, 'failed')
    assert.deepEqual([plain.reason, plain.failures], ['error', 2])
    assert.match(plain.errors[1]?.message ?? '', /foreign key/i)
    assert.match(judged[0] ?? '', /foreign key/i)
    const useless = await reach((await client.enqueue(paying, 'unrecoverable')).id, 'failed')
    assert.deepEqual([useless.reason, useless.failures], ['error', 1])
    assert.match(useless.errors[0]?.message ?? '', /^no such account: .*foreign key/i)
    const discarded = await reach((await client.enqueue(paying, 'discard')).id, 'discarded')
    assert.equal(discarded.reason, 'nothing to pay')
    const later = await reach((await client.enqueue(paying, 'later')).id, 'scheduled')
    assert.ok(later.dueAt.getTime() - later.createdAt.getTime() > 3_500_000)
  })

  test(`${name}: job.complete may be called again after its transaction was rolled back`, async (t) => {
    const ground = await make(t)
    const paying = task({
      name: 'paying',
      retry: 'never',
      run: async (_: undefined, job) => {
        await pay(ground, job, 4711).catch(() => ground.exec('INSERT INTO accounts VALUES (1)'))
        await pay(ground, job, 1)
      },
    })
    const { client, work, reach } = ground.bench({ tasks: [paying] })
    await work()
    const done = await reach((await client.enqueue(paying, undefined)).id, 'completed')
    assert.deepEqual([done.output, done.attempts, done.failures], [{ account: 1 }, 1, 0])
  })

  test(`${name}: job.complete after its transaction has committed is refused, and the job stays completed`, async (t) => {
    const ground = await make(t)
    await ground.exec('INSERT INTO accounts VALUES (1), (2)')
    const paying = task({
      name: 'paying',
      run: async (_: undefined, job) => {
        await pay(ground, job, 1)
        await pay(ground, job, 2)
      },
    })
    const { client, work, reach, told, until } = ground.bench({ tasks: [paying] })
    await work()
    const { id } = await client.enqueue(paying, undefined)
    await until('the end', () => told.ended.length === 1)
    const job = await reach(id, 'completed')
    assert.deepEqual([job.output, told.ended[0]?.outcome], [{ account: 1 }, 'completed'])
    const [warning] = told.warnings
    assert.equal(warning?.code, 'failed-after-complete')
    assert.match(
      warning?.message ?? '',
      /was completed before, in a transaction that has committed/,
    )
  })

  test(`${name}: job.complete twice in one transaction is one completion, with what the first was given`, async (t) => {
    const ground = await make(t)
    const paying = task({
      name: 'paying',
      run: async (_: undefined, job) => {
        await ground.exec(ground.begin)
        await job.complete(ground.tx, 'first')
        await job.complete(ground.tx, 'second')
        await ground.exec('COMMIT')
      },
    })
    const { client, work, reach } = ground.bench({ tasks: [paying] })
    await work()
    const job = await reach((await client.enqueue(paying, undefined)).id, 'completed')
    assert.deepEqual([job.output, job.attempts], ['first', 1])
  })
}
