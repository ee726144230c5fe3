/** What SQLite's errors mean to Errand; by their numbers, never by their texts. */
import { ErrandError } from '../../core/errors.ts'
import type { Mismatch } from './identity.ts'

const BUSY = 5
const LOCKED = 6
const PERM = 3
const NOMEM = 7
const READONLY = 8
const IOERR = 10
const CORRUPT = 11
const FULL = 13
const CANTOPEN = 14
const TOOBIG = 18
const AUTH = 23
const NOTADB = 26

/** The primary result code, without its extension; 0 for what is no error of SQLite. */
function primaryCode(error: unknown): number {
  if (!(error instanceof Error) || !('errcode' in error)) return 0
  return typeof error.errcode === 'number' ? error.errcode & 0xff : 0
}

/** Tells whether an error comes from a look at the file, and not from SQLite. */
function isOfFiles(error: unknown): boolean {
  return error instanceof Error && 'syscall' in error && 'errno' in error
}

/** Tells whether another connection holds the lock, so that trying again helps. */
export function isBusy(error: unknown): boolean {
  const code = primaryCode(error)
  return code === BUSY || code === LOCKED
}

/** Turns an error of SQLite into Errand's own, with what to do about it; passes others through. */
export function storeError(error: unknown, file: string): unknown {
  switch (isOfFiles(error) ? CANTOPEN : primaryCode(error)) {
    case BUSY:
    case LOCKED:
      return busyError(file, error)
    case CORRUPT:
    case NOTADB:
      return new ErrandError(
        'store-corrupt',
        `${file} is not an intact SQLite database: restore it from a backup, or name another file`,
        { cause: error, details: { file } },
      )
    case READONLY:
    case PERM:
    case AUTH:
    case CANTOPEN:
      return new ErrandError(
        'store-unavailable',
        `${file} cannot be opened for writing: make sure that its folder exists and that this user may write to both`,
        { cause: error, details: { file } },
      )
    case FULL:
      return new ErrandError('store-unavailable', `The disk of ${file} is full: free some space`, {
        cause: error,
        details: { file },
      })
    case IOERR:
    case NOMEM:
      return new ErrandError(
        'store-unavailable',
        `${file} could not be read or written: check its disk and the memory of this machine`,
        { cause: error, details: { file } },
      )
    case TOOBIG:
      return new ErrandError(
        'too-large',
        'A value is larger than SQLite stores: keep it elsewhere and hand over a reference',
        {
          cause: error,
          details: { file },
        },
      )
    default:
      return error
  }
}

/** The error of a call that could not write in time. */
export function busyError(file: string, cause: unknown, waitedMs?: number): ErrandError {
  const waited = waitedMs === undefined ? '' : ` for ${Math.round(waitedMs)} ms`
  return new ErrandError(
    'store-busy',
    `Another transaction held the write lock of ${file}${waited}, and nothing was written: end it, or hand it over as tx if it is your own, then call again`,
    { cause, details: { file } },
  )
}

/** The error of a call after `close()`. */
export function closedError(file: string): ErrandError {
  return new ErrandError('closed', `The store on ${file} is closed: make a new one with sqlite()`, {
    details: { file },
  })
}

/** The error of a `tx` that does not hold the write lock. */
export function notImmediate(cause?: unknown): ErrandError {
  return new ErrandError(
    'tx-not-immediate',
    'The transaction does not hold the write lock of the file: begin with BEGIN IMMEDIATE',
    { cause },
  )
}

/** Whether a statement was made before its database was closed. */
export function hasLostStatements(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ERR_INVALID_STATE'
}

/** The error of every call while the file, or its log, is not the one that was opened. */
export function replacedError(file: string, mismatch: Mismatch): ErrandError {
  const needsRestart = mismatch === 'log-gone' || mismatch === 'log-other'
  return new ErrandError('store-replaced', replacedWords[mismatch](file), {
    details: { file, mismatch, needsRestart },
  })
}

const removedLog = (file: string): string =>
  `The write-ahead log of ${file} was taken away under this process, by hand or by a second SQLite library in it, and nothing more is stored: restart this process, and let only node:sqlite open the file in it`

const replacedWords: Readonly<Record<Mismatch, (file: string) => string>> = {
  'file-gone': (file) =>
    `${file} was removed or moved while it was open, and nothing more is stored: put it back, or restart this process to begin anew`,
  'file-other': (file) =>
    `Another file was put in the place of ${file} while it was open. What this process held of the old one is void; it goes on with the new one in a few seconds. Stop all processes before you restore a file`,
  'log-gone': removedLog,
  'log-other': removedLog,
}
