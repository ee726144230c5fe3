/**
 * Locks in Consul's key-value store, laid out as Jobslib lays them out: a key that a session has acquired, whose value tells the owner.
 *
 * A session lives for its TTL at least and for twice that at most, so it gets half of `ttlMs`, and the holder believes in no more than that half.
 * It has no health checks: a check of a node could end it while its holder still believes. What a call is told of a holding comes from
 * a consistent read, so that a server that was cut off cannot confirm one.
 */
import { refuseUnknownKeys } from '../../core/nearest.ts'
import { ErrandError } from '../../core/errors.ts'
import type { Unwatch } from '../../store.ts'
import {
  HttpClient,
  httpOptionNames,
  refusedBy,
  type HttpAnswer,
  type HttpOptions,
} from '../http-client.ts'
import type { HoldAnswer, Holding, HoldRequest, LockOwner, Locks } from '../lock.ts'
import { entryOf, ownerOf, pathOf, recordOf, type ConsulEntry } from './consul-record.ts'
import { Watches, type Change } from './watches.ts'

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
  return new ConsulLocks(options)
}

/** Opens the same locks in a thread: see `Connector`. */
export function connect(argument: unknown): Locks {
  return consulLocks(argument as ConsulLocksOptions)
}

/** What this process has of a lock. Its token is null while it is not known whether the lock was acquired. */
interface Own {
  readonly session: string
  token: number | null
}

class ConsulLocks implements Locks {
  readonly info: Locks['info']
  readonly connector: Locks['connector']
  readonly leastTtlMs = 2 * leastSessionMs
  readonly #http: HttpClient
  readonly #options: ConsulLocksOptions
  /** By name and holder. */
  readonly #own = new Map<string, Own>()
  readonly #watches: Watches

  constructor(options: ConsulLocksOptions) {
    this.#options = options
    this.#http = new HttpClient('consulLocks()', fallbackUrl, options)
    this.info = { kind: 'consul', location: this.#http.location }
    this.connector = { module: import.meta.url, argument: options }
    this.#watches = new Watches((name, seen, signal) => this.#change(name, seen, signal))
  }

  async hold(request: HoldRequest): Promise<HoldAnswer> {
    const { name, token, ttlMs } = request
    const key = ownKey(request)
    const own = this.#own.get(key)
    if (token !== null && own?.token !== token) return takenBy(await this.#read(name))
    // What was left of an earlier call lives on, or not: then it is forgotten.
    const lives = own !== undefined && (await this.#renew(own.session))
    const entry = await this.#read(name)
    if (lives && entry?.Session === own.session) {
      own.token ??= entry.ModifyIndex
      return { status: 'held', token: own.token, validMs: ttlMs / 2 }
    }
    if (own !== undefined) await this.#forget(key, own)
    if (token !== null || entry?.Session !== undefined) return takenBy(entry)
    return this.#take(request)
  }

  async release(holding: Holding): Promise<'released' | 'stale'> {
    const key = ownKey(holding)
    const own = this.#own.get(key)
    if (own === undefined || own.token !== holding.token) return 'stale'
    const path = `/v1/kv/${this.#pathOf(holding.name)}`
    const before = await this.#read(holding.name)
    const answer = await this.#call('PUT', path, { release: own.session }, '')
    await this.#forget(key, own)
    return isTrue(answer) && before?.Session === own.session ? 'released' : 'stale'
  }

  async owner(name: string): Promise<LockOwner | null> {
    const entry = await this.#read(name)
    return entry?.Session === undefined ? null : ownerOf(entry)
  }

  watch(name: string, on: () => void): Unwatch {
    return this.#watches.add(name, on)
  }

  async close(): Promise<void> {
    this.#watches.close()
    this.#http.close()
  }

  async #take(request: HoldRequest): Promise<HoldAnswer> {
    const { name, host, pid, ttlMs } = request
    const own: Own = { session: await this.#createSession(name, ttlMs), token: null }
    this.#own.set(ownKey(request), own)
    const path = `/v1/kv/${this.#pathOf(name)}`
    const record = recordOf(host, pid, Date.now())
    const isAcquired = isTrue(await this.#call('PUT', path, { acquire: own.session }, record))
    const entry = await this.#read(name)
    if (isAcquired && entry?.Session === own.session) {
      // The index of the write that acquired it: the log of the cluster gives each number once.
      own.token = entry.ModifyIndex
      return { status: 'held', token: own.token, validMs: ttlMs / 2 }
    }
    await this.#forget(ownKey(request), own)
    return { ...takenBy(entry), freeInMs: entry?.Session === undefined ? lockDelayMs : null }
  }

  async #renew(session: string): Promise<boolean> {
    return (await this.#call('PUT', `/v1/session/renew/${session}`)).status === 200
  }

  async #forget(key: string, own: Own): Promise<void> {
    await this.#call('PUT', `/v1/session/destroy/${own.session}`)
    this.#own.delete(key)
  }

  async #createSession(name: string, ttlMs: number): Promise<string> {
    const body = {
      Name: `errand ${name}`,
      TTL: `${Math.floor(ttlMs / 2)}ms`,
      LockDelay: `${lockDelayMs}ms`,
      Behavior: 'release',
      NodeChecks: [],
      Checks: [],
    }
    const answer = await this.#call('PUT', '/v1/session/create', {}, JSON.stringify(body))
    const { ID } = JSON.parse(answer.text) as { readonly ID?: string }
    if (ID === undefined) throw refusedBy(this.info.location, 'a session', answer)
    return ID
  }

  async #read(name: string): Promise<ConsulEntry | null> {
    const answer = await this.#call('GET', `/v1/kv/${this.#pathOf(name)}`, { consistent: '' })
    return entryOf(answer)
  }

  /** Waits at the server until the key changes. */
  async #change(name: string, seen: string, signal: AbortSignal): Promise<Change> {
    const answer = await this.#http.call({
      method: 'GET',
      path: this.#target(`/v1/kv/${this.#pathOf(name)}`, { index: seen, wait: `${watchSeconds}s` }),
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
    return pathOf(this.#options.key ?? fallbackKey, name)
  }
}

function ownKey({ name, holder }: Pick<Holding, 'name' | 'holder'>): string {
  return `${holder} ${name}`
}

function takenBy(entry: ConsulEntry | null): HoldAnswer & { readonly status: 'taken' } {
  const owner = entry?.Session === undefined ? null : ownerOf(entry)
  return { status: 'taken', owner, freeInMs: null }
}

function isTrue(answer: HttpAnswer): boolean {
  return answer.status === 200 && answer.text.trim() === 'true'
}
