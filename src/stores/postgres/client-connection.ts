/** The user's only client: one call after the other. */
import {
  nothing,
  send,
  type Deadline,
  type Held,
  type PgClient,
  type Query,
  type Source,
} from './connection.ts'
import { endsConnection, uselessError } from './errors.ts'
import type { Row } from './rows.ts'
import { Turns } from './turns.ts'

/**
 * Nobody can connect a user's client anew, so that a call on one that is of no use any more says so. A statement whose caller has given
 * up still has its turn: no other is sent before it has ended, so that none are carried out that nobody waits for.
 */
export class ClientConnection implements Source {
  readonly mayBeInTransaction = true
  readonly #client: PgClient
  readonly #deadline: Deadline
  readonly #turns = new Turns<void>()
  #isBusy = false

  constructor(client: PgClient, deadline: Deadline) {
    this.#client = client
    this.#deadline = deadline
  }

  async hold(withinMs?: number): Promise<Held> {
    if (this.#isBusy) await this.#turns.wait(this.#deadline, withinMs)
    this.#isBusy = true
    let underWay: Promise<unknown> | null = null
    return {
      client: this.#client,
      run: (query, ms) => {
        const answer = send(this.#client, query)
        const ended = answer.then(nothing, nothing).then(() => {
          if (underWay === ended) underWay = null
        })
        underWay = ended
        return this.#told(this.#deadline.of(answer, nothing, ms))
      },
      release: () => {
        if (underWay === null) this.#pass()
        else void underWay.then(() => this.#pass())
      },
    }
  }

  async holdListening(): Promise<Held> {
    const run = async (query: Query, withinMs?: number): Promise<readonly Row[]> => {
      const held = await this.hold(withinMs)
      try {
        return await held.run(query, withinMs)
      } finally {
        held.release(false)
      }
    }
    return { client: this.#client, run, release: nothing }
  }

  dropAll(): void {}

  async close(): Promise<void> {}

  #pass(): void {
    if (!this.#turns.give()) this.#isBusy = false
  }

  async #told(answer: Promise<readonly Row[]>): Promise<readonly Row[]> {
    try {
      return await answer
    } catch (error) {
      if (!endsConnection(error)) throw error
      throw uselessError(this.#deadline.location, error)
    }
  }
}
