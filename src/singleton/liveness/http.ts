/** Liveness over HTTP, for probes that call: `GET /<name>?max-age=5m` answers 200 while the last success is that young, else 503, with the beats as JSON. */
import { createServer, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { toMs, type Duration } from '../../core/duration.ts'
import { ErrandError } from '../../core/errors.ts'
import { refuseUnknownKeys } from '../../core/option-keys.ts'
import { readText, refuseValue } from '../../core/read.ts'
import { HttpClient, refusedBy } from '../http-client.ts'
import { checkBeats } from './check.ts'
import type { Beat, Beats, Liveness } from './liveness.ts'

export interface HttpLivenessOptions {
  readonly port: number
  /** Default `'127.0.0.1'`. */
  readonly host?: string
  /** How old the last success may be where a request does not say it. Default 5 min. */
  readonly maxAge?: Duration
}

const defaults = { host: '127.0.0.1', maxAgeMs: 300_000 } as const
const none: Beats = { success: null, alive: null }

/** Answers probes from its own beats; reads those of another process by asking it. Listens from the first beat on. Throws `invalid-option`. */
export function httpLiveness(options: HttpLivenessOptions): Liveness {
  refuseUnknownKeys(options, ['port', 'host', 'maxAge'], 'httpLiveness()')
  return new HttpLiveness(options)
}

class HttpLiveness implements Liveness {
  readonly info: Liveness['info']
  readonly #host: string
  readonly #port: number
  readonly #maxAgeMs: number
  readonly #beats = new Map<string, Beats>()
  readonly #client: HttpClient
  #server: Promise<Server> | null = null

  constructor({ port, host = defaults.host, maxAge = defaults.maxAgeMs }: HttpLivenessOptions) {
    if (!Number.isInteger(port) || port < 1 || port > 65_535)
      refuseValue('httpLiveness().port', 'a port, 1 to 65535', port)
    this.#host = readText(host, 'httpLiveness().host')
    this.#port = port
    this.#maxAgeMs = toMs(maxAge, 'httpLiveness().maxAge')
    this.#client = new HttpClient('httpLiveness()', `http://${host}:${port}`, {})
    this.info = { kind: 'http', location: this.#client.location }
  }

  async write({ singleton, kind, at, host }: Beat): Promise<void> {
    const server = (this.#server ??= this.#listen())
    this.#beats.set(singleton, { ...(this.#beats.get(singleton) ?? none), [kind]: { at, host } })
    try {
      await server
    } catch (error) {
      this.#server = null
      throw error
    }
  }

  async read(singleton: string): Promise<Beats> {
    if (this.#server !== null) return this.#beats.get(singleton) ?? none
    const path = `/${encodeURIComponent(singleton)}`
    const answer = await this.#client.call({ method: 'GET', path })
    if (answer.status === 404) return none
    if (answer.status !== 200 && answer.status !== 503)
      throw refusedBy(this.info.location, `a look at ${singleton}`, answer)
    const { success, alive } = JSON.parse(answer.text) as Beats
    return { success, alive }
  }

  async close(): Promise<void> {
    this.#client.close()
    const server = await (this.#server ?? Promise.resolve(null)).catch(() => null)
    if (server === null) return
    server.closeAllConnections()
    await new Promise<void>((resolve) => server.close(() => resolve()))
  }

  #listen(): Promise<Server> {
    const server = createServer((request, response) => this.#answer(request.url ?? '/', response))
    server.unref()
    return new Promise((resolve, reject) => {
      server.once('error', (cause) => {
        const why = `The port ${this.#port} for liveness cannot be listened on: ${cause.message}`
        reject(new ErrandError('server-unavailable', why, { cause }))
      })
      server.listen(this.#port, this.#host, () => {
        const { port } = server.address() as AddressInfo
        if (port === this.#port) resolve(server)
      })
    })
  }

  #answer(target: string, response: ServerResponse): void {
    let asked: Asked
    try {
      asked = this.#asked(target)
    } catch (error) {
      return reply(response, 400, { error: (error as Error).message })
    }
    const { name, maxAgeMs } = asked
    const beats = this.#beats.get(name)
    if (beats === undefined) return reply(response, 404, { error: `no singleton ${name} here` })
    const { passes } = checkBeats(beats, maxAgeMs, Date.now())
    reply(response, passes ? 200 : 503, { ...beats, passes })
  }

  /** Throws for what is no path or no duration. */
  #asked(target: string): Asked {
    const url = new URL(target, 'http://liveness')
    const name = decodeURIComponent(url.pathname.slice(1))
    const maxAge = url.searchParams.get('max-age')
    return {
      name,
      maxAgeMs: maxAge === null ? this.#maxAgeMs : toMs(maxAge as Duration, 'max-age'),
    }
  }
}

interface Asked {
  readonly name: string
  readonly maxAgeMs: number
}

function reply(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store' })
  response.end(`${JSON.stringify(body)}\n`)
}
