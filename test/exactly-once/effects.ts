/** The transactions of handlers: what they write beside the settlement, in the database of the store. */
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'

/** The two tables that each job writes one row to; nothing in them forbids a second. */
export const tables = ['effects_first', 'effects_second'] as const
export type Table = (typeof tables)[number]

export const MAKE_TABLES: string = tables
  .map((table) => `CREATE TABLE ${table} (id text NOT NULL, token text NOT NULL)`)
  .join('; ')

/** A row that a handler wrote. */
export interface Effect {
  readonly id: string
  readonly token: number
}

/** A transaction that is open. */
export interface Open {
  readonly tx: unknown
  readonly write: (table: Table, effect: Effect) => Promise<void>
}

export interface Effects {
  /** Runs the work in a transaction and commits it; rolls it back when the work throws. */
  within(work: (open: Open) => Promise<void>): Promise<void>
  close(): Promise<void>
}

/** Opens the handlers' own way to the database. */
export function openEffects(store: string, slots: number): Effects {
  return store.startsWith('sqlite:') ? onSqlite(store.slice(7)) : onPostgres(store, slots)
}

/** What a session of a handler is called, so that the server can end those of one process. */
export const sessionsOf = (pid: number): string => `exactly-once ${pid}`

function onPostgres(url: string, slots: number): Effects {
  const pool = new pg.Pool({
    connectionString: url,
    max: slots,
    application_name: sessionsOf(process.pid),
  })
  pool.on('error', () => {})
  return {
    async within(work) {
      const client = await pool.connect()
      let broken: Error | undefined
      const ended = (error: Error): void => void (broken = error)
      client.on('error', ended)
      try {
        await client.query('BEGIN')
        await work({
          tx: client,
          write: async (table, { id, token }) => {
            await client.query(`INSERT INTO ${table} VALUES ($1, $2)`, [id, token])
          },
        })
        await client.query('COMMIT')
      } catch (error) {
        await client.query('ROLLBACK').catch((cause: Error) => (broken = cause))
        throw error
      } finally {
        client.removeListener('error', ended)
        client.release(broken)
      }
    },
    close: () => pool.end(),
  }
}

const SQLITE_BUSY = 5
const busyMs = 30_000

/** One transaction at a time: a connection has no more. */
function onSqlite(path: string): Effects {
  const own = new DatabaseSync(path, { timeout: 0 })
  return {
    async within(work) {
      await begin(own)
      try {
        await work({
          tx: own,
          write: async (table, { id, token }) => {
            own.prepare(`INSERT INTO ${table} VALUES (?, ?)`).run(id, String(token))
          },
        })
        own.exec('COMMIT')
      } catch (error) {
        if (own.isTransaction) own.exec('ROLLBACK')
        throw error
      }
    },
    close: async () => own.close(),
  }
}

/** Waits for the write lock off the event loop: the store of this process may hold it. */
async function begin(own: DatabaseSync): Promise<void> {
  for (const end = performance.now() + busyMs; ;) {
    try {
      return own.exec('BEGIN IMMEDIATE')
    } catch (error) {
      const isBusy = (error as { errcode?: number }).errcode === SQLITE_BUSY
      if (!isBusy || performance.now() > end) throw error
      await sleep(1 + Math.random())
    }
  }
}
