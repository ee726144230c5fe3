/**
 * One write transaction: the store's time in it, and what it will have changed once it is
 * committed.
 *
 * It holds the one write lock of the file from its beginning to its end. No statement of the store
 * locks anything else, so none of them can wait for another.
 */
import type { Hint } from '../../store/worker-calls.ts'
import type { Connection, Row, Value } from './connection.ts'
import type { StateCode } from '../state-codes.ts'

/** Walks the primary key of errand_tally. */
const COUNT = `INSERT INTO errand_tally (queue, state, count) VALUES (?, ?, ?)
  ON CONFLICT (queue, state) DO UPDATE SET count = count + excluded.count`
/** Walks the primary key of errand_meta. */
const NEXT_TOKEN = `UPDATE errand_meta SET value = max(value + 1, ?) WHERE name = 'token' RETURNING value`
/** Looks whether tables are empty. */
const ANY_TRACES = `SELECT EXISTS (SELECT 1 FROM errand_log) OR EXISTS (SELECT 1 FROM errand_progress)
  OR EXISTS (SELECT 1 FROM errand_recorded)`

/** The same of these two. */
const ANY_ENDS = `SELECT EXISTS (SELECT 1 FROM errand_wants) OR EXISTS (SELECT 1 FROM errand_outputs)`

/** What a store's verbs are handed: statements, the time, and the books to keep. */
export class Transaction {
  readonly connection: Connection
  readonly now: number
  readonly hints: Set<Hint> = new Set()
  readonly #tally = new Map<string, number[]>()
  #token = 0
  readonly #needed = new Set<string>()
  #anyTraces: boolean | null = null
  #anyEnds: boolean | null = null

  constructor(connection: Connection, now: number) {
    this.connection = connection
    this.now = now
  }

  run(sql: string, ...values: Value[]): number {
    return this.connection.run(sql, ...values)
  }

  row(sql: string, ...values: Value[]): Row | undefined {
    return this.connection.row(sql, ...values)
  }

  rows(sql: string, ...values: Value[]): readonly Row[] {
    return this.connection.rows(sql, ...values)
  }

  /** Keeps count of jobs that pass from one state to another; null for new and for removed jobs. */
  moved(queue: string, from: StateCode | null, to: StateCode | null, count = 1): void {
    let counts = this.#tally.get(queue)
    if (counts === undefined) this.#tally.set(queue, (counts = [0, 0, 0, 0, 0, 0, 0, 0]))
    if (from !== null) counts[from] = (counts[from] ?? 0) - count
    if (to !== null) counts[to] = (counts[to] ?? 0) + count
  }

  /**
   * Returns the token of the leases that this transaction gives: greater than any before, and no
   * less than the clock's microseconds, so that what a loss of power or a restored file takes back
   * is not given again.
   */
  token(): number {
    if (this.#token === 0) this.#token = this.row(NEXT_TOKEN, this.now * 1_000)?.[0] as number
    return this.#token
  }

  /** Remembers that a job of this transaction waits for another. */
  needs(id: string): void {
    this.#needed.add(id)
  }

  /** Whether a job of this transaction waits for that one, which may have been read before. */
  isNeeded(id: string): boolean {
    return this.#needed.has(id)
  }

  /**
   * Whether any job has log lines, progress or records; most files have none, which saves a look
   * for each removed job.
   */
  anyTraces(): boolean {
    this.#anyTraces ??= this.row(ANY_TRACES)?.[0] === 1
    return this.#anyTraces
  }

  /** Whether any job wants to know how another ends, or such an end is kept; mostly none does. */
  anyEnds(): boolean {
    this.#anyEnds ??= this.row(ANY_ENDS)?.[0] === 1
    return this.#anyEnds
  }

  /** Remembers that a job of this transaction wants to know how another ends. */
  wantsEnd(): void {
    this.#anyEnds = true
  }

  /** Writes the counts; the last thing before a commit. */
  flush(): void {
    for (const [queue, counts] of this.#tally) {
      for (let state = 0; state < counts.length; state += 1) {
        const count = counts[state]
        if (count) this.run(COUNT, queue, state, count)
      }
    }
    this.#tally.clear()
  }
}
