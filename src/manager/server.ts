/**
 * A server of Node for a manager. It speaks plain HTTP on this machine and TLS elsewhere, and gives no
 * client more than its share: of connections, of header bytes, of time to send and to read.
 */
import { createServer, STATUS_CODES, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import { Server as NetServer, type AddressInfo, type Socket } from 'node:net'
import { readCount } from '../app/app.ts'
import { sleep, type Clock } from '../core/clock.ts'
import { toMs, type Duration } from '../core/duration.ts'
import { ErrandError } from '../core/errors.ts'
import { refuseUnknownKeys } from '../core/option-keys.ts'
import { readText, refuseValue } from '../core/read.ts'
import {
  clearInterval,
  clearTimeout,
  performance,
  setInterval,
  setTimeout,
} from '../core/timers.ts'
import { stopDefaults } from '../loops/stop-defaults.ts'
import { isLoopback } from './access/local.ts'
import type { Manager } from './manager.ts'
import { Problem, problemBody, type ProblemCode } from './problem.ts'

export interface ServerOptions {
  /** Default `127.0.0.1`. */
  readonly host?: string
  /** Default 8220; 0 for any that is free. */
  readonly port?: number
  /** The certificate with its chain, and its key, both as PEM. */
  readonly tls?: { readonly cert: string | Buffer; readonly key: string | Buffer }
  /** Whether to speak plain HTTP to other machines, such as to a proxy that speaks TLS. Default false. */
  readonly plainHttp?: boolean
  /** The most connections at once; more are closed at once. Default 10,000. */
  readonly maxConnections?: number
  readonly limits?: ServerLimits
}

/** How long clients may take. */
export interface ServerLimits {
  /** To send the head of a request, from the connection or the request before. Default 10 s; then 408. */
  readonly head?: Duration
  /** To send all of it. Default 60 s; then 408. */
  readonly request?: Duration
  /** Between two requests. Default 75 s, longer than most proxies keep a connection. */
  readonly idle?: Duration
  /** To read an answer that is complete. Default 60 s. */
  readonly read?: Duration
}

export interface ManagerServer {
  readonly url: string
  /** Uses another certificate and key for new connections. Throws `invalid-option`, also for a server that speaks no TLS. */
  useTls(tls: NonNullable<ServerOptions['tls']>): void
  /**
   * Takes no more connections, stops the manager, and closes what is left when its requests are
   * answered, or the grace is over.
   */
  close(options?: { readonly grace?: Duration }): Promise<void>
}

/** In milliseconds, but for what its name says otherwise. */
const bounds = {
  maxConnections: 10_000,
  headerBytes: 16 * 1_024,
  headers: 100,
  limits: { head: 10_000, request: 60_000, idle: 75_000, read: 60_000 },
  /** A connection on which nothing moves: longer than the longest poll. */
  silent: 120_000,
  /** How often it is looked whether a client takes too long, at most. */
  look: 1_000,
  /** What was written at a stop may take so long to leave, even when the grace is over. */
  flush: 200,
  /** At a stop, kept connections are open for so long, to refuse what is on its way on them. */
  linger: 250,
  /** How often connections that have become idle are closed at a stop. */
  idleLook: 10,
} as const

type NodeServer = ReturnType<typeof createServer> | ReturnType<typeof createSecureServer>

/** Listens. Rejects with `invalid-option`, and `server-unavailable` when the address cannot be had. */
export async function listen(
  manager: Manager,
  options: ServerOptions = {},
): Promise<ManagerServer> {
  const where = 'listen()'
  const known = ['host', 'port', 'tls', 'plainHttp', 'maxConnections', 'limits']
  refuseUnknownKeys(options, known, where)
  const { tls, plainHttp = false, maxConnections = bounds.maxConnections } = options
  const host = readText(options.host ?? '127.0.0.1', `${where}.host`)
  const port = readPort(options.port ?? 8220, `${where}.port`)
  const isHere = host === 'localhost' || isLoopback(host)
  if (tls === undefined && !isHere && !plainHttp)
    throw new ErrandError(
      'invalid-option',
      `Other machines reach ${host}, where tokens must not travel as plain HTTP: give a certificate and its key, or say that a proxy before it speaks TLS (plainHttp, --plain-http).`,
    )
  const limits = readLimits(options.limits, `${where}.limits`)
  const lookMs = Math.max(50, Math.min(bounds.look, ...Object.values(limits)))
  const slowReaders = new SlowReaders(limits.read, lookMs)
  const server = create(tls, lookMs, async (incoming, outgoing) => {
    if (incoming.rawHeaders.length > 2 * bounds.headers) return refuse(outgoing, tooManyHeaders)
    slowReaders.watch(outgoing)
    await manager.listener(incoming, outgoing)
  })
  server.maxConnections = readCount(maxConnections, `${where}.maxConnections`)
  server.headersTimeout = limits.head
  server.requestTimeout = limits.request
  server.keepAliveTimeout = limits.idle
  server.timeout = bounds.silent
  server.on('clientError', answerBadRequest)
  server.on(tls === undefined ? 'connection' : 'secureConnection', (socket: Socket) =>
    slowReaders.connected(socket),
  )
  await listening(server, host, port)
  // From now on an error is one of a connection that was not accepted, such as for want of descriptors.
  server.on('error', (error) => process.emitWarning(error))
  const { address, family, port: taken } = server.address() as AddressInfo
  const shown = family === 'IPv6' ? `[${address}]` : address
  const url = `http${tls === undefined ? '' : 's'}://${shown}:${taken}`
  let closing: Promise<void> | null = null
  return {
    url,
    useTls: ({ cert, key }) => {
      if (!('setSecureContext' in server))
        throw new ErrandError('invalid-option', 'This server speaks no TLS.')
      usable(() => server.setSecureContext({ cert, key }))
    },
    close: ({ grace = stopDefaults.graceMs } = {}) =>
      (closing ??= close(server, manager, slowReaders, toMs(grace, 'close().grace'))),
  }
}

async function close(
  server: NodeServer,
  manager: Manager,
  slowReaders: SlowReaders,
  grace: number,
): Promise<void> {
  const endsAt = machineClock.now() + grace
  // That of HTTP servers also cuts kept connections, on which a request may be under way.
  const stopListening = NetServer.prototype.close.bind(server)
  const closed = new Promise<void>((resolve) => stopListening(() => resolve()))
  const lingersUntil = machineClock.now() + Math.min(grace, bounds.linger)
  const idle = setInterval(() => {
    if (machineClock.now() >= lingersUntil) server.closeIdleConnections()
  }, bounds.idleLook)
  await manager.stop({ grace })
  // Answers that are complete may still be on their way out.
  const leftMs = Math.max(bounds.flush, endsAt - machineClock.now())
  const late = new AbortController()
  await Promise.race([closed, sleep(machineClock, leftMs, late.signal)])
  late.abort()
  clearInterval(idle)
  server.closeAllConnections()
  slowReaders.stop()
  await closed
}

type Listener = (incoming: IncomingMessage, outgoing: ServerResponse) => Promise<void>

function create(tls: ServerOptions['tls'], lookMs: number, listener: Listener): NodeServer {
  const options = {
    maxHeaderSize: bounds.headerBytes,
    connectionsCheckingInterval: lookMs,
    noDelay: true,
  }
  const listen = (incoming: IncomingMessage, outgoing: ServerResponse): void =>
    void listener(incoming, outgoing)
  if (tls === undefined) return createServer(options, listen)
  const { cert, key } = tls
  return usable(() => createSecureServer({ ...options, cert, key }, listen))
}

/** Throws `invalid-option` for a certificate and a key that cannot be used. */
function usable<T>(use: () => T): T {
  try {
    return use()
  } catch (cause) {
    throw new ErrandError(
      'invalid-option',
      `The certificate and its key cannot be used: ${cause instanceof Error ? cause.message : 'they are no PEM'}`,
      { cause },
    )
  }
}

function listening(server: NetServer, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const failed = (cause: NodeJS.ErrnoException): void =>
      reject(new ErrandError('server-unavailable', cannotListen(cause, host, port), { cause }))
    server.once('error', failed)
    server.listen(port, host, () => {
      server.off('error', failed)
      resolve()
    })
  })
}

function cannotListen(
  { code, message }: NodeJS.ErrnoException,
  host: string,
  port: number,
): string {
  switch (code) {
    case 'EADDRINUSE':
      return `Port ${port} at ${host} is taken: choose another one, or 0 for any that is free.`
    case 'EACCES':
      return `Port ${port} at ${host} needs more rights: choose one above 1023.`
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
      return `${host} is no address of this machine.`
    case undefined:
    default:
      return `Nothing can listen at ${host}, port ${port}: ${message}`
  }
}

const tooManyHeaders = `A request has at most ${bounds.headers} headers.`

/** What Node itself refuses, by its code. */
const refusals: Readonly<Record<string, readonly [status: number, ProblemCode, string]>> = {
  HPE_HEADER_OVERFLOW: [431, 'too-large', `Headers have at most ${bounds.headerBytes} bytes.`],
  ERR_HTTP_REQUEST_TIMEOUT: [408, 'timeout', 'The request took too long to come in.'],
}

/** Answers what is no request, or comes too slowly, with a problem, and closes the connection. */
function answerBadRequest(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) return void socket.destroy()
  const refusal = refusals[error.code ?? '']
  const [status, code, said] = refusal ?? [400, 'invalid-option', 'This is no HTTP request.']
  const body = problemBody(new Problem(code, said, { status }))
  const lines = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    'content-type: application/problem+json',
    `content-length: ${Buffer.byteLength(body)}`,
    'connection: close',
  ]
  socket.end(`${lines.join('\r\n')}\r\n\r\n${body}`, () => socket.destroy())
}

function refuse(outgoing: ServerResponse, said: string): void {
  const headers = { 'content-type': 'application/problem+json', connection: 'close' }
  outgoing.writeHead(431, headers)
  outgoing.end(problemBody(new Problem('too-large', said, { status: 431 })))
}

interface Reader {
  /** The newest answer on the connection. */
  outgoing: ServerResponse | null
  /** When it was seen to be complete. */
  completeAt: number | null
}

/** Ends connections whose clients do not read what was answered. */
class SlowReaders {
  readonly #readers = new Map<Socket, Reader>()
  readonly #withinMs: number
  readonly #timer: NodeJS.Timeout

  constructor(withinMs: number, lookMs: number) {
    this.#withinMs = withinMs
    this.#timer = setInterval(() => this.#look(), lookMs).unref()
  }

  connected(socket: Socket): void {
    this.#readers.set(socket, { outgoing: null, completeAt: null })
    socket.once('close', () => this.#readers.delete(socket))
  }

  watch(outgoing: ServerResponse): void {
    const reader = outgoing.socket === null ? undefined : this.#readers.get(outgoing.socket)
    if (reader === undefined) return
    reader.outgoing = outgoing
    reader.completeAt = null
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  #look(): void {
    const now = machineClock.now()
    for (const reader of this.#readers.values()) {
      const { outgoing, completeAt } = reader
      if (outgoing === null || !outgoing.writableEnded) continue
      if (outgoing.writableFinished) reader.outgoing = null
      else if (completeAt === null) reader.completeAt = now
      else if (now - completeAt > this.#withinMs) outgoing.destroy()
    }
  }
}

/** Sockets know no time but the machine's. */
const machineClock: Clock = {
  now: () => performance.now(),
  after(ms, wake) {
    const timer = setTimeout(wake, ms).unref()
    return () => clearTimeout(timer)
  },
}

function readLimits(limits: ServerLimits = {}, where: string): Record<keyof ServerLimits, number> {
  refuseUnknownKeys(limits, Object.keys(bounds.limits), where)
  const read = { ...bounds.limits } as Record<keyof ServerLimits, number>
  for (const name of Object.keys(limits) as (keyof ServerLimits)[])
    if (limits[name] !== undefined) read[name] = toMs(limits[name], `${where}.${name}`)
  if (read.head <= read.request) return read
  throw new ErrandError('invalid-option', `${where}.head cannot be longer than ${where}.request.`)
}

function readPort(port: number, where: string): number {
  if (Number.isInteger(port) && port >= 0 && port <= 65_535) return port
  return refuseValue(where, 'a number from 0 to 65535', port)
}
