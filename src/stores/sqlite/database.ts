/**
 * The file: opened at the first call, written in one transaction at a time, read beside it.
 *
 * Modes: closed → open, by a call → replaced, when the paths of the file or of its log are found to lead elsewhere. Then every call
 * rejects with `store-replaced`. Where only the log has gone this lasts until the process ends, for other connections of it may
 * still share the index of the old log. Otherwise it lasts for `restMs`, so that every part of a worker hears of it, and until the
 * path leads to a file again, which is opened like one that was never seen.
 *
 * A write looks at the file after its commit: what was acknowledged was in the file at that path. Before it begins it looks at the
 * log, so that nothing is written to one that others have left; many writes within a millisecond share that look.
 */
import type { DatabaseSync } from 'node:sqlite'
import type { Clock } from '../../core/clock.ts'
import { ErrandError, isErrandError } from '../../core/errors.ts'
import { Connection } from './connection.ts'
import {
  busyError,
  closedError,
  hasLostStatements,
  isBusy,
  notImmediate,
  replacedError,
  storeError,
} from './errors.ts'
import type { HintBoard } from '../hint-board.ts'
import {
  fileIdOf,
  Identity,
  isSame,
  openFile,
  type FileId,
  type Mismatch,
  type SharedPlace,
} from './identity.ts'
import { Pace } from './pace.ts'
import { migrate, readVersion, schemaVersion } from './schema.ts'
import { Transaction } from './transaction.ts'
import { UserConnections } from './user-connections.ts'
import { performance } from '../../core/timers.ts'

/** What survives an acknowledged call: a killed process, or a power failure as well. */
export type Durability = 'process' | 'power'

export interface DatabaseOptions {
  readonly durability: Durability
  readonly clock: Clock
  readonly callDeadlineMs: number
  readonly opened: SharedPlace
}

/** Kibibytes of pages that a connection keeps in memory. */
const cacheKib = 32_768
/** Pages in the write-ahead log after which a commit moves them into the file; more make longer pauses and are not faster. */
const checkpointPages = 1_000

/** Longer than the parts of a worker rest between two tries. */
const restMs = 5_000
/** Writes look at the log when nobody has for so long, reads at both: a look costs as much as a third of a read. */
const lookMs = { write: 1, read: 10 } as const

/**
 * Files whose log was taken away under this process. A connection to another log that lies there now is kept until the process
 * ends, because closing it would remove that log, too.
 */
const forsaken: { readonly id: FileId; readonly kept: DatabaseSync | null }[] = []

interface Replaced {
  readonly mismatch: Mismatch
  readonly since: number
}

interface Waiting {
  readonly attempt: () => void
  readonly reject: (error: unknown) => void
  readonly since: number
}

export class Database {
  readonly file: string
  readonly clock: Clock
  readonly #options: DatabaseOptions
  readonly #hints: HintBoard
  readonly #pace = new Pace()
  readonly #users: UserConnections
  #handle: DatabaseSync | null = null
  #connection: Connection | null = null
  /** The file that is open, or was last. */
  #fileId: FileId | null = null
  #identity: Identity | null = null
  #replaced: Replaced | null = null
  #lookedAt = -Infinity
  #isClosed = false
  readonly #waiting: Waiting[] = []
  #isPumping = false

  constructor(file: string, options: DatabaseOptions, hints: HintBoard) {
    this.file = file
    this.#users = new UserConnections(file)
    this.clock = options.clock
    this.#options = options
    this.#hints = hints
  }

  get isClosed(): boolean {
    return this.#isClosed
  }

  /** Where the write-ahead log lies. */
  get log(): string {
    return this.#identity?.log ?? `${this.file}-wal`
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
    try {
      return this.#within(tx, work)
    } catch (error) {
      // A handle that was closed and opened again has lost its statements.
      if (!hasLostStatements(error) || !this.#users.forget(tx)) throw error
      return this.#within(tx, work)
    }
  }

  #within<T>(tx: unknown, work: (tx: Transaction) => T): T {
    if (this.#isClosed) throw closedError(this.file)
    const connection = this.#users.of(tx)
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
      this.#look()
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
    if (this.#isClosed) return null
    try {
      const connection = this.#open()
      this.#look()
      return work(connection)
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
    if (this.#notLookedFor(lookMs.write)) this.#lookAtLog()
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
    this.#lookAtFile()
    this.#pace.wrote()
    for (const hint of tx.hints) this.#hints.give(hint)
    return answer
  }

  #snapshot<T>(work: (connection: Connection) => T): T {
    const connection = this.#open()
    if (this.#notLookedFor(lookMs.read)) this.#look()
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
      const handle = (this.#handle ??= this.#openFile())
      const connection = new Connection(handle)
      this.#configure(connection)
      if (readVersion(connection, this.file) < schemaVersion) this.#upgrade(connection)
      if (this.#fileId !== null)
        this.#identity = new Identity(this.file, this.#fileId, `${handle.location()}-wal`)
      this.#connection = connection
      return connection
    } catch (error) {
      if (!isBusy(error)) this.#drop()
      throw error
    }
  }

  #openFile(): DatabaseSync {
    this.#mayOpen()
    const { handle, id } = openFile(this.file)
    this.#fileId = id
    this.#options.opened.set(id)
    return handle
  }

  /** Throws `store-replaced` where a call must not open what the path leads to. */
  #mayOpen(): void {
    const found = fileIdOf(this.file)
    if (this.#replaced === null) {
      const opened = this.#fileId ?? this.#options.opened.get()
      if (opened !== null && !isSame(opened, found))
        throw this.#found(found === null ? 'file-gone' : 'file-other')
    } else {
      const { mismatch, since } = this.#replaced
      const sinceMs = this.clock.now() - since
      if (sinceMs >= 0 && sinceMs < restMs) throw replacedError(this.file, mismatch)
      if (found === null) throw replacedError(this.file, 'file-gone')
    }
    if (isForsaken(found)) throw replacedError(this.file, 'log-gone')
    this.#replaced = null
  }

  #notLookedFor(ms: number): boolean {
    return performance.now() - this.#lookedAt > ms
  }

  /** Makes sure that both paths still lead to what is open. */
  #look(): void {
    this.#lookAtLog()
    this.#lookAtFile()
  }

  #lookAtLog(): void {
    const mismatch = this.#identity?.logMismatch()
    if (mismatch) throw this.#found(mismatch)
    this.#lookedAt = performance.now()
  }

  #lookAtFile(): void {
    const mismatch = this.#identity?.fileMismatch()
    if (mismatch) throw this.#found(mismatch)
  }

  /** Leaves what is open, has every watcher call and hear of it, and answers the error of those calls. */
  #found(mismatch: Mismatch): ErrandError {
    this.#replaced = { mismatch, since: this.clock.now() }
    if (mismatch === 'log-other') this.#forsake(this.#handle)
    else {
      if (mismatch === 'log-gone') this.#forsake(null)
      // A file that is not at its path SQLite leaves as it is, and the log at that path too. What is only in a removed log it moves
      // into the file, if nobody else has that open.
      this.#drop()
    }
    this.#handle = this.#connection = this.#identity = this.#fileId = null
    this.#hints.giveAll()
    return replacedError(this.file, mismatch)
  }

  #forsake(kept: DatabaseSync | null): void {
    if (this.#fileId !== null) forsaken.push({ id: this.#fileId, kept })
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
    this.#handle = this.#connection = this.#identity = null
    if (handle?.isOpen) handle.close()
  }

  /** What a failed call rejects with. After trouble with the file the next call opens it anew. */
  #failure(error: unknown): unknown {
    const failure = storeError(error, this.file)
    if (isErrandError(failure, 'store-unavailable') || isErrandError(failure, 'store-corrupt'))
      this.#drop()
    return failure
  }
}

function isForsaken(found: FileId | null): boolean {
  return forsaken.some(({ id }) => isSame(id, found) && id.birthtimeNs === found?.birthtimeNs)
}
