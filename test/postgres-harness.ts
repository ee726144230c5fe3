/** PostgreSQL stores for rules: one schema for all of a file's, emptied between them, with a time that stands still until it is moved. */
import pg from 'pg'
import type { Store } from '../src/store/store.ts'
import { postgres, type PostgresOptions } from '../src/stores/postgres/index.ts'
import type { Spoiled, TransactionHarness } from '../src/testing/conformance/index.ts'
import { virtualStart } from '../src/testing/virtual-clock.ts'

const SET_UP = `INSERT INTO errand.meta (name, value) VALUES ('clock', ${virtualStart});
  CREATE OR REPLACE FUNCTION errand.now_ms() RETURNS int8 LANGUAGE sql VOLATILE AS $$ SELECT value FROM errand.meta WHERE name = 'clock' $$;`
/** Rows are deleted, not truncated: truncating forty tables takes longer than most rules. */
const EMPTY = `DO $$ DECLARE t text; BEGIN
  FOR t IN SELECT relid::regclass FROM pg_stat_user_tables WHERE schemaname = 'errand.' AND relname NOT LIKE 'finished%' AND relname <> 'meta'
  LOOP EXECUTE 'DELETE FROM ' || t; END LOOP;
  DELETE FROM errand.finished;
  UPDATE errand.meta SET value = ${virtualStart} WHERE name = 'clock'; END $$`

/** A time that the server keeps, and neither a `Date` nor a number of JavaScript. */
const never = 2n ** 62n
const spoiling: Readonly<Record<Spoiled, string>> = {
  created: `UPDATE errand.jobs SET created_at = ${never} WHERE id = $1`,
  due: `WITH late AS (UPDATE errand.jobs SET due_at = ${never}, place = ${never} WHERE id = $1 RETURNING seq)
    UPDATE errand.scheduled SET due_at = ${never} WHERE seq = (SELECT seq FROM late)`,
  spans: `UPDATE errand.jobs SET start_within_ms = ${never * 2n - 1n}, deadline_ms = ${never * 2n - 1n},
    keep_cancelled_ms = ${never * 2n - 1n} WHERE id = $1`,
  counters: `UPDATE errand.jobs SET counters = 'many,,,few' WHERE id = $1`,
}

export interface PostgresHarness extends TransactionHarness {
  /** The schema of the file. */
  readonly schema: string
  /** The same, with stores on one pool: a new connection has to read and plan all functions anew. */
  readonly onPool: TransactionHarness
  close(): Promise<void>
}

let schemas = 0

interface HarnessOptions extends PostgresOptions {
  /** The URL that stores use, when it leads through a pooler. */
  readonly through?: string
}

/** A harness on a server. */
export async function postgresHarness(
  url: string,
  options: HarnessOptions = {},
): Promise<PostgresHarness> {
  const { through = url, ...storeOptions } = options
  const schema = `errand_test_${process.pid}_${(schemas += 1)}`
  const own = (sql: string): string =>
    sql.replaceAll("'errand.'", `'${schema}'`).replaceAll('errand.', `${schema}.`)
  const pool = new pg.Pool({ connectionString: url, max: 2 })
  const shared = new pg.Pool({ connectionString: through, max: 10 })
  for (const one of [pool, shared]) one.on('error', () => {})
  const first = postgres(url, { schema })
  await first.setup()
  await first.close()
  await pool.query(own(SET_UP))
  const on = (place: string | pg.Pool): TransactionHarness => ({
    async create() {
      await pool.query(own(EMPTY))
      const stores: Store[] = []
      const open = (): Store => {
        const store = postgres(place, { schema, ...storeOptions })
        stores.push(store)
        return store
      }
      return {
        store: open(),
        another: async () => open(),
        advance: async (ms) => {
          await pool.query(own(`UPDATE errand.meta SET value = value + $1 WHERE name = 'clock'`), [
            Math.floor(ms),
          ])
        },
        spoil: async (id, what) => {
          await pool.query(own(spoiling[what]), [id])
        },
        within: async (work) => {
          const client = await pool.connect()
          try {
            await client.query('BEGIN')
            await work(client)
          } finally {
            await client.query('ROLLBACK')
            client.release()
          }
        },
        dispose: async () => {
          await Promise.all(stores.map((store) => store.close()))
        },
      }
    },
  })
  return {
    schema,
    ...on(through),
    onPool: on(shared),
    async close() {
      await shared.end()
      await pool.query(`DROP SCHEMA ${schema} CASCADE`)
      await pool.end()
    },
  }
}
