/** The database: runs the statements of the store, opens the schema at the first call, repeats what may be repeated. */
import { createHash } from 'node:crypto'
import { isErrandError } from '../../core/errors.ts'
import type { Deadline, Held, Query, Runner, Source } from './connection.ts'
import type { DurabilitySettings } from './durability.ts'
import {
  closedError,
  endsConnection,
  isDemoted,
  isDisconnect,
  isForgotten,
  isOutdated,
  isTransient,
  storeError,
} from './errors.ts'
import { Heads } from './heads.ts'
import { Apart } from './held.ts'
import type { Hints } from './hints.ts'
import { Leased } from './claimed-numbers.ts'
import type { Row, Value } from './rows.ts'
import { inSchema } from './schema-name.ts'
import { performance } from '../../core/timers.ts'
import { slept } from '../slept.ts'
import type { Caller } from './transactions.ts'

export interface DatabaseOptions {
  readonly source: Source
  /** Where to listen; null for not at all. */
  readonly listening: Source | null
  readonly schema: string
  readonly location: string
  /** Whether statements are prepared by name, which a pooler may not keep apart. */
  readonly prepare: boolean
  readonly deadline: Deadline
}

/** Makes the schema usable, and returns what the server says of durability. */
export type Open = (run: Runner, location: string) => Promise<DurabilitySettings>

/** How often a call is repeated after a deadlock or a serialisation failure. */
const tries = 10

const NOW = `SELECT errand.now_ms()`

/** How often a call is made on a new connection because the one that it had is of no use any more. */
const elsewhereTries = 3

/** How long a call within a user's transaction waits for a connection beside it. */
const besideMs = 250

/**
 * What to send in place of a statement whose answer was lost so many milliseconds after it was first sent, with the server's time at
 * which this is sent: it may arrive late.
 */
export type Again = (
  sinceMs: number,
  sentAt: number,
) => {
  readonly sql: string
  readonly values: readonly unknown[]
}

export class Database {
  readonly location: string
  readonly hints: Hints
  readonly heads: Heads = new Heads()
  /** The numbers of jobs that this process claimed and that need nothing but a plain finish. */
  readonly leased: Leased = new Leased()
  /** How inserts and settlements get by rows that a transaction of a user holds. */
  readonly apart: { readonly inserts: Apart; readonly settlements: Apart } = {
    inserts: new Apart(),
    settlements: new Apart(),
  }
  readonly #options: DatabaseOptions
  readonly #bring: Open
  readonly #names = new Map<string, Query>()
  #opening: Promise<void> | null = null
  #durability: DurabilitySettings | null = null
  #isClosed = false

  /** `open` brings the schema up to date at the first call. */
  constructor(options: DatabaseOptions, hints: Hints, open: Open) {
    this.#options = options
    this.#bring = open
    this.location = options.location
    this.hints = hints
  }

  get isClosed(): boolean {
    return this.#isClosed
  }

  /** Whether connections keep the plans of statements. */
  get prepares(): boolean {
    return this.#options.prepare
  }

  /** What the server says of durability; null before the first call. */
  get durability(): DurabilitySettings | null {
    return this.#durability
  }

  /** Whether a transaction of the user may be open where statements run. */
  get mayBeInTransaction(): boolean {
    return this.#options.source.mayBeInTransaction
  }

  /** The name of something in the schema, as `NOTIFY` and other texts need it. */
  named(name: string): string {
    return inSchema(name, this.#options.schema)
  }

  /** Makes sure that the schema is there and current. */
  async setup(): Promise<void> {
    if (this.#isClosed) throw closedError(this.location)
    this.#opening ??= this.#open().catch((error: unknown) => {
      this.#opening = null
      throw this.failure(error)
    })
    await this.#opening
  }

  /** Runs a statement that may not be repeated when its answer is lost. */
  async write(sql: string, values: readonly unknown[]): Promise<readonly Row[]> {
    await this.setup()
    return this.#call(this.#query(sql, values))
  }

  /**
   * Runs a statement beside the user's transaction, in one of its own; or within it when no connection can be had soon, for those who
   * hold them all may wait for this very call before they give one back. Answers which of both.
   */
  async beside(tx: Caller, sql: string, values: readonly Value[]): Promise<'beside' | 'within'> {
    await this.setup()
    try {
      await this.#attempt(this.#query(sql, values), { sent: false }, besideMs)
      return 'beside'
    } catch (error) {
      const failure = this.failure(error)
      if (!isErrandError(failure, 'store-unavailable')) throw failure
      await tx(sql, values)
      return 'within'
    }
  }

  /** Runs a statement that changes nothing; repeats it once on a new connection. */
  async read(sql: string, values: readonly unknown[]): Promise<readonly Row[]> {
    await this.setup()
    return this.#readAgain(this.#query(sql, values))
  }

  /** Reads by a statement that is not worth preparing. */
  async readOnce(sql: string, values: readonly unknown[]): Promise<readonly Row[]> {
    await this.setup()
    return this.#readAgain({ text: inSchema(sql, this.#options.schema), values })
  }

  /** Runs a statement that answers one value. */
  async value(sql: string, values: readonly unknown[]): Promise<string> {
    return String((await this.write(sql, values))[0]?.[0])
  }

  /**
   * Runs a statement that answers one value and is safe to repeat, and does so while its answer is lost and the deadline is not over.
   * `unknown` makes the error of one of which it stays unknown whether it was carried out; `again` tells what to send the second time.
   */
  async repeatable(
    sql: string,
    values: readonly unknown[],
    unknown: (cause: unknown) => unknown = this.failure,
    again: Again | null = null,
  ): Promise<string> {
    await this.setup()
    const query = this.#query(sql, values)
    const from = performance.now()
    const until = from + this.#options.deadline.ms
    for (let attempt = 0, isLost = false; ; attempt += 1) {
      const state = { sent: false }
      try {
        const sent = isLost && again !== null ? await this.#late(again, from) : query
        return String((await this.#attempt(sent, state))[0]?.[0])
      } catch (error) {
        if (isForgotten(error) || (isLost && !isDisconnect(error))) throw unknown(error)
        if (!isDisconnect(error) || !(isLost || state.sent)) throw this.failure(error)
        isLost = true
        const pauseMs = Math.min(1_000, 20 * 2 ** attempt) * (0.5 + Math.random())
        if (this.#isClosed || performance.now() + pauseMs > until) throw unknown(error)
        await slept(pauseMs)
      }
    }
  }

  /** Runs statements on one connection, outside of the queue of calls. */
  async within<T>(work: (run: Runner, held: Held) => Promise<T>): Promise<T> {
    const held = await this.#options.source.hold()
    let broken = true
    try {
      const answer = await work(this.#runner(held), held)
      broken = false
      return answer
    } catch (error) {
      broken = this.#isBroken(error)
      throw error
    } finally {
      held.release(broken)
    }
  }

  /** The answer of a call that has nothing to do, once the store is known to be usable. */
  async nothing<T>(answer: T): Promise<T> {
    await this.setup()
    return answer
  }

  /** Turns an error into Errand's own. */
  readonly failure = (error: unknown): unknown => storeError(error, this.location)

  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    await this.#options.source.close()
  }

  async #open(): Promise<void> {
    this.#durability = await this.within((run) => this.#bring(run, this.location))
  }

  /** Whether the connection is to be thrown away after an error; after that of a server that was demoted, all are. */
  #isBroken(error: unknown): boolean {
    if (isDemoted(error)) {
      this.#options.source.dropAll()
      this.#options.listening?.dropAll()
    }
    return endsConnection(error)
  }

  #runner(held: Held): Runner {
    return (sql, values) =>
      held.run({
        text: inSchema(sql, this.#options.schema),
        ...(values === undefined ? {} : { values }),
      })
  }

  #query(sql: string, values: readonly unknown[]): Query {
    let query = this.#names.get(sql)
    if (query === undefined) {
      const text = inSchema(sql, this.#options.schema)
      const name = `errand_${createHash('sha1').update(text).digest('hex').slice(0, 16)}`
      query = this.#options.prepare ? { text, name } : { text }
      this.#names.set(sql, query)
    }
    return { ...query, values }
  }

  async #late(again: Again, from: number): Promise<Query> {
    const [[sentAt] = []] = await this.#attempt(this.#query(NOW, []), { sent: false })
    const late = again(Math.ceil(performance.now() - from), sentAt as number)
    return this.#query(late.sql, late.values)
  }

  async #call(query: Query): Promise<readonly Row[]> {
    try {
      return await this.#attempt(query, { sent: false })
    } catch (error) {
      throw this.failure(error)
    }
  }

  async #readAgain(query: Query): Promise<readonly Row[]> {
    const state = { sent: false }
    try {
      return await this.#attempt(query, state)
    } catch (error) {
      if (!state.sent || !isDisconnect(error) || this.#isClosed) throw this.failure(error)
      return this.#call(query)
    }
  }

  /** One try, and more after errors that tell that nothing was written. */
  async #attempt(query: Query, state: { sent: boolean }, holdMs?: number): Promise<readonly Row[]> {
    for (let attempt = 1; ; attempt += 1) {
      if (this.#isClosed) throw closedError(this.location)
      const held = await this.#options.source.hold(holdMs)
      state.sent = true
      let failed: unknown
      try {
        return await held.run(query)
      } catch (error) {
        failed = error
      } finally {
        held.release(failed !== undefined && this.#isBroken(failed))
      }
      const isElsewhere = isOutdated(failed) || isDemoted(failed)
      if (attempt >= tries || !(isTransient(failed) || (isElsewhere && attempt < elsewhereTries)))
        throw failed
      await slept(Math.random() * Math.min(50, 5 * 2 ** attempt))
    }
  }
}
