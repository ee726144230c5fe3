/** The file: opened at the first call, written in one transaction at a time, read beside it. */
import { realpathSync } from 'node:fs'
import { resolve } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type { Clock } from '../../core/clock.ts'
import { ErrandError, isErrandError } from '../../core/errors.ts'
import { Connection, type Handle } from './connection.ts'
import { busyError, closedError, isBusy, notImmediate, storeError } from './errors.ts'
import type { Hints } from './hints.ts'
import { Pace } from './pace.ts'
import { migrate, readVersion, schemaVersion } from './schema.ts'
import { Transaction } from './transaction.ts'
import { performance } from '../../core/timers.ts'

/** What survives an acknowledged call: a killed process, or a power failure as well. */
export type Durability = 'process' | 'power'

export interface DatabaseOptions {
  readonly durability: Durability
  readonly clock: Clock
  readonly callDeadlineMs: number
}

/** Kibibytes of pages that a connection keeps in memory. */
const cacheKib = 32_768
/** Pages in the write-ahead log after which a commit moves them into the file; more make longer pauses and are not faster. */
const checkpointPages = 1_000

interface Waiting {
  readonly attempt: () => void
  readonly reject: (error: unknown) => void
  readonly since: number
}

export class Database {
  readonly file: string
  readonly clock: Clock
  readonly #options: DatabaseOptions
  readonly #hints: Hints
  readonly #pace = new Pace()
  readonly #users = new WeakMap<Handle, Connection>()
  #handle: DatabaseSync | null = null
  #connection: Connection | null = null
  #isClosed = false
  readonly #waiting: Waiting[] = []
  #isPumping = false

  constructor(file: string, options: DatabaseOptions, hints: Hints) {
    this.file = file
    this.clock = options.clock
    this.#options = options
    this.#hints = hints
  }

  get isClosed(): boolean {
    return this.#isClosed
  }

  /** Runs `work` in a write transaction of its own. It may run more than once; only the last run counts. */
  write<T>(work: (tx: Transaction) => T): Promise<T> {
    if (this.#isClosed) return Promise.reject(closedError(this.file))
    if (!this.#isPumping && this.#pace.isFree()) {
      try {
        return Promise.resolve(this.#transact(work))
      } catch (error) {
        if (!isBusy(error)) return Promise.reject(this.#failure(error))
      }
    }
    return new Promise<T>((resolve, reject) => {
      const attempt = (): void => resolve(this.#transact(work))
      this.#waiting.push({ attempt, reject, since: performance.now() })
      if (!this.#isPumping) void this.#pump()
    })
  }

  /** Runs `work` on one snapshot of the file. */
  async read<T>(work: (connection: Connection) => T): Promise<T> {
    const since = performance.now()
    for (;;) {
      if (this.#isClosed) throw closedError(this.file)
      try {
        return this.#snapshot(work)
      } catch (error) {
        const waitedMs = performance.now() - since
        if (!isBusy(error)) throw this.#failure(error)
        if (waitedMs >= this.#options.callDeadlineMs) throw busyError(this.file, error, waitedMs)
        await this.#pace.taken(waitedMs)
      }
    }
  }

  /** Runs `work` inside the user's own transaction, which stays usable when it fails. */
  async within<T>(tx: unknown, work: (tx: Transaction) => T): Promise<T> {
    if (this.#isClosed) throw closedError(this.file)
    const connection = this.#connectionOf(tx)
    const { handle } = connection
    if (this.#couldLock()) throw notImmediate()
    try {
      handle.exec('SAVEPOINT errand')
      try {
        if (!connection.isCurrent) connection.isCurrent = !migrate(connection, this.file)
        const transaction = new Transaction(connection, Math.floor(this.clock.now()))
        const answer = work(transaction)
        transaction.flush()
        handle.exec('RELEASE errand')
        return answer
      } catch (error) {
        if (handle.isTransaction) handle.exec('ROLLBACK TO errand; RELEASE errand')
        throw error
      }
    } catch (error) {
      throw isBusy(error) ? notImmediate(error) : this.#failure(error)
    }
  }

  /** Whether the write lock can be had, and so is held by no transaction at all: SQLite tells in no other way. */
  #couldLock(): boolean {
    try {
      const connection = this.#open()
      connection.run('BEGIN IMMEDIATE')
      connection.run('ROLLBACK')
      return true
    } catch (error) {
      if (isBusy(error)) return false
      throw this.#failure(error)
    }
  }

  /** Reads without waiting, for looks that come again anyway: null when it cannot be done now. */
  glance<T>(work: (connection: Connection) => T): T | null {
    try {
      return this.#isClosed ? null : work(this.#open())
    } catch {
      return null
    }
  }

  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    for (const { reject } of this.#waiting.splice(0)) reject(closedError(this.file))
    this.#drop()
  }

  /** Serves waiting writes in their order. */
  async #pump(): Promise<void> {
    this.#isPumping = true
    for (let first = this.#waiting[0]; first !== undefined; first = this.#waiting[0]) {
      await this.#pace.free()
      if (this.#isClosed) break
      try {
        first.attempt()
        this.#waiting.shift()
      } catch (error) {
        const waitedMs = performance.now() - first.since
        if (isBusy(error) && waitedMs < this.#options.callDeadlineMs) {
          await this.#pace.taken(waitedMs)
          continue
        }
        this.#waiting.shift()
        first.reject(isBusy(error) ? busyError(this.file, error, waitedMs) : this.#failure(error))
      }
      // Lets the caller go on, who may line up again, before the next is served.
      await Promise.resolve()
    }
    this.#isPumping = false
  }

  #transact<T>(work: (tx: Transaction) => T): T {
    const connection = this.#open()
    const handle = connection.handle
    connection.run('BEGIN IMMEDIATE')
    const tx = new Transaction(connection, Math.floor(this.clock.now()))
    let answer: T
    try {
      answer = work(tx)
      tx.flush()
      connection.run('COMMIT')
    } catch (error) {
      if (handle.isTransaction) connection.run('ROLLBACK')
      throw error
    }
    this.#pace.wrote()
    for (const queue of tx.newQueues) connection.knownQueues.add(queue)
    for (const hint of tx.hints) this.#hints.give(hint)
    return answer
  }

  #snapshot<T>(work: (connection: Connection) => T): T {
    const connection = this.#open()
    connection.run('BEGIN')
    try {
      return work(connection)
    } finally {
      if (connection.handle.isTransaction) connection.run('COMMIT')
    }
  }

  /** Opens what is not open yet; what was reached stays when the lock was taken. */
  #open(): Connection {
    if (this.#connection !== null) return this.#connection
    try {
      const handle = (this.#handle ??= new DatabaseSync(this.file, { timeout: 0 }))
      const connection = new Connection(handle)
      this.#configure(connection)
      if (readVersion(connection, this.file) < schemaVersion) this.#upgrade(connection)
      this.#connection = connection
      return connection
    } catch (error) {
      if (!isBusy(error)) this.#drop()
      throw error
    }
  }

  #configure(connection: Connection): void {
    const synchronous = this.#options.durability === 'power' ? 'FULL' : 'NORMAL'
    connection.exec(
      `PRAGMA synchronous = ${synchronous}; PRAGMA cache_size = -${cacheKib}; PRAGMA wal_autocheckpoint = ${checkpointPages}`,
    )
    if (connection.once('PRAGMA journal_mode')[0]?.[0] === 'wal') return
    const mode = connection.once('PRAGMA journal_mode = WAL')[0]?.[0]
    if (mode === 'wal') return
    throw new ErrandError(
      'store-unavailable',
      `${this.file} cannot have a write-ahead log (its journal mode stays ${String(mode)}): put it on a local disk`,
      { details: { file: this.file } },
    )
  }

  #upgrade(connection: Connection): void {
    connection.exec('BEGIN IMMEDIATE')
    try {
      migrate(connection, this.file)
      connection.exec('COMMIT')
    } catch (error) {
      if (connection.handle.isTransaction) connection.exec('ROLLBACK')
      throw error
    }
  }

  #drop(): void {
    const handle = this.#handle
    this.#handle = null
    this.#connection = null
    if (handle?.isOpen) handle.close()
  }

  /** What a failed call rejects with. After trouble with the file the next call opens it anew. */
  #failure(error: unknown): unknown {
    const failure = storeError(error, this.file)
    if (isErrandError(failure, 'store-unavailable') || isErrandError(failure, 'store-corrupt'))
      this.#drop()
    return failure
  }

  /** The connection of a user's transaction, once it is known to be one on this file. */
  #connectionOf(tx: unknown): Connection {
    if (!isHandle(tx)) {
      throw new ErrandError(
        'tx-unsupported',
        'tx must be a DatabaseSync of node:sqlite on the file of the store',
      )
    }
    if (!tx.isTransaction) throw notImmediate()
    let connection = this.#users.get(tx)
    if (connection === undefined) {
      const location = tx.location?.() ?? null
      if (tx.location !== undefined && !isSameFile(location, this.file)) {
        throw new ErrandError(
          'tx-unsupported',
          `The transaction is on ${location ?? 'memory'}, the store on ${this.file}: use one file`,
        )
      }
      connection = new Connection(tx)
      this.#users.set(tx, connection)
    }
    return connection
  }
}

function isHandle(value: unknown): value is Handle {
  return (
    typeof value === 'object' &&
    value !== null &&
    'isTransaction' in value &&
    'exec' in value &&
    'prepare' in value &&
    typeof value.exec === 'function' &&
    typeof value.prepare === 'function'
  )
}

function isSameFile(location: string | null, file: string): boolean {
  if (location === null) return false
  try {
    return realpathSync(location) === realpathSync(file)
  } catch {
    return resolve(location) === resolve(file)
  }
}
