/** Liveness in Consul: records in its key-value store, laid out as Jobslib's, and on request a TTL check of the agent. */
import { toMs, type Duration } from '../../core/duration.ts'
import { refuseUnknownKeys } from '../../core/option-keys.ts'
import { readTexts } from '../../core/read.ts'
import { entryOf, ownerOf, pathOf, recordOf } from '../locks/consul-record.ts'
import {
  HttpClient,
  httpOptionNames,
  refusedBy,
  type HttpAnswer,
  type HttpOptions,
} from '../http-client.ts'
import type { Beat, Beats, Liveness } from './liveness.ts'

export interface ConsulLivenessOptions extends HttpOptions {
  /** The key of successes, with the singleton's name for `{name}`; that of the other beats has `/alive` at its end. Default `'errand/{name}/liveness'`. */
  readonly key?: string
  readonly token?: string
  readonly datacenter?: string
  /** Registers a check with the agent that turns critical when no success came for so long. Default: none. */
  readonly checkTtl?: Duration
}

const fallbackUrl = 'http://127.0.0.1:8500'
const fallbackKey = 'errand/{name}/liveness'

/** Keeps beats in Consul. Throws `invalid-option`. */
export function consulLiveness(options: ConsulLivenessOptions = {}): Liveness {
  refuseUnknownKeys(
    options,
    [...httpOptionNames, 'key', 'token', 'datacenter', 'checkTtl'],
    'consulLiveness()',
  )
  readTexts(options, ['key', 'token', 'datacenter'], 'consulLiveness()')
  return new ConsulLiveness(options)
}

class ConsulLiveness implements Liveness {
  readonly info: Liveness['info']
  readonly #http: HttpClient
  readonly #options: ConsulLivenessOptions
  readonly #checkTtlMs: number | null
  readonly #registered = new Set<string>()

  constructor(options: ConsulLivenessOptions) {
    this.#options = options
    const { checkTtl } = options
    this.#checkTtlMs = checkTtl === undefined ? null : toMs(checkTtl, 'consulLiveness().checkTtl')
    this.#http = new HttpClient('consulLiveness()', fallbackUrl, options)
    this.info = { kind: 'consul', location: this.#http.location }
  }

  async write({ singleton, kind, at, host }: Beat): Promise<void> {
    const target = `/v1/kv/${this.#pathOf(singleton, kind)}`
    await this.#call('PUT', target, recordOf(host, process.pid, at))
    if (kind === 'success' && this.#checkTtlMs !== null)
      await this.#pass(singleton, this.#checkTtlMs)
  }

  async read(singleton: string): Promise<Beats> {
    const beat = async (kind: Beat['kind']): Promise<Beats['success']> => {
      const entry = entryOf(await this.#call('GET', `/v1/kv/${this.#pathOf(singleton, kind)}`))
      const { since, host } = entry === null ? { since: null, host: '' } : ownerOf(entry)
      return since === null ? null : { at: since, host }
    }
    const [success, alive] = await Promise.all([beat('success'), beat('alive')])
    return { success, alive }
  }

  async close(): Promise<void> {
    this.#http.close()
  }

  async #pass(singleton: string, ttlMs: number): Promise<void> {
    const id = `errand-${singleton}`
    if (!this.#registered.has(id)) {
      const check = {
        ID: id,
        Name: `singleton ${singleton}`,
        Notes: 'passes while its runs succeed',
        TTL: `${ttlMs}ms`,
      }
      await this.#call('PUT', '/v1/agent/check/register', JSON.stringify(check))
      this.#registered.add(id)
    }
    const passed = await this.#call('PUT', `/v1/agent/check/pass/${encodeURIComponent(id)}`)
    // The agent forgets its checks when its data is lost.
    if (passed.status === 404) this.#registered.delete(id)
  }

  async #call(method: 'GET' | 'PUT', path: string, body?: string): Promise<HttpAnswer> {
    const { token, datacenter } = this.#options
    const answer = await this.#http.call({
      method,
      path: datacenter === undefined ? path : `${path}?dc=${encodeURIComponent(datacenter)}`,
      headers: token === undefined ? {} : { 'x-consul-token': token },
      ...(body === undefined ? {} : { body }),
    })
    if (answer.status === 200 || answer.status === 404) return answer
    throw refusedBy(this.info.location, `${method} ${path}`, answer)
  }

  #pathOf(singleton: string, kind: Beat['kind']): string {
    const path = pathOf(this.#options.key ?? fallbackKey, singleton)
    return kind === 'success' ? path : `${path}/alive`
  }
}
