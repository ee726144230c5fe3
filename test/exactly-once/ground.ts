/** Where a run takes place: the store, the handlers' tables, and what can be seen of them from outside. */
import { DatabaseSync } from 'node:sqlite'
import { join } from 'node:path'
import pg from 'pg'
import { startPostgres } from '../postgres-server.ts'
import { MAKE_TABLES, sessionsOf, tables, type Effect, type Table } from './effects.ts'
import { leaseMs } from './part.ts'

type EffectsByTable = ReadonlyMap<Table, readonly Effect[]>

export interface Ground {
  readonly url: string
  /** The rows that handlers wrote, by table. */
  readonly effects: () => Promise<EffectsByTable>
  /** Whether others can write now: on a file nobody can while a process that stands still holds it. */
  readonly isFree: () => boolean
  /** What only a server shows and does; null on a file. */
  readonly server: Server | null
  readonly close: () => Promise<void>
}

export interface Server {
  readonly run: (sql: string, values?: unknown[]) => Promise<readonly Record<string, unknown>[]>
  /** Whether the lease of a job ended so long ago that living workers have looked for lost jobs since. */
  readonly isLongOver: (id: string) => Promise<boolean>
  /** Ends the sessions of a process's handlers. */
  readonly endSessions: (pid: number) => Promise<void>
}

export async function sqliteGround(folder: string): Promise<Ground> {
  const path = join(folder, 'jobs.db')
  const own = new DatabaseSync(path, { timeout: 30_000 })
  own.exec(`PRAGMA journal_mode = WAL; ${MAKE_TABLES}`)
  return {
    url: `sqlite:${path}`,
    effects: async () =>
      read(
        async (table) => own.prepare(`SELECT id, token FROM ${table}`).all() as unknown as Raw[],
      ),
    isFree: () => canWrite(path),
    server: null,
    close: async () => own.close(),
  }
}

function canWrite(path: string): boolean {
  const other = new DatabaseSync(path, { timeout: 1_000 })
  try {
    other.exec('BEGIN IMMEDIATE; ROLLBACK')
    return true
  } catch {
    return false
  } finally {
    other.close()
  }
}

export async function postgresGround(): Promise<Ground> {
  const server = await startPostgres({})
  const pool = new pg.Pool({ connectionString: server.url, max: 2 })
  pool.on('error', () => {})
  const run: Server['run'] = async (sql, values) =>
    (await pool.query(sql, values)).rows as Record<string, unknown>[]
  await run(MAKE_TABLES)
  return {
    url: server.url,
    effects: async () =>
      read(async (table) => (await run(`SELECT id, token FROM ${table}`)) as unknown as Raw[]),
    isFree: () => true,
    server: {
      run,
      isLongOver: async (id) => {
        const rows = await run(
          `SELECT 1 FROM errand.running r JOIN errand.jobs j ON j.seq = r.seq
           WHERE j.id = $1 AND r.lease_until < errand.now_ms() - $2`,
          [id, leaseMs],
        )
        return rows.length > 0
      },
      endSessions: async (pid) => {
        await run(
          `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
           WHERE application_name = $1 AND state = 'idle in transaction'`,
          [sessionsOf(pid)],
        )
      },
    },
    close: async () => {
      await pool.end()
      await server.stop()
    },
  }
}

/** Tokens are texts in the tables, since a driver may not read a large number as one. */
interface Raw {
  readonly id: string
  readonly token: string
}

async function read(rowsOf: (table: Table) => Promise<readonly Raw[]>): Promise<EffectsByTable> {
  const found = new Map<Table, readonly Effect[]>()
  for (const table of tables) {
    const rows = await rowsOf(table)
    found.set(
      table,
      rows.map(({ id, token }) => ({ id, token: Number(token) })),
    )
  }
  return found
}
