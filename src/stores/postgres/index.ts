/** `errand/postgres`: jobs in a PostgreSQL database, in a schema of their own. */
import { readClock, type Clock } from '../../core/clock.ts'
import { ErrandError } from '../../core/errors.ts'
import { refuseUnknownKeys } from '../../core/option-keys.ts'
import { ownModule } from '../../core/own-module.ts'
import { readFlag, refuseValue } from '../../core/read.ts'
import { encodeAdvice, isTorn, maybeUnset, shownUrl, shownValue } from '../../core/shown.ts'
import type { Store } from '../../store/store.ts'
import { readCallDeadline } from '../call-deadline.ts'
import { systemClock } from '../system-clock.ts'
import { ClientConnection } from './client-connection.ts'
import { Deadline, type PgClient, type Source } from './connection.ts'
import { OwnConnections } from './own-connections.ts'
import { PoolConnections, type PgPool } from './pool-connections.ts'
import { postgresStore } from './store.ts'

export interface PostgresOptions {
  /** The schema that holds Errand's tables, made at the first call. Default `'errand'`. */
  readonly schema?: string
  /** Whether to prepare statements by name. `false` is for a pooler in transaction mode that does not keep them apart. Default `true`. */
  readonly prepare?: boolean
  /**
   * How to hear of other processes' work at once. `true` (the default) listens on a connection of the store; `false` leaves it to polling;
   * a URL names the server itself when the store's own leads through a pooler.
   */
  readonly listen?: boolean | string
  /** Timers of workers; the time of jobs is the server's. */
  readonly clock?: Clock
  /** How long a call waits for a free connection, and then for its answer, before it rejects, in ms. Default and at most 30,000. */
  readonly callDeadlineMs?: number
}

const defaults = { schema: 'errand', prepare: true, listen: true } as const

/** A process has at most three connections: with the one of its renewer, two are left. */
const connections = 2

/**
 * A store on a PostgreSQL server (15 or newer): from a URL, with two connections of its own, or on your pool or client of `pg`,
 * which is used as it is and never closed. `insert` and `settle` take as `tx` a client of `pg` in a transaction, the `sql` of postgres.js
 * in `begin`, or a transaction of Kysely or Drizzle.
 *
 * Throws `invalid-option` for unknown options; a missing `pg` shows at the first call as `missing-peer`.
 */
export function postgres(connection: string | object, options: PostgresOptions = {}): Store {
  return open(connection, options, connections)
}

/** Opens the same store again, in a thread or another process: see `Connector`. */
export function connect(argument: unknown): Store {
  const { url, options } = argument as Argument
  return open(url, options, 1)
}

interface Argument {
  readonly url: string
  readonly options: PostgresOptions
}

function open(connection: string | object, options: PostgresOptions, most: number): Store {
  refuseUnknownKeys(
    options,
    ['schema', 'prepare', 'listen', 'clock', 'callDeadlineMs'],
    'postgres()',
  )
  const { schema = defaults.schema, prepare = defaults.prepare, listen = defaults.listen } = options
  const { clock = systemClock } = options
  const callDeadlineMs = readCallDeadline(options.callDeadlineMs, 'postgres()')
  if (typeof schema !== 'string' || !/^[a-z_][a-z0-9_]{0,39}$/.test(schema))
    refuseValue('postgres().schema', 'a plain name in lower case', schema)
  readFlag(prepare, 'postgres().prepare')
  readClock(clock, 'postgres().clock')
  if (typeof listen === 'string') urlOf(listen, 'postgres().listen')
  else readFlag(listen, 'postgres().listen')
  const location = locationOf(connection, schema)
  const deadline = new Deadline(callDeadlineMs, location)
  const own = (url: string, count: number): Source =>
    new OwnConnections(configOf(url), count, deadline)
  const source = sourceOf(connection, deadline, (url) =>
    own(url, typeof listen === 'string' ? 1 : most),
  )
  const parts = { source, schema, location, prepare, deadline, clock }
  if (typeof connection !== 'string') {
    const listening = listen === false ? null : typeof listen === 'string' ? own(listen, 1) : source
    return postgresStore({
      ...parts,
      connector: null,
      listening: mayListen(connection) ? listening : null,
    })
  }
  const argument: Argument = {
    url: connection,
    options: { schema, prepare, listen: false, callDeadlineMs },
  }
  return postgresStore({
    ...parts,
    connector:
      clock === systemClock ? { module: ownModule('stores/postgres/index'), argument } : null,
    listening: listen === false ? null : typeof listen === 'string' ? own(listen, 1) : source,
  })
}

/** A connection that rests is proven by the kernel from then on, each second: one that is dead is closed after ten. */
const restMs = 10_000

function configOf(url: string): object {
  return {
    connectionString: url,
    keepAlive: true,
    keepAliveInitialDelayMillis: restMs,
    fallback_application_name: 'errand',
  }
}

function sourceOf(
  connection: string | object,
  deadline: Deadline,
  own: (url: string) => Source,
): Source {
  if (typeof connection === 'string') return own(connection)
  return isPool(connection)
    ? new PoolConnections(connection, deadline)
    : new ClientConnection(connection as PgClient, deadline)
}

function isPool(connection: object): connection is PgPool {
  return 'totalCount' in connection && 'connect' in connection
}

/** A pool of one would have nothing left for work. */
function mayListen(connection: object): boolean {
  return !isPool(connection) || (connection.options?.max ?? 10) > 1
}

/** Host, port, database and schema: no user, no password. */
function locationOf(connection: string | object, schema: string): string {
  if (typeof connection === 'string') {
    const { host, pathname } = urlOf(connection, 'postgres()')
    return `postgres://${host}${pathname}, schema ${schema}`
  }
  const hasQuery =
    typeof connection === 'object' &&
    connection !== null &&
    'query' in connection &&
    typeof connection.query === 'function'
  if (hasQuery) return `postgres, schema ${schema}`
  throw new ErrandError(
    'invalid-option',
    `postgres() needs a URL, or a pool or client of pg, not ${shownValue(connection)}${maybeUnset(connection)}`,
  )
}

const exampleUrl = 'postgres://user:password@host:5432/database'

/** Throws `invalid-option` for what is no URL of PostgreSQL. */
function urlOf(text: string, what: string): URL {
  const url = URL.parse(text)
  const isTornApart = isTorn(text)
  if (url !== null && /^(?:postgres(?:ql)?|socket):$/.test(url.protocol) && !isTornApart) return url
  const advice = isTornApart ? ` ${encodeAdvice}` : text === '' ? maybeUnset(text) : ''
  throw new ErrandError(
    'invalid-option',
    `${what} needs a URL such as ${exampleUrl}, not ${text === '' ? '""' : shownUrl(text)}${advice}`,
  )
}
