/** What a connection is to the store: where it comes from, one caller's use of it, and the time that each wait has. */
import { brokenError, lateError } from './errors.ts'
import type { Row, Value } from './rows.ts'
import { clearTimeout, setTimeout } from '../../core/timers.ts'

/** One statement as `pg` takes it. */
export interface Query {
  readonly text: string
  readonly values?: readonly unknown[]
  readonly name?: string
}

/** Runs statements on one connection. */
export type Runner = (sql: string, values?: readonly Value[]) => Promise<readonly Row[]>

/** What is used of a client of `pg`. */
export interface PgClient {
  query(config: object): Promise<{ rows: unknown } | readonly { rows: unknown }[]>
  on(event: string, listener: (value: never) => void): unknown
  removeListener(event: string, listener: (value: never) => void): unknown
}

/** A connection that is one caller's until it is given back. */
export interface Held {
  readonly client: PgClient
  /** Runs one statement. One that is not answered within the deadline, or so many milliseconds, ends the connection. */
  run(query: Query, withinMs?: number): Promise<readonly Row[]>
  /** Gives the connection back; `broken` throws it away. */
  release(broken: boolean): void
}

/** Where connections come from. */
export interface Source {
  /** Whether a transaction of the user may be open on it. */
  readonly mayBeInTransaction: boolean
  /** A free connection; rejects when none has become free within the deadline, or so many milliseconds. */
  hold(withinMs?: number): Promise<Held>
  /** A connection that stays, for notifications. It may serve other calls between them. */
  holdListening(): Promise<Held>
  /** Ends whatever connection is open: the server behind them is not the one that is wanted any more. */
  dropAll(): void
  close(): Promise<void>
}

/** Numbers as numbers, truth values as such, everything else as text. */
const types = {
  getTypeParser: (oid: number): ((text: string) => Value) =>
    oid === 20 || oid === 21 || oid === 23 ? Number : oid === 16 ? isTrue : asText,
}
const isTrue = (text: string): boolean => text === 't'
const asText = (text: string): string => text

/** Sends one statement. */
export async function send(client: PgClient, query: Query): Promise<readonly Row[]> {
  const result = await client.query({ ...query, rowMode: 'array', types })
  // Several statements in one text answer a list.
  return (Array.isArray(result) ? [] : (result as { rows: unknown }).rows) as readonly Row[]
}

/** Bounds waits in time. */
export class Deadline {
  readonly ms: number
  readonly location: string

  constructor(ms: number, location: string) {
    this.ms = ms
    this.location = location
  }

  /**
   * Waits for a call, but no longer than the deadline or so many milliseconds. `giveUp` releases then what was waited for, so that
   * a wait leaves nothing behind.
   */
  of<T>(call: Promise<T>, giveUp: () => void, ms: number = this.ms): Promise<T> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        giveUp()
        reject(lateError(this.location, ms))
      }, ms)
      call.then(resolve, reject).finally(() => clearTimeout(timer))
    })
  }
}

/** One connection: its statements go one after the other, for a client takes no second one while it is busy. */
export class Session<C extends PgClient = PgClient> {
  readonly client: C
  readonly #deadline: Deadline
  readonly #drop: () => void
  /** Is told of each statement that is sent, and returns what to do when it was answered; null when nobody wants to know. */
  readonly #watch: (() => () => void) | null
  /** The last statement that is under way or waits; null when there is none. */
  #last: Promise<void> | null = null
  #hasEnded = false

  /** `drop` ends the connection after a statement that was not answered in time. */
  constructor(
    client: C,
    deadline: Deadline,
    drop: () => void,
    watch: (() => () => void) | null = null,
  ) {
    this.client = client
    this.#deadline = deadline
    this.#drop = drop
    this.#watch = watch
  }

  /** The statements under way; null when there are none. It resolves when they have ended, however. */
  get busy(): Promise<void> | null {
    return this.#last
  }

  /** Sends nothing more: what waits behind the statement under way is refused, and whatever waits for that resolves. */
  end(): void {
    this.#hasEnded = true
  }

  run(query: Query, withinMs?: number): Promise<readonly Row[]> {
    const start = (): Promise<readonly Row[]> => this.#send(query, withinMs)
    const answer = this.#last === null ? start() : this.#last.then(start)
    const ended: Promise<void> = answer.then(nothing, nothing).then(() => {
      if (this.#last === ended) this.#last = null
    })
    this.#last = ended
    return answer
  }

  async #send(query: Query, withinMs: number | undefined): Promise<readonly Row[]> {
    if (this.#hasEnded) throw brokenError(this.#deadline.location)
    const answered = this.#watch?.() ?? nothing
    try {
      return await this.#deadline.of(send(this.client, query), () => this.#drop(), withinMs)
    } finally {
      answered()
    }
  }
}

export function nothing(): void {}
