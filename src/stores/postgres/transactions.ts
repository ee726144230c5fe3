/** The user's own transactions: recognised by their shape, so that no library of theirs is imported. */
import { ErrandError } from '../../core/errors.ts'
import type { Value } from './rows.ts'

/** Runs a statement that answers one text, inside the user's transaction. */
export type Caller = (sql: string, values: readonly Value[]) => Promise<string>

type Shape = Readonly<Record<string, unknown>>

/**
 * Makes a caller for a client of `pg` that is in a transaction, the `sql` of postgres.js inside `begin`, or a transaction of Kysely or
 * Drizzle. Throws `tx-unsupported` for anything else, and for a pool, on which each statement would be a transaction of its own.
 */
export function callerOf(tx: unknown): Caller {
  if ((typeof tx === 'object' || typeof tx === 'function') && tx !== null) {
    const shape = tx as Shape
    if (typeof shape['executeQuery'] === 'function') return kysely(shape as unknown as Kysely)
    if (typeof shape['unsafe'] === 'function') return postgresJs(shape as unknown as PostgresJs)
    if (typeof shape['execute'] === 'function' && typeof shape['rollback'] === 'function')
      return drizzle(shape as unknown as Drizzle)
    if (typeof shape['query'] === 'function') {
      if ('totalCount' in shape)
        throw refused('it is a pool: take a client of it and begin a transaction')
      return pg(shape as unknown as Pg)
    }
  }
  throw refused(
    'it is neither a client of pg, nor the sql of postgres.js, nor a transaction of Kysely or Drizzle',
  )
}

interface Pg {
  query(text: string, values: unknown[]): Promise<{ rows: readonly Shape[] }>
}

function pg(client: Pg): Caller {
  return async (sql, values) => only((await client.query(sql, [...values])).rows)
}

interface PostgresJs {
  readonly begin?: unknown
  readonly savepoint?: unknown
  unsafe(text: string, values: unknown[]): Promise<readonly Shape[]>
}

function postgresJs(sql: PostgresJs): Caller {
  if (typeof sql.savepoint !== 'function')
    throw refused('it is no transaction: hand over the sql that begin() gives')
  return async (text, values) => only(await sql.unsafe(text, [...values]))
}

interface Kysely {
  readonly isTransaction?: boolean
  executeQuery(query: object): Promise<{ rows: readonly Shape[] }>
}

function kysely(trx: Kysely): Caller {
  if (trx.isTransaction !== true)
    throw refused('it is no transaction: hand over the trx that execute() gives')
  return async (sql, values) => {
    const query = { kind: 'RawNode', sqlFragments: [sql], parameters: [] }
    const queryId = { queryId: sql }
    return only((await trx.executeQuery({ query, queryId, sql, parameters: [...values] })).rows)
  }
}

interface Drizzle {
  execute(query: string): Promise<{ rows: readonly Shape[] } | readonly Shape[]>
}

/** Drizzle takes values only in an object of its own, so they are written into the statement. */
function drizzle(trx: Drizzle): Caller {
  return async (sql, values) => {
    const text = sql.replace(/\$(\d+)/g, (_, number: string) =>
      literal(values[Number(number) - 1] ?? null),
    )
    const answer = await trx.execute(text)
    return only('rows' in answer ? answer.rows : answer)
  }
}

/** A value as a literal that holds whatever `standard_conforming_strings` says. */
function literal(value: Value): string {
  if (value === null) return 'NULL'
  if (typeof value !== 'string') return String(value)
  return ` E'${value.replace(/['\\]/g, (sign) => (sign === "'" ? "''" : '\\\\'))}'`
}

function only(rows: readonly Shape[]): string {
  const [row] = rows
  const [value] = row === undefined ? [] : Object.values(row)
  return String(value)
}

function refused(why: string): ErrandError {
  return new ErrandError('tx-unsupported', `tx cannot be used: ${why}`)
}
