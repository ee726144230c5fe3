/**
 * Sends requests to a manager and reads what it answers, within bounds of time and bytes. It tells whether a request that got
 * no answer may have been carried out. `fetch` would do, at twice the processor's time for each request.
 */
import { Agent as PlainAgent, request as plainRequest } from 'node:http'
import type { ClientRequest, IncomingHttpHeaders, IncomingMessage, RequestOptions } from 'node:http'
import { Agent as TlsAgent, request as tlsRequest } from 'node:https'
import { setTimeout, clearTimeout } from '../../core/timers.ts'

/** The most bytes of an answer. Claims and pages are far smaller: the stores bound them. */
const mostAnswerBytes = 134_217_728

/** A connection that rests is proven by the kernel from then on. */
const restMs = 10_000

/** How long a request may take. */
export interface Patience {
  /** In all. */
  readonly withinMs: number
  /** Without a sign of its connection: until it is made, and then without a byte that leaves or arrives. */
  readonly silentMs: number
}

export interface Sent {
  readonly method: 'GET' | 'POST'
  /** After the manager's URL. */
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  /** JSON; null for none. */
  readonly body: string | null
}

export interface Reply {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly text: string
}

/** No answer came. `arrived`: the request may have reached the manager. */
export class NoAnswer extends Error {
  override readonly name = 'NoAnswer'
  readonly arrived: boolean

  constructor(arrived: boolean, cause: Error) {
    super(cause.message, { cause })
    this.arrived = arrived
  }
}

export class Channel {
  readonly #url: URL
  readonly #agent: PlainAgent | TlsAgent
  readonly #underWay = new Set<ClientRequest>()

  /** Opens nothing. */
  constructor(url: URL, connections: number) {
    this.#url = url
    const options = {
      keepAlive: true,
      keepAliveMsecs: restMs,
      maxSockets: connections,
      maxFreeSockets: connections,
      noDelay: true,
    }
    this.#agent = url.protocol === 'https:' ? new TlsAgent(options) : new PlainAgent(options)
  }

  /**
   * Sends once. Rejects with `NoAnswer` when no answer came in time, whole and within its bound. A connection that is silent for too
   * long is closed: what swallowed one request swallows the next ones.
   */
  send(sent: Sent, { withinMs, silentMs }: Patience): Promise<Reply> {
    return new Promise((resolve, reject) => {
      const giveUp = (ms: number): void => {
        request.destroy(new Error(`no answer for ${Math.round(ms)} ms`))
        this.#dropIdle()
      }
      const late = setTimeout(giveUp, withinMs, withinMs)
      let connecting: NodeJS.Timeout | undefined
      let isConnected = false
      const over = (): void => {
        clearTimeout(late)
        clearTimeout(connecting)
        this.#underWay.delete(request)
      }
      const fail = (error: Error): void => {
        over()
        reject(new NoAnswer(isConnected, error))
      }
      const request = this.#open(sent, this.#agent, (answer) => {
        readAnswer(answer).then((text) => {
          over()
          resolve({ status: answer.statusCode ?? 0, headers: answer.headers, text })
        }, fail)
      })
      this.#underWay.add(request)
      request.on('error', fail)
      // A request waits for its turn at a connection as long as those before it are not silent.
      request.on('socket', (socket) => {
        isConnected = !socket.connecting
        if (isConnected) return
        connecting = setTimeout(giveUp, silentMs, silentMs)
        socket.once('connect', () => {
          isConnected = true
          clearTimeout(connecting)
        })
      })
      request.setTimeout(silentMs, () => giveUp(silentMs))
      request.end(sent.body ?? undefined)
    })
  }

  /** Sends a request whose answer comes bit by bit, on a connection of its own. Keeps no process alive. */
  stream(sent: Sent, answered: (answer: IncomingMessage) => void): ClientRequest {
    const request = this.#open(sent, false, answered)
    request.on('socket', (socket) => socket.unref())
    request.end()
    return request
  }

  /** Ends what is under way. */
  close(): void {
    for (const request of this.#underWay) request.destroy(new Error('closed'))
    this.#agent.destroy()
  }

  #open(
    { method, path, headers, body }: Sent,
    agent: RequestOptions['agent'],
    answered: (answer: IncomingMessage) => void,
  ): ClientRequest {
    const { protocol, hostname, port, pathname } = this.#url
    const length = body === null ? {} : { 'content-length': Buffer.byteLength(body) }
    const options: RequestOptions = {
      agent,
      hostname: hostname.replaceAll(/^\[|\]$/g, ''),
      port,
      path: `${pathname.replace(/\/$/, '')}${path}`,
      method,
      headers: { ...headers, ...length },
    }
    return protocol === 'https:' ? tlsRequest(options, answered) : plainRequest(options, answered)
  }

  #dropIdle(): void {
    for (const sockets of Object.values(this.#agent.freeSockets))
      for (const socket of sockets ?? []) socket.destroy()
  }
}

function readAnswer(answer: IncomingMessage): Promise<string> {
  return new Promise((resolve, reject) => {
    const parts: Buffer[] = []
    let bytes = 0
    answer.on('data', (part: Buffer) => {
      bytes += part.length
      if (bytes > mostAnswerBytes)
        answer.destroy(new Error(`the answer has more than ${mostAnswerBytes} bytes`))
      else parts.push(part)
    })
    answer.on('end', () => resolve(Buffer.concat(parts, bytes).toString()))
    answer.on('error', reject)
    answer.on('close', () => {
      if (!answer.complete) reject(new Error('the answer was cut off'))
    })
  })
}
