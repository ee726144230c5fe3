/** The user's pool: takes clients and gives them back. */
import { isErrandError } from '../../core/errors.ts'
import {
  nothing,
  Session,
  type Deadline,
  type Held,
  type PgClient,
  type Source,
} from './connection.ts'
import { dial, hangUp, type OwnClient } from './dial.ts'
import { closedError } from './errors.ts'
import { Turns } from './turns.ts'
import { clearTimeout, setTimeout } from '../../core/timers.ts'

interface PooledClient extends PgClient {
  release(error?: boolean): void
}

/** What is used of a pool of `pg`. */
export interface PgPool {
  connect(): Promise<PooledClient>
  readonly totalCount: number
  readonly idleCount: number
  readonly waitingCount: number
  readonly options?: { readonly max?: number }
  readonly Client?: new (config: object) => OwnClient
}

/** What `pg` makes of a pool whose size is not said. */
const usualMost = 10

/** A client that the pool gave. */
interface Taken {
  readonly session: Session
  /** Gives it back to the pool, once; `broken` lets the pool end it. */
  readonly giveBack: (broken: boolean) => void
}

/** The client that listens. */
interface Kept extends Taken {
  isBusy: boolean
  /** How many listen on it; without any it goes back to the pool. */
  listeners: number
}

/**
 * One client of the pool stays while somebody listens, and serves calls when the pool has no other: handlers that hold all others, and
 * wait for a call of the store before they give them back, would wait for ever else, and leases would run out meanwhile.
 *
 * Callers wait in a line of the store's own. The pool is asked for no more clients than callers wait, nor than it may have, so that
 * who gives up leaves nobody in the pool's line: a client that comes too late is given to the next caller, or back. After a connection
 * was lost the pool is asked to connect only once the server lets somebody in: many pools wait for that for ever, and when the network
 * swallows what they send, their clients are gone for everybody.
 */
export class PoolConnections implements Source {
  readonly mayBeInTransaction = false
  readonly #pool: PgPool
  readonly #deadline: Deadline
  readonly #turns = new Turns<Taken>()
  readonly #most: number
  /** Clients that the pool was asked for and has not given, those of them that it may never give, and those that it gave. */
  #asked = 0
  #overdue = 0
  #taken = 0
  #kept: Kept | null = null
  readonly #closing = new AbortController()
  /** Whether a connection was lost, or one is long in coming, and nobody was let in since. */
  #isDoubted = false
  #proving = false

  constructor(pool: PgPool, deadline: Deadline) {
    this.#pool = pool
    this.#deadline = deadline
    this.#most = pool.options?.max ?? usualMost
  }

  async hold(withinMs?: number): Promise<Held> {
    const kept = this.#kept
    if (kept !== null && !kept.isBusy && !this.#hasRoom()) {
      kept.isBusy = true
      return this.#held(kept)
    }
    return this.#held(await this.#next(withinMs))
  }

  async holdListening(): Promise<Held> {
    const kept = this.#kept ?? this.#keep(await this.#next())
    kept.listeners += 1
    this.#serve(kept)
    const { session } = kept
    return {
      client: session.client,
      run: (query, withinMs) => session.run(query, withinMs),
      release: (broken) => {
        kept.listeners -= 1
        if (broken) kept.giveBack(true)
        else if (kept.listeners === 0 && !kept.isBusy) kept.giveBack(false)
      },
    }
  }

  dropAll(): void {
    this.#kept?.giveBack(true)
  }

  async close(): Promise<void> {
    this.#closing.abort()
    this.#turns.refuseAll(closedError(this.#deadline.location))
  }

  /** Whether the pool has a client, or may connect another, for one more than wait for it. */
  #hasRoom(): boolean {
    const { idleCount, totalCount, waitingCount } = this.#pool
    return idleCount + Math.max(0, this.#most - totalCount) > waitingCount
  }

  #next(withinMs?: number): Promise<Taken> {
    const turn = this.#turns.wait(this.#deadline, withinMs)
    this.#ask()
    return turn
  }

  #ask(): void {
    if (this.#proving) return
    if (this.#isDoubted && this.#turns.length > 0 && this.#pool.idleCount === 0) {
      void this.#prove()
      return
    }
    while (this.#mayAsk()) {
      this.#asked += 1
      let isOverdue = false
      const timer = setTimeout(() => {
        isOverdue = true
        this.#overdue += 1
        this.#isDoubted = true
        this.#ask()
      }, this.#deadline.ms).unref()
      const answered = (): void => {
        clearTimeout(timer)
        this.#asked -= 1
        if (isOverdue) this.#overdue -= 1
      }
      void this.#pool.connect().then(
        (client) => {
          answered()
          const taken = this.#take(client)
          if (!this.#turns.give(taken)) taken.giveBack(false)
          this.#ask()
        },
        (error: unknown) => {
          answered()
          this.#turns.refuse(error)
          this.#ask()
        },
      )
    }
  }

  #mayAsk(): boolean {
    const { idleCount, totalCount } = this.#pool
    const expected = this.#asked - this.#overdue
    if (expected >= this.#turns.length || expected + this.#taken >= this.#most) return false
    // It connects one after the other, so that a network that swallows everything takes no more than one from it.
    if (expected > 0 && idleCount === 0 && totalCount < this.#most) return false
    return this.#overdue < this.#most
  }

  /** Lets callers wait until the server has let somebody in, beside the pool. */
  async #prove(): Promise<void> {
    const { Client, options = {} } = this.#pool
    this.#proving = true
    try {
      if (Client !== undefined) {
        void hangUp(await dial(async () => Client, options, this.#deadline, this.#closing.signal))
      }
      this.#isDoubted = false
    } catch (error) {
      // Of a server that says nothing another proof is made, as long as anybody waits: for some of them this one may have begun too early.
      if (!isErrandError(error, 'store-unavailable')) this.#turns.refuseAll(error)
    }
    this.#proving = false
    this.#ask()
  }

  #take(client: PooledClient): Taken {
    this.#taken += 1
    let isTaken = true
    // Without a listener a client that breaks while it is taken would end the process.
    client.on('error', nothing)
    const giveBack = (broken: boolean): void => {
      if (!isTaken) return
      isTaken = false
      this.#taken -= 1
      this.#isDoubted ||= broken
      if (this.#kept?.session === session) this.#kept = null
      session.end()
      client.removeListener('error', nothing)
      client.release(broken)
      this.#ask()
    }
    const session = new Session(client, this.#deadline, () => giveBack(true))
    return { session, giveBack }
  }

  #held(taken: Taken): Held {
    const { session } = taken
    return {
      client: session.client,
      run: (query, withinMs) => session.run(query, withinMs),
      release: (broken) => {
        const kept = this.#kept
        if (kept?.session !== session) return taken.giveBack(broken)
        if (broken) return kept.giveBack(true)
        kept.isBusy = false
        if (kept.listeners === 0) kept.giveBack(false)
        else this.#serve(kept)
      },
    }
  }

  #keep(taken: Taken): Kept {
    const kept = (this.#kept ??= { ...taken, isBusy: false, listeners: 0 })
    // Somebody else may have begun to listen meanwhile, on another client or on this one.
    if (taken.session === kept.session) kept.isBusy = false
    else taken.giveBack(false)
    return kept
  }

  /** Lends the client that listens to whoever has waited longest. */
  #serve(kept: Kept): void {
    if (!kept.isBusy && !this.#hasRoom()) kept.isBusy = this.#turns.give(kept)
  }
}
