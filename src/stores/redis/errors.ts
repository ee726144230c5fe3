/** What errors of Redis and of its client mean to Errand; by their codes, never by their texts. */
import { ErrandError, isErrandError } from '../../core/errors.ts'
import { lostPrefix } from './script.ts'

/**
 * The word with which Redis begins an error, also the last one that a cluster gave up after; '' for
 * what is no error of Redis.
 */
function prefixOf(error: unknown): string {
  if (!(error instanceof Error)) return ''
  if (error.name === 'ReplyError') return /^[A-Z]+/.exec(error.message)?.[0] ?? ''
  return redirected.exec(error.message)?.[1] ?? ''
}

/**
 * What a cluster of ioredis rejects with when no node would carry out a call. It has no code of its
 * own.
 */
const redirected = /^Too many Cluster redirections\. Last error: ReplyError: ([A-Z]+)/

/** Tells whether the server does not know a script by its digest. */
export function isUnknownScript(error: unknown): boolean {
  return prefixOf(error) === 'NOSCRIPT'
}

/** Tells whether the server has no database of the number that the URL names. */
export function isWrongDatabase(error: unknown): boolean {
  return (
    prefixOf(error) === 'ERR' &&
    (error as { command?: { name?: string } }).command?.name === 'select'
  )
}

/**
 * Tells whether an error came from the connection rather than from the server: what was sent may
 * have been carried out.
 */
export function isOfConnection(error: unknown): boolean {
  return error instanceof Error && prefixOf(error) === '' && !isErrandError(error)
}

/**
 * An error without what was sent. ioredis keeps the command with it, and with that passwords and
 * the inputs of jobs, which would reach whatever logs the cause.
 */
export function withoutArguments(error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof ErrandError) return error
  const { message, name, stack } = error
  const { command, lastNodeError, ...facts } = error as Partial<ClientError>
  const bare = new Error(message)
  const shown = Object.entries(facts).filter(([, fact]) => typeof fact !== 'object')
  Object.defineProperty(bare, 'name', { value: name })
  Object.defineProperty(bare, 'stack', { value: stack })
  return Object.assign(bare, Object.fromEntries(shown), {
    ...(command === undefined ? {} : { command: { name: command.name } }),
    ...(lastNodeError === undefined ? {} : { lastNodeError: withoutArguments(lastNodeError) }),
  })
}

/** What ioredis adds to an error. */
interface ClientError {
  readonly command: { readonly name: string; readonly args: readonly unknown[] }
  readonly lastNodeError: unknown
}

/**
 * Tells whether the server refused a call for what it is at present, such as a replica. Behind the
 * same address there may be another one by now, which only a new connection reaches.
 */
export function isOfServer(error: unknown): boolean {
  return ofServer.has(prefixOf(error))
}

const ofServer: ReadonlySet<string> = new Set([
  'READONLY',
  'MASTERDOWN',
  'LOADING',
  'CLUSTERDOWN',
  'NOREPLICAS',
  'MISCONF',
  'NOAUTH',
  'WRONGPASS',
  'NOPERM',
])

/** Tells whether a script found its partition without a layout. */
export function isLost(error: unknown): boolean {
  return prefixOf(error) === lostPrefix
}

const advice: Readonly<Record<string, string>> = {
  NOAUTH: 'asks for a password: name one in the URL, redis://:password@host',
  WRONGPASS: 'refuses the user or the password: correct them in the URL',
  NOPERM:
    'does not let this user run scripts on these keys: grant +@scripting +@read +@write +@pubsub, and the keys {<prefix>:*',
  OOM: 'has reached maxmemory: free memory or raise the limit; jobs can be claimed and settled meanwhile',
  READONLY: 'is a read-only replica: name the master',
  LOADING: 'is loading its data',
  BUSY: 'is busy with a script of someone',
  CLUSTERDOWN: 'is a cluster that does not serve all its slots',
  TRYAGAIN:
    'is a cluster that is moving this partition: it can be used again once it has moved whole',
  ASK: 'is a cluster that is moving this partition: it can be used again once it has moved whole',
  MOVED:
    'is a cluster that is moving this partition, or of which only one node is named: name several',
  [lostPrefix]:
    'has lost a partition of this store, or is still moving it: calls go on when it is there again',
  MASTERDOWN: 'is a replica that has lost its master',
  MISCONF: 'cannot write its data to disk: look into its log',
  NOREPLICAS: 'has fewer replicas than it needs to accept writes',
}

/**
 * Turns an error into Errand's own, with what to do about it; passes others through. `cause` tells
 * why there is no connection.
 */
export function storeError(error: unknown, location: string, cause: unknown = error): unknown {
  if (isErrandError(error)) return error
  const prefix = prefixOf(error)
  if (isWrongDatabase(cause))
    return unavailable(
      `Redis at ${location} has no database of this number: correct the URL`,
      cause,
      location,
    )
  const known = advice[prefix] ?? advice[prefixOf(cause)]
  if (known !== undefined) return unavailable(`Redis at ${location} ${known}`, error, location)
  if (prefix === 'WRONGTYPE') {
    return new ErrandError(
      'store-corrupt',
      `Redis at ${location} holds other data under the names of this store: choose another prefix`,
      { cause: error, details: { location } },
    )
  }
  if (!isOfConnection(error)) return error
  const code = codeOf(cause) ?? codeOf(error)
  const why = code === null ? 'cannot be reached' : `cannot be reached (${code})`
  return unavailable(
    `Redis at ${location} ${why}: make sure that it runs and that the address is right`,
    cause,
    location,
  )
}

/** What the socket called it; a cluster tells of the last node that it tried. */
function codeOf(error: unknown): string | null {
  if (!(error instanceof Error)) return null
  if ('lastNodeError' in error) return codeOf(error.lastNodeError)
  return 'code' in error && typeof error.code === 'string' ? error.code : null
}

function unavailable(message: string, cause: unknown, location: string): ErrandError {
  return new ErrandError('store-unavailable', message, { cause, details: { location } })
}

/** The error of an insert whose answer was lost. */
export function unknownOutcome(location: string, cause: unknown): ErrandError {
  return new ErrandError(
    'unknown-outcome',
    `The connection to Redis at ${location} broke before it answered; the jobs may be stored: insert the same ids again`,
    { cause, details: { location } },
  )
}

/** The error of a store of which a partition is not where it was. */
export function lostError(location: string, root: string): ErrandError {
  return new ErrandError(
    'store-unavailable',
    `Redis at ${location} has lost the partition ${root} of this store: restore its data; to begin anew, stop all programs that use it and delete the keys of the prefix`,
    { details: { location, partition: root } },
  )
}

/** The error of a call after `close()`. */
export function closedError(location: string): ErrandError {
  return new ErrandError('closed', `The store on Redis at ${location} is closed.`, {
    details: { location },
  })
}
