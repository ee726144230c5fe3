/** A small HTTP client for the servers around singletons: deadlines, retries with back-off, TLS, and errors that name the server. */
import {
  Agent as PlainAgent,
  request as requestPlain,
  type IncomingHttpHeaders,
  type IncomingMessage,
} from 'node:http'
import { Agent as TlsAgent, request as requestTls } from 'node:https'
import { setTimeout as sleep } from 'node:timers/promises'
import { longestTimerMs } from '../core/clock.ts'
import { formatMs, toMs, type Duration } from '../core/duration.ts'
import { ErrandError } from '../core/errors.ts'
import { refuseUnknownKeys } from '../core/option-keys.ts'
import { readTexts, refuseValue } from '../core/read.ts'
import { encodeAdvice, isTorn, shownUrl } from '../core/shown.ts'

/** How a server is reached; every client of such a server takes these. */
export interface HttpOptions {
  /** Base URL, `http:` or `https:`. */
  readonly url?: string
  /** How long one try may take. Default 5 s. */
  readonly timeout?: Duration
  /** How often a call that got no answer is tried again. Default 0. */
  readonly retries?: number
  /** The wait before the first further try; doubled each time, at most 5 s, drawn between half and all of it. Default 50 ms. */
  readonly retryWait?: Duration
  /** PEM texts for `https:`: the authority to trust instead of the system's, and a certificate of one's own. */
  readonly tls?: { readonly ca?: string; readonly cert?: string; readonly key?: string }
}

export const httpOptionNames = ['url', 'timeout', 'retries', 'retryWait', 'tls'] as const

const defaults = { timeoutMs: 5_000, retries: 0, retryWaitMs: 50 } as const
const longestWaitMs = 5_000
/** Connections that are kept for later calls. */
const mostIdleSockets = 3
/** Answers are short; one that is not does not fill the memory. */
const mostBytes = 4 * 1_024 * 1_024

export interface HttpAnswer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly text: string
}

export interface HttpCall {
  readonly method: 'GET' | 'PUT' | 'POST'
  /** Begins with `/`. */
  readonly path: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
  /** Longer than the client's own for calls that wait at the server. */
  readonly timeoutMs?: number
  readonly signal?: AbortSignal
}

export class HttpClient {
  readonly location: string
  readonly #url: URL
  readonly #options: {
    readonly timeoutMs: number
    readonly retries: number
    readonly retryWaitMs: number
  }
  readonly #agent: PlainAgent | TlsAgent
  readonly #closed = new AbortController()

  /** Opens nothing. Throws `invalid-option`, naming `what`. */
  constructor(what: string, fallback: string, options: HttpOptions) {
    const { url: given = fallback, retries = defaults.retries, tls } = options
    const isText = typeof given === 'string'
    const url = isText ? URL.parse(given) : null
    const isTornApart = isText && isTorn(given)
    if (url === null || !/^https?:$/.test(url.protocol) || isTornApart) {
      throw new ErrandError(
        'invalid-option',
        `${what}.url must be a URL such as ${fallback}, not ${shownUrl(given)}${isTornApart ? `. ${encodeAdvice}` : ''}`,
      )
    }
    if (!Number.isInteger(retries) || retries < 0)
      refuseValue(`${what}.retries`, 'a whole number from 0', retries)
    if (tls !== undefined) {
      refuseUnknownKeys(tls, ['ca', 'cert', 'key'], `${what}.tls`)
      readTexts(tls, ['ca', 'cert', 'key'], `${what}.tls`)
    }
    const retryWaitMs = toMs(options.retryWait ?? defaults.retryWaitMs, `${what}.retryWait`)
    if (retryWaitMs > longestWaitMs) {
      throw new ErrandError(
        'invalid-option',
        `${what}.retryWait is at most ${formatMs(longestWaitMs)}, the longest wait between two tries.`,
      )
    }
    this.#url = url
    this.location = `${url.protocol}//${url.host}${url.pathname.replace(/\/$/, '')}`
    this.#options = {
      timeoutMs: Math.min(
        toMs(options.timeout ?? defaults.timeoutMs, `${what}.timeout`),
        longestTimerMs,
      ),
      retryWaitMs,
      retries,
    }
    // No bound on sockets: a call that waits for one is beyond its deadline's reach. There are as many calls as callers, each waits for its own.
    const keep = { keepAlive: true, maxFreeSockets: mostIdleSockets }
    this.#agent =
      url.protocol === 'https:' ? new TlsAgent({ ...keep, ...options.tls }) : new PlainAgent(keep)
  }

  /**
   * Calls and answers with whatever status came. Rejects with `server-unavailable` when no answer came in any try, with `closed` after
   * `close`, and with the signal's reason when that aborts. Only calls that may be repeated belong here.
   */
  async call(call: HttpCall): Promise<HttpAnswer> {
    const { retries, retryWaitMs } = this.#options
    for (let tries = 0; ; tries++) {
      try {
        const answer = await this.#try(call)
        if (answer.status < 500 || tries >= retries) return answer
      } catch (error) {
        call.signal?.throwIfAborted()
        if (this.#closed.signal.aborted) throw this.#closedError()
        if (tries >= retries) throw this.#unavailable(error)
      }
      const waitMs = Math.min(retryWaitMs * 2 ** tries, longestWaitMs)
      await sleep(waitMs * (0.5 + Math.random() / 2), undefined, {
        signal: this.#stopping(call.signal),
      }).catch(() => {})
    }
  }

  /**
   * Sends once and answers the open reply, for calls whose answer comes bit by bit: its beginning is waited for as that of others, and the signal
   * says how long it may go on.
   */
  async open(call: HttpCall & { readonly signal: AbortSignal }): Promise<IncomingMessage> {
    const late = new AbortController()
    const timer = setTimeout(() => late.abort(), call.timeoutMs ?? this.#options.timeoutMs)
    try {
      return await this.#send(call, AbortSignal.any([late.signal, this.#stopping(call.signal)]))
    } catch (error) {
      call.signal.throwIfAborted()
      throw this.#closed.signal.aborted ? this.#closedError() : this.#unavailable(error)
    } finally {
      clearTimeout(timer)
    }
  }

  /** Ends what is under way. */
  close(): void {
    this.#closed.abort()
    this.#agent.destroy()
  }

  async #try(call: HttpCall): Promise<HttpAnswer> {
    const late = AbortSignal.timeout(call.timeoutMs ?? this.#options.timeoutMs)
    try {
      const reply = await this.#send(call, AbortSignal.any([late, this.#stopping(call.signal)]))
      reply.setEncoding('utf8')
      let text = ''
      for await (const part of reply) {
        text += part as string
        if (text.length > mostBytes) throw new RangeError('the answer is too long')
      }
      return { status: reply.statusCode ?? 0, headers: reply.headers, text }
    } catch (error) {
      // What swallowed this call may swallow the next ones: they get connections of their own.
      if (late.aborted) this.#dropIdleSockets()
      throw error
    }
  }

  #dropIdleSockets(): void {
    for (const sockets of Object.values(this.#agent.freeSockets))
      for (const socket of sockets ?? []) socket.destroy()
  }

  #send(call: HttpCall, signal: AbortSignal): Promise<IncomingMessage> {
    const { protocol, hostname, port, pathname, username, password } = this.#url
    const request = protocol === 'https:' ? requestTls : requestPlain
    return new Promise((resolve, reject) => {
      const sending = request(
        {
          agent: this.#agent,
          protocol,
          hostname: hostname.replaceAll(/^\[|\]$/g, ''),
          port,
          path: `${pathname.replace(/\/$/, '')}${call.path}`,
          method: call.method,
          headers: {
            ...(call.body === undefined ? {} : { 'content-length': Buffer.byteLength(call.body) }),
            ...call.headers,
          },
          ...(username === ''
            ? {}
            : { auth: `${decodeURIComponent(username)}:${decodeURIComponent(password)}` }),
          signal,
        },
        resolve,
      )
      sending.on('error', reject)
      sending.end(call.body)
    })
  }

  #stopping(signal: AbortSignal | undefined): AbortSignal {
    return signal === undefined
      ? this.#closed.signal
      : AbortSignal.any([signal, this.#closed.signal])
  }

  #unavailable(cause: unknown): ErrandError {
    const why = cause instanceof Error ? cause.message : String(cause)
    return new ErrandError(
      'server-unavailable',
      `${this.location} does not answer (${why}). Is it running, and can this machine reach it?`,
      { cause, details: { location: this.location } },
    )
  }

  #closedError(): ErrandError {
    return new ErrandError('closed', `The client of ${this.location} is closed.`)
  }
}

/** The error for an answer that refuses a call. */
export function refusedBy(location: string, what: string, answer: HttpAnswer): ErrandError {
  const why = answer.text.trim().slice(0, 200)
  return new ErrandError(
    'server-refused',
    `${location} refused ${what} with status ${answer.status}${why === '' ? '.' : `: ${why}`}`,
    { details: { location, status: answer.status } },
  )
}
