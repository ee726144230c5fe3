/**
 * Locks in Consul's key-value store, laid out as Jobslib lays them out: a key that a session has acquired, whose value tells the owner.
 *
 * A session lives for its TTL at least and for twice that at most, so it gets half of `ttlMs`, and the holder believes in no more than that half.
 * It has no health checks: a check of a node could end it while its holder still believes. What a call is told of a holding comes from
 * a consistent read, so that a server that was cut off cannot confirm one.
 */
import { refuseUnknownKeys } from '../../core/option-keys.ts'
import { ownModule } from '../../core/own-module.ts'
import { ErrandError } from '../../core/errors.ts'
import { readTexts } from '../../core/read.ts'
import {
  HttpClient,
  httpOptionNames,
  refusedBy,
  type HttpAnswer,
  type HttpOptions,
} from '../http-client.ts'
import type { HoldRequest, Locks } from '../../store/locks.ts'
import { entryOf, ownerOf, pathOf, recordOf } from './consul-record.ts'
import { SessionLocks, type Binding, type Session, type SessionServer } from './session-locks.ts'
import type { WaitForChange } from './watches.ts'

export interface ConsulLocksOptions extends HttpOptions {
  /** The key of a lock, with the singleton's name for `{name}`. Default `'errand/{name}/lock'`. */
  readonly key?: string
  /** An ACL token. */
  readonly token?: string
  /** Default: the agent's own. */
  readonly datacenter?: string
}

const fallbackUrl = 'http://127.0.0.1:8500'
const fallbackKey = 'errand/{name}/lock'
/** Consul accepts no shorter session. */
const leastSessionMs = 10_000
/** After a session was ended by its TTL, Consul lets nobody acquire its keys for so long. */
const lockDelayMs = 1_000
const watchSeconds = 55

/** Locks in Consul 1.7 or newer. Opens nothing. Throws `invalid-option`. */
export function consulLocks(options: ConsulLocksOptions = {}): Locks {
  refuseUnknownKeys(options, [...httpOptionNames, 'key', 'token', 'datacenter'], 'consulLocks()')
  readTexts(options, ['key', 'token', 'datacenter'], 'consulLocks()')
  return new SessionLocks(new Consul(options))
}

/** Opens the same locks in a thread: see `Connector`. */
export function connect(argument: unknown): Locks {
  return consulLocks(argument as ConsulLocksOptions)
}

class Consul implements SessionServer {
  readonly info: Locks['info']
  readonly connector: Locks['connector']
  readonly leastTtlMs = 2 * leastSessionMs
  readonly lockDelayMs = lockDelayMs
  readonly #http: HttpClient
  readonly #options: ConsulLocksOptions

  constructor(options: ConsulLocksOptions) {
    this.#options = options
    this.#http = new HttpClient('consulLocks()', fallbackUrl, options)
    this.info = { kind: 'consul', location: this.#http.location }
    this.connector = { module: ownModule('singleton/locks/consul'), argument: options }
    // Refuses a key that no name would make good.
    this.#pathOf('name')
  }

  async begin({ name, ttlMs }: HoldRequest): Promise<Session> {
    const validMs = Math.floor(ttlMs / 2)
    const body = {
      Name: `errand ${name}`,
      TTL: `${validMs}ms`,
      LockDelay: `${lockDelayMs}ms`,
      Behavior: 'release',
      NodeChecks: [],
      Checks: [],
    }
    const answer = await this.#call('PUT', '/v1/session/create', {}, JSON.stringify(body))
    const { ID } = JSON.parse(answer.text) as { readonly ID?: string }
    if (ID === undefined) throw refusedBy(this.info.location, 'a session', answer)
    return { id: ID, validMs }
  }

  async renew(session: string): Promise<boolean> {
    return (await this.#call('PUT', `/v1/session/renew/${session}`)).status === 200
  }

  async end(session: string): Promise<void> {
    await this.#call('PUT', `/v1/session/destroy/${session}`)
  }

  async bind(session: string, { name, host, pid }: HoldRequest): Promise<Binding | null> {
    const record = recordOf(host, pid, Date.now())
    await this.#call('PUT', this.#pathOf(name), { acquire: session }, record)
    return this.read(name)
  }

  /** Without this, the end of the session would put the key under its delay. */
  async unbind(session: string, name: string): Promise<boolean> {
    const answer = await this.#call('PUT', this.#pathOf(name), { release: session }, '')
    return answer.status === 200 && answer.text.trim() === 'true'
  }

  async read(name: string): Promise<Binding | null> {
    const entry = entryOf(await this.#call('GET', this.#pathOf(name), { consistent: '' }))
    if (entry?.Session === undefined) return null
    // The index of the write that acquired it: the log of the cluster gives each number once.
    return { session: entry.Session, token: entry.ModifyIndex, owner: ownerOf(entry) }
  }

  readonly change: WaitForChange = async (name, seen, signal) => {
    const answer = await this.#http.call({
      method: 'GET',
      path: this.#target(this.#pathOf(name), { index: seen, wait: `${watchSeconds}s` }),
      headers: this.#headers(),
      timeoutMs: (watchSeconds + 10) * 1_000,
      signal,
    })
    this.#refuse(answer, 'a look at a lock')
    const index = Number(answer.headers['x-consul-index'])
    return {
      // An index that goes back means another history: start anew.
      seen: index >= Number(seen) ? String(index) : '0',
      isFree: entryOf(answer)?.Session === undefined,
    }
  }

  close(): void {
    this.#http.close()
  }

  async #call(
    method: 'GET' | 'PUT',
    path: string,
    query: Readonly<Record<string, string>> = {},
    body?: string,
  ): Promise<HttpAnswer> {
    const answer = await this.#http.call({
      method,
      path: this.#target(path, query),
      headers: this.#headers(),
      ...(body === undefined ? {} : { body }),
    })
    this.#refuse(answer, `${method} ${path.split('/').slice(0, 4).join('/')}`)
    return answer
  }

  /** Missing keys and sessions are answers, the rest of what is not 200 is none. */
  #refuse(answer: HttpAnswer, what: string): void {
    if (answer.status === 200 || answer.status === 404) return
    if (answer.status === 429 || answer.status >= 500) {
      const why = answer.text.trim().slice(0, 200)
      throw new ErrandError(
        'server-unavailable',
        `${this.info.location} cannot answer now (${why}).`,
        {
          details: { location: this.info.location, status: answer.status },
        },
      )
    }
    throw refusedBy(this.info.location, what, answer)
  }

  #target(path: string, query: Readonly<Record<string, string>>): string {
    const { datacenter } = this.#options
    const all = new URLSearchParams({
      ...(datacenter === undefined ? {} : { dc: datacenter }),
      ...query,
    })
    return all.size === 0 ? path : `${path}?${all.toString()}`
  }

  #headers(): Readonly<Record<string, string>> {
    const { token } = this.#options
    return token === undefined ? {} : { 'x-consul-token': token }
  }

  #pathOf(name: string): string {
    return `/v1/kv/${pathOf(this.#options.key ?? fallbackKey, name)}`
  }
}
