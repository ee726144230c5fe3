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

  /** Answers the first row. */
  row(sql: string, ...values: Value[]): Row | undefined {
    return this.statement(sql).get(...values) as Row | undefined
  }

  /** Answers all rows. */
  rows(sql: string, ...values: Value[]): readonly Row[] {
    return this.statement(sql).all(...values) as unknown as readonly Row[]
  }

  /** Answers all rows of a statement that is not worth keeping. */
  once(sql: string, ...values: Value[]): readonly Row[] {
    return this.#prepare(sql).all(...values) as unknown as readonly Row[]
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
