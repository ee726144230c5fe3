/** One connection to the file with its prepared statements: the store's own, or the one of a user's transaction. */
import type { SQLInputValue, SQLOutputValue, StatementSync } from 'node:sqlite'

/** What is used of a `DatabaseSync`; a user's own is recognised by this shape. */
export interface Handle {
  readonly isTransaction: boolean
  exec(sql: string): void
  prepare(sql: string): StatementSync
  location?(): string | null
}

export type Row = readonly SQLOutputValue[]
export type Value = SQLInputValue

function isOutOfRange(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ERR_OUT_OF_RANGE'
}

function narrowed(value: SQLOutputValue): SQLOutputValue {
  if (typeof value !== 'bigint') return value
  const number = Number(value)
  return Number.isSafeInteger(number) ? number : value
}

/** Runs statements, each prepared once. */
export class Connection {
  readonly handle: Handle
  /** Whether the schema was found to be current; one that a transaction brought up to date may still be rolled back. */
  isCurrent = false
  readonly #statements = new Map<string, StatementSync>()

  constructor(handle: Handle) {
    this.handle = handle
  }

  /** Answers the prepared form of a constant statement; its rows are arrays. */
  statement(sql: string): StatementSync {
    let statement = this.#statements.get(sql)
    if (statement === undefined) {
      statement = this.#prepare(sql)
      this.#statements.set(sql, statement)
    }
    return statement
  }

  /** Runs a statement and answers how many rows it changed. */
  run(sql: string, ...values: Value[]): number {
    return this.statement(sql).run(...values).changes as number
  }

  /** Answers the first row. Numbers that JavaScript cannot hold are of the type `bigint`, here and below. */
  row(sql: string, ...values: Value[]): Row | undefined {
    try {
      return this.statement(sql).get(...values) as Row | undefined
    } catch (error) {
      return this.#exactly(sql, values, error)[0]
    }
  }

  /** Answers all rows. */
  rows(sql: string, ...values: Value[]): readonly Row[] {
    try {
      return this.statement(sql).all(...values) as unknown as readonly Row[]
    } catch (error) {
      return this.#exactly(sql, values, error)
    }
  }

  /** Answers all rows of a statement that is not worth keeping. */
  once(sql: string, ...values: Value[]): readonly Row[] {
    try {
      return this.#prepare(sql).all(...values) as unknown as readonly Row[]
    } catch (error) {
      return this.#exactly(sql, values, error)
    }
  }

  /**
   * Asks again where a row holds a number that JavaScript cannot, which `node:sqlite` refuses to read. Only then, for this way is slow;
   * and only what changes nothing, which the first attempt may have done already.
   */
  #exactly(sql: string, values: readonly Value[], refusal: unknown): readonly Row[] {
    if (!isOutOfRange(refusal) || !/^\s*(?:SELECT|WITH)\b/.test(sql)) throw refusal
    const statement = this.handle.prepare(sql)
    statement.setReturnArrays(true)
    statement.setReadBigInts(true)
    const rows = statement.all(...values) as unknown as readonly Row[]
    return rows.map((row) => row.map(narrowed))
  }

  /** Runs statements that take and answer nothing. */
  exec(sql: string): void {
    this.handle.exec(sql)
  }

  #prepare(sql: string): StatementSync {
    const statement = this.handle.prepare(sql)
    statement.setReturnArrays(true)
    statement.setReadBigInts(false)
    return statement
  }
}
