/** What the errors of PostgreSQL and of the way to it mean to Errand; by SQLSTATE and errno, never by their texts. */
import { ErrandError, isErrandError } from '../../core/errors.ts'

/** What the server or the socket called it; empty for what comes from neither. */
function codeOf(error: unknown): string {
  if (!(error instanceof Error)) return ''
  if (error instanceof AggregateError) return codeOf(error.errors[0])
  return 'code' in error && typeof error.code === 'string' ? error.code : ''
}

/** Deadlock, serialisation failure: nothing was written, and the same again may succeed. */
export function isTransient(error: unknown): boolean {
  const code = codeOf(error)
  return code === '40P01' || code === '40001'
}

/** The server takes no writes (any more), and has not carried the statement out: it is a replica, or was demoted. */
export function isDemoted(error: unknown): boolean {
  return codeOf(error) === '25006'
}

/** A prepared statement that a migration or a pooler took away: good again on a new connection. */
export function isOutdated(error: unknown): boolean {
  const code = codeOf(error)
  return code === '0A000' || code === '26000'
}

/** The connection went, or was never there. Whether the last call was carried out is unknown if it had been sent. */
export function isDisconnect(error: unknown): boolean {
  if (isErrandError(error)) return error.code === 'store-unavailable'
  const code = codeOf(error)
  if (/^(08...|57P0[1-5]|25P0[34])$/.test(code) || code.startsWith('E')) return true
  // pg itself tells of an end without a code.
  return (
    error instanceof Error &&
    code === '' &&
    !(error instanceof TypeError) &&
    !(error instanceof RangeError)
  )
}

/**
 * The connection is of no use after this error, though it may still be open: the session or the server behind it is not the one that is
 * wanted. It ended (class 08, 57P, a timeout of the session or of its transaction), the server takes no writes, its user may not be in
 * (class 28), statements are not prepared any more, or the server is broken (58, XX).
 */
export function endsConnection(error: unknown): boolean {
  if (isDisconnect(error) || isOutdated(error) || isDemoted(error)) return true
  return /^(28|58|XX)/.test(codeOf(error))
}

/**
 * The server's queue of notifications may be full, since a session that listens has left a transaction open: nothing was written. A
 * value that is too large has the same code.
 */
export function mayBeFull(error: unknown): boolean {
  return isErrandError(error) && error.details['code'] === '54000'
}

/** Turns an error into Errand's own, with what to do about it; passes others through. */
export function storeError(error: unknown, location: string): unknown {
  if (isErrandError(error)) return error
  const code = codeOf(error)
  const because = whyUnavailable(code)
  const details = { location, code }
  if (because !== null)
    return new ErrandError('store-unavailable', `${location}: ${because}`, {
      cause: error,
      details,
    })
  switch (code) {
    case '40001':
      return new ErrandError(
        'store-busy',
        `${location}: another transaction changed what the call needs, and nothing was written: call again; a transaction of your own must be rolled back and run again from its start, as for any error 40001 of the server`,
        { cause: error, details },
      )
    case '55P03':
    case '40P01':
    case '57014':
      return new ErrandError(
        'store-busy',
        `${location}: a job that the call needs was held by another transaction for too long, and nothing was written: end that transaction, then call again`,
        { cause: error, details },
      )
    case '54000':
    case '22001':
    case '22021':
    case '22P05':
      return new ErrandError(
        'too-large',
        `${location}: a value cannot be stored: it is larger than PostgreSQL stores, or holds a character of code 0`,
        { cause: error, details },
      )
    case '42P01':
    case '42883':
    case '3F000':
      return new ErrandError(
        'store-corrupt',
        `${location}: tables or functions of the schema are missing: it was dropped or restored in part. If it is gone, a process that starts makes it anew; else restore it from a backup`,
        { cause: error, details },
      )
    case '42P07':
    case '42723':
      return new ErrandError(
        'store-corrupt',
        `${location}: the schema holds other tables or functions by the names of Errand's: choose another schema, or drop it`,
        { cause: error, details },
      )
    case '42501':
      return new ErrandError('store-unavailable', `${location}: ${missingRight(error)}`, {
        cause: error,
        details,
      })
    case '25P02':
      return new ErrandError(
        'tx-unsupported',
        'The transaction has failed before and takes no more statements: roll it back',
        { cause: error, details },
      )
    default:
      if (!isDisconnect(error)) return error
      return new ErrandError(
        'store-unavailable',
        `${location}: the connection ended before the answer came: see whether the server runs`,
        { cause: error, details },
      )
  }
}

/** Which right it is, the server tells in its own words and language only. */
function missingRight(error: unknown): string {
  const said = error instanceof Error ? error.message : String(error)
  return `this user may not do that, "${said}": grant it USAGE on the schema, SELECT, INSERT, UPDATE, DELETE and TRUNCATE on its tables, USAGE and UPDATE on its sequences and EXECUTE on its functions; to make or upgrade them CREATE on the database, or have their owner run errand migrate`
}

function whyUnavailable(code: string): string | null {
  switch (code) {
    case 'ECONNREFUSED':
      return 'nothing listens there: start the server, or correct host and port'
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return 'the host name cannot be found: correct it'
    case 'ETIMEDOUT':
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
      return 'the server cannot be reached: see to the network between'
    case '28P01':
      return 'user or password is wrong: correct the URL'
    case '28000':
      return 'the server does not let this user in: see to pg_hba.conf'
    case '3D000':
      return 'there is no such database: create it, or correct the URL'
    case '53300':
      return 'the server has no connection left: raise max_connections, or put a pooler between'
    case '25006':
      return 'it is a read-only replica, or was demoted: name the primary; once the address leads to it, Errand reaches it by itself'
    case '57P01':
    case '57P02':
      return 'an administrator ended the connection: it comes back by itself'
    case '57P03':
      return 'the server is starting up or shutting down'
    case '57P05':
    case '25P03':
      return 'the server ended a session that was idle: it comes back by itself'
    case '25P04':
      return 'the server ended a transaction that took too long: it comes back by itself; raise transaction_timeout if it recurs'
    case '53100':
      return 'the disk of the server is full: free some space'
    case '53200':
      return 'the server is out of memory'
    case '42P05':
    case '26000':
      return 'a pooler mixes up prepared statements: make the store with prepare: false'
    default:
      return null
  }
}

/** The error of a call after `close()`. */
export function closedError(location: string): ErrandError {
  return new ErrandError(
    'closed',
    `The store on ${location} is closed: make a new one with postgres()`,
    {
      details: { location },
    },
  )
}

/** The error of a call that was not answered in time. */
export function lateError(location: string, ms: number): ErrandError {
  return new ErrandError('store-unavailable', `${location}: no answer came within ${ms} ms`, {
    details: { location },
  })
}

/** The error of a call that found no connection free in time: it was not sent. */
export function crowdedError(location: string, ms: number): ErrandError {
  return new ErrandError(
    'store-unavailable',
    `${location}: no connection became free within ${ms} ms, and nothing was sent: make fewer calls at once, or see what holds the connections`,
    { details: { location } },
  )
}

/** The error of a connection that could not be made in time. */
export function unreachedError(location: string, ms: number): ErrandError {
  return new ErrandError(
    'store-unavailable',
    `${location}: the server let nobody in within ${ms} ms: see whether it runs, and to the network between`,
    { details: { location } },
  )
}

/** The error of a statement whose connection was ended before it was sent. */
export function brokenError(location: string): ErrandError {
  return new ErrandError(
    'store-unavailable',
    `${location}: the connection ended before the call was sent: call again`,
    { details: { location } },
  )
}

/** The error of a call on a client of the user that is of no use any more. */
export function uselessError(location: string, cause: unknown): ErrandError {
  return new ErrandError(
    'store-unavailable',
    `${location}: the client that postgres() was given is of no use any more, and only you can connect another: make a new store with it, or hand over a URL or a pool, whose connections are replaced`,
    { cause, details: { location, code: codeOf(cause) } },
  )
}

/** What `insert_again` raises. */
export const forgottenState = 'UF001'

/** An insert was sent again that would have added jobs, though it may have added them before. */
export function isForgotten(error: unknown): boolean {
  return codeOf(error) === forgottenState
}

/** The error of an insert of which nobody knows whether it was carried out. */
export function unknownOutcome(
  location: string,
  ids: readonly string[],
  cause: unknown,
): ErrandError {
  return new ErrandError(
    'unknown-outcome',
    `${location}: the connection ended before the insert was answered; ${isForgotten(cause) ? 'jobs that nothing keeps have ended since, and whether these were among them cannot be told' : 'it is safe to insert the same ids again'}`,
    { cause, details: { location, ids } },
  )
}
