/** `errand/http`: a store behind an Errand manager, for workers and programs without credentials of the database. */
import { readClock, type Clock } from '../../core/clock.ts'
import { ErrandError } from '../../core/errors.ts'
import { refuseUnknownKeys } from '../../core/option-keys.ts'
import { ownModule } from '../../core/own-module.ts'
import type { Store } from '../../store/store.ts'
import { readCallDeadline } from '../call-deadline.ts'
import { systemClock } from '../system-clock.ts'
import { isOpen, locationOf, readAddress } from './address.ts'
import { Channel } from './channel.ts'
import { Connection } from './connection.ts'
import { HintStream } from './hint-stream.ts'
import { httpStore } from './store.ts'

export interface HttpStoreOptions {
  /** Of the manager: `https://jobs.example.org`, with a path where it stands behind one. */
  readonly url: string
  /** Default: what the environment variable `ERRAND_TOKEN` holds. Without either, none is sent. */
  readonly token?: string
  /** Timers of workers; the time of jobs is that of the manager's store. */
  readonly clock?: Clock
  /** How long a call is tried before it rejects, in ms. Default and at most 30,000. */
  readonly callDeadlineMs?: number
}

/** Connections for calls, beside that on which it hears of others' work. */
const connections = { program: 3, thread: 2 } as const

/** What a header can carry. */
const tokenForm = /^[\x21-\x7e]+$/

const openWarning = {
  text: 'The token crosses the network in plain HTTP, for everybody on the way to read.',
  advice: 'Reach the manager by https:, by TLS of its own or of a proxy before it.',
} as const

/**
 * A store whose calls a manager makes: `errand serve`, or `manager()` of `errand/manager`. Opens nothing. It takes part in no
 * transaction: `tx` is refused with `tx-unsupported`.
 *
 * Its calls reject with `unauthorized` and `forbidden` for a token that the manager does not take, or that may not do this, and
 * with `protocol-mismatch` when one of both is too old for the other. Throws `invalid-option`.
 *
 * @example
 * const errand = createErrand({ store: http({ url: 'https://jobs.example.org' }), tasks: [resize] })
 */
export function http(options: HttpStoreOptions): Store {
  return open(options, connections.program)
}

/** Opens the same store again, in a thread or another process: see `Connector`. */
export function connect(argument: unknown): Store {
  return open(argument as HttpStoreOptions, connections.thread)
}

function open(options: HttpStoreOptions, most: number): Store {
  refuseUnknownKeys(options, ['url', 'token', 'clock', 'callDeadlineMs'], 'http()')
  const { token = tokenOf(process.env['ERRAND_TOKEN']), clock = systemClock } = options
  const url = readAddress(options.url)
  const callDeadlineMs = readCallDeadline(options.callDeadlineMs, 'http()')
  readClock(clock, 'http().clock')
  if (token !== undefined && (typeof token !== 'string' || !tokenForm.test(token))) {
    throw new ErrandError(
      'invalid-option',
      'http().token must be the text that `errand tokens create` printed; this has characters that no token has.',
    )
  }
  const channel = new Channel(url, most)
  const connection = new Connection({ channel, location: locationOf(url), token, callDeadlineMs })
  const argument = {
    url: locationOf(url),
    callDeadlineMs,
    ...(token === undefined ? {} : { token }),
  }
  return httpStore({
    connection,
    hints: new HintStream(channel, connection.headers),
    clock,
    connector: clock === systemClock ? { module: ownModule('stores/http/index'), argument } : null,
    warnings: token !== undefined && isOpen(url) ? [openWarning] : [],
  })
}

/** A variable that is set to nothing names no token; what surrounds one came with a file. */
function tokenOf(text: string | undefined): string | undefined {
  const token = text?.trim()
  return token === '' ? undefined : token
}
