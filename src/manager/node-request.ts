/** A request as a server of Node has it. What costs time to make of it is made when somebody asks. */
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import type { TLSSocket } from 'node:tls'
import type { Peer } from './access/local.ts'
import type { ApiRequest } from './api-request.ts'

/** What parsers of bodies, such as that of Express, leave of a request. */
interface Parsed {
  readonly body?: unknown
  readonly rawBody?: Buffer
}

const plainHost = /^[\w.-]+(?::\d{1,5})?$/

export class NodeRequest implements ApiRequest, Peer {
  readonly method: string
  readonly headers: NodeHeaders
  readonly body = null
  readonly #incoming: IncomingMessage
  readonly #outgoing: ServerResponse
  #aborter: AbortController | null = null

  constructor(incoming: IncomingMessage, outgoing: ServerResponse) {
    this.method = incoming.method ?? 'GET'
    this.headers = new NodeHeaders(incoming)
    this.#incoming = incoming
    this.#outgoing = outgoing
  }

  /** Whether it names a path and a host. */
  get isValid(): boolean {
    const { url } = this.#incoming
    const host = this.#host
    if (url?.startsWith('/') !== true || host === undefined) return false
    return plainHost.test(host) || URL.canParse(`http://${host}`)
  }

  get url(): string {
    const { socket, url = '/' } = this.#incoming
    const scheme = (socket as TLSSocket).encrypted ? 'https' : 'http'
    return `${scheme}://${this.#host ?? ''}${url}`
  }

  get signal(): AbortSignal {
    if (this.#aborter !== null) return this.#aborter.signal
    const aborter = (this.#aborter = new AbortController())
    const gone = (): void => {
      if (!this.#outgoing.writableFinished) aborter.abort()
    }
    if (this.#outgoing.destroyed) gone()
    else this.#outgoing.once('close', gone)
    return aborter.signal
  }

  get address(): string {
    return this.#incoming.socket.remoteAddress ?? ''
  }

  get httpVersion(): string {
    return this.#incoming.httpVersion
  }

  /** Where its body comes from. */
  get source(): Readable {
    const parsed: Parsed = this.#incoming as Parsed
    if (parsed.rawBody !== undefined) return Readable.from([parsed.rawBody])
    if (!this.#incoming.readableDidRead || parsed.body === undefined) return this.#incoming
    return Readable.from([Buffer.from(JSON.stringify(parsed.body))])
  }

  web(): Request {
    const headers = new Headers()
    const { rawHeaders } = this.#incoming
    for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
      const name = rawHeaders[at] ?? ''
      // Those of HTTP/2 that are none.
      if (!name.startsWith(':')) headers.append(name, rawHeaders[at + 1] ?? '')
    }
    return new Request(this.url, { method: this.method, headers, signal: this.signal })
  }

  get #host(): string | undefined {
    const { headers } = this.#incoming
    return (headers[':authority'] as string | undefined) ?? headers.host
  }
}

/** Of which Node keeps the first where there are several: a web request has all of them. */
const keptFirst: ReadonlySet<string> = new Set(['authorization', 'content-type', 'host'])

class NodeHeaders {
  readonly #incoming: IncomingMessage
  readonly #fields: IncomingHttpHeaders

  constructor(incoming: IncomingMessage) {
    this.#incoming = incoming
    this.#fields = incoming.headers
  }

  has(name: string): boolean {
    return this.#fields[name] !== undefined
  }

  get(name: string): string | null {
    const value = this.#fields[name]
    if (value === undefined) return null
    return keptFirst.has(name) ? this.#all(name) : String(value)
  }

  #all(name: string): string {
    const { rawHeaders } = this.#incoming
    const values: string[] = []
    for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
      const given = rawHeaders[at] ?? ''
      if (given.length === name.length && given.toLowerCase() === name)
        values.push(rawHeaders[at + 1] ?? '')
    }
    return values.join(', ')
  }
}
