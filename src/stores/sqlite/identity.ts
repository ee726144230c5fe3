/**
 * Which file and which write-ahead log a connection has open, told by device and inode, and whether their paths still lead there.
 *
 * Files are only looked at by name here. Never open the database file and close it again: that drops every lock this process
 * has on it, whoever took it.
 */
import { randomUUID } from 'node:crypto'
import { chmodSync, existsSync, linkSync, statSync, unlinkSync, writeFileSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { ErrandError } from '../../core/errors.ts'

/** Device and inode of a file. No other file has them while somebody has this one open. */
export interface FileId {
  readonly dev: bigint
  readonly ino: bigint
  /** When it was made: tells two files apart that had one inode after each other. Not on every file system. */
  readonly birthtimeNs: bigint
}

/** What was opened is no longer at its path: nothing is there, or something else. */
export type Mismatch = 'file-gone' | 'file-other' | 'log-gone' | 'log-other'

/** A new file is for its owner only; SQLite gives its log and index the same mode. */
const privateMode = 0o600

const openTries = 3

/** Answers what a path leads to, null for nothing. */
export function fileIdOf(path: string): FileId | null {
  // As bigint, because inodes of overlays exceed what a number holds exactly.
  return statSync(path, { bigint: true, throwIfNoEntry: false }) ?? null
}

type Place = Pick<FileId, 'dev' | 'ino'>

export function isSame(one: Place | null, other: Place | null): boolean {
  return one?.ino === other?.ino && one?.dev === other?.dev
}

/** Which file a store has open, in memory that its threads share: none of them makes a new one when that file has gone. */
export class SharedPlace {
  readonly memory: BigUint64Array

  constructor(memory: BigUint64Array = new BigUint64Array(new SharedArrayBuffer(16))) {
    this.memory = memory
  }

  get(): Place | null {
    const [dev = 0n, ino = 0n] = this.memory
    return ino === 0n ? null : { dev, ino }
  }

  set({ dev, ino }: Place): void {
    this.memory.set([dev, ino])
  }
}

/** A file and its log, as they were when they were opened. */
export class Identity {
  readonly log: string
  readonly fileId: FileId
  readonly #file: string
  readonly #logId: FileId

  /** Throws `store-unavailable` when the log has gone already. */
  constructor(file: string, fileId: FileId, log: string) {
    const logId = fileIdOf(log)
    if (logId === null) throw unstable(file)
    this.log = log
    this.fileId = fileId
    this.#file = file
    this.#logId = logId
  }

  fileMismatch(): Mismatch | null {
    const now = fileIdOf(this.#file)
    if (now === null) return 'file-gone'
    return isSame(now, this.fileId) ? null : 'file-other'
  }

  logMismatch(): Mismatch | null {
    const now = fileIdOf(this.log)
    if (isSame(now, this.#logId)) return null
    // Without its file, the log tells nothing.
    return this.fileMismatch() ?? (now === null ? 'log-gone' : 'log-other')
  }
}

/** Opens a database, creating it if need be, and makes sure that what was opened is what the path leads to. */
export function openFile(file: string): { readonly handle: DatabaseSync; readonly id: FileId } {
  for (let tries = 1; ; tries += 1) {
    if (!existsSync(file)) createPrivately(file)
    const before = fileIdOf(file)
    const handle = new DatabaseSync(file, { timeout: 0 })
    const id = fileIdOf(file)
    if (before === null && id !== null) chmodSync(file, privateMode)
    if (id !== null && isSame(before, id)) return { handle, id }
    // Besides an exchange at this very moment: an overlay copies a file when it is first opened for writing.
    handle.close()
    if (tries === openTries) throw unstable(file)
  }
}

/**
 * Creates an empty file that nobody else may read at any moment. It gets its name when it is closed already, so that this closes
 * no file that another thread has opened. Where there are no links, or no right to write, SQLite creates the file, or says why not.
 */
function createPrivately(file: string): void {
  const draft = `${file}.${randomUUID()}.new`
  try {
    writeFileSync(draft, '', { flag: 'wx', mode: privateMode })
    try {
      linkSync(draft, file)
    } finally {
      unlinkSync(draft)
    }
  } catch {
    // SQLite tells better what is wrong.
  }
}

function unstable(file: string): ErrandError {
  return new ErrandError(
    'store-unavailable',
    `${file} or its write-ahead log was exchanged while it was opened: leave them in place, and call again`,
    { details: { file } },
  )
}
