/**
 * Locks in etcd: a key that lives as long as its lease, written only where there is none. Its revision is the token: the cluster gives each
 * number once. What a call is told of a holding comes from a read that the majority confirmed.
 */
import type { IncomingMessage } from 'node:http'
import { ErrandError } from '../../core/errors.ts'
import { refuseUnknownKeys } from '../../core/option-keys.ts'
import { ownModule } from '../../core/own-module.ts'
import { readTexts } from '../../core/read.ts'
import { HttpClient, httpOptionNames, refusedBy, type HttpOptions } from '../http-client.ts'
import type { HoldRequest, LockOwner, Locks } from '../../store/locks.ts'
import { fieldsOf, keyFor } from './key-value.ts'
import { SessionLocks, type Binding, type Session, type SessionServer } from './session-locks.ts'
import { nothingSeen, type WaitForChange } from './watches.ts'

export interface EtcdLocksOptions extends HttpOptions {
  /** The key of a lock, with the singleton's name for `{name}`. Default `'errand/{name}/lock'`. */
  readonly key?: string
  /** Where authentication is on. */
  readonly user?: string
  readonly password?: string
}

const fallbackUrl = 'http://127.0.0.1:2379'
const fallbackKey = 'errand/{name}/lock'
/** etcd keeps no shorter lease with its default timing. */
const leastLeaseMs = 2_000
/** A watch is begun anew after this: one that was cut off in silence would hear of nothing more. */
const watchMs = 60_000
/** The end of a key is told in a few hundred characters. */
const mostLineLength = 1_048_576

/** Locks in etcd 3.4 or newer, over its JSON gateway. Opens nothing. Throws `invalid-option`. */
export function etcdLocks(options: EtcdLocksOptions = {}): Locks {
  refuseUnknownKeys(options, [...httpOptionNames, 'key', 'user', 'password'], 'etcdLocks()')
  readTexts(options, ['key', 'user', 'password'], 'etcdLocks()')
  return new SessionLocks(new Etcd(options))
}

/** Opens the same locks in a thread: see `Connector`. */
export function connect(argument: unknown): Locks {
  return etcdLocks(argument as EtcdLocksOptions)
}

/** A key as the gateway answers it: numbers are text, texts are in base 64. */
interface KeyValue {
  readonly create_revision: string
  readonly value?: string
  readonly lease?: string
}

interface RangeAnswer {
  readonly kvs?: readonly KeyValue[]
  readonly header: { readonly revision: string }
}

interface WatchAnswer {
  readonly header: { readonly revision: string }
  readonly canceled?: boolean
  readonly events?: readonly unknown[]
}

class Etcd implements SessionServer {
  readonly info: Locks['info']
  readonly connector: Locks['connector']
  readonly leastTtlMs = leastLeaseMs
  readonly lockDelayMs = 0
  readonly #http: HttpClient
  readonly #options: EtcdLocksOptions
  #pass: Promise<string> | null = null

  constructor(options: EtcdLocksOptions) {
    this.#options = options
    this.#http = new HttpClient('etcdLocks()', fallbackUrl, options)
    this.info = { kind: 'etcd', location: this.#http.location }
    this.connector = { module: ownModule('singleton/locks/etcd'), argument: options }
  }

  async begin({ ttlMs }: HoldRequest): Promise<Session> {
    const granted = await this.#call<{ readonly ID: string; readonly TTL: string }>('lease/grant', {
      TTL: Math.ceil(ttlMs / 1_000),
    })
    return { id: granted.ID, validMs: Number(granted.TTL) * 1_000 }
  }

  async renew(lease: string): Promise<boolean> {
    const { result } = await this.#call<{ readonly result: { readonly TTL?: string } }>(
      'lease/keepalive',
      { ID: lease },
    )
    return Number(result.TTL ?? 0) > 0
  }

  async end(lease: string): Promise<void> {
    await this.#call('lease/revoke', { ID: lease }, ['requested lease not found'])
  }

  async bind(lease: string, { name, host, pid }: HoldRequest): Promise<Binding | null> {
    const key = this.#keyOf(name)
    const value = encoded(JSON.stringify({ host, pid, since: Date.now() }))
    const { responses } = await this.#call<{
      readonly responses?: readonly { readonly response_range?: RangeAnswer }[]
    }>('kv/txn', {
      compare: [{ key, target: 'CREATE', result: 'EQUAL', create_revision: '0' }],
      success: [{ request_put: { key, value, lease } }, { request_range: { key } }],
      failure: [{ request_range: { key } }],
    })
    return bindingIn(responses?.at(-1)?.response_range)
  }

  /** The key goes with its lease. */
  async unbind(lease: string, name: string): Promise<boolean> {
    const binding = await this.read(name)
    await this.end(lease)
    return binding?.session === lease
  }

  async read(name: string): Promise<Binding | null> {
    return bindingIn(await this.#range(name))
  }

  /** Reads once, and then waits for the end of the key. */
  readonly change: WaitForChange = async (name, seen, signal) => {
    if (seen === nothingSeen) {
      const range = await this.#range(name)
      return {
        seen: String(Number(range.header.revision) + 1),
        isFree: bindingIn(range) === null,
      }
    }
    const over = AbortSignal.timeout(watchMs)
    const reply = await this.#http.open({
      method: 'POST',
      path: '/v3/watch',
      headers: await this.#headers(),
      body: JSON.stringify({
        create_request: { key: this.#keyOf(name), start_revision: seen, filters: ['NOPUT'] },
      }),
      signal: AbortSignal.any([signal, over]),
    })
    try {
      for await (const { canceled, events = [], header } of resultsIn(reply)) {
        if (canceled === true) return { seen: nothingSeen, isFree: true }
        if (events.length > 0) return { seen: String(Number(header.revision) + 1), isFree: true }
      }
    } catch (error) {
      if (over.aborted) return { seen, isFree: false }
      throw error
    }
    throw new ErrandError('server-unavailable', `${this.info.location} ended a watch.`)
  }

  close(): void {
    this.#http.close()
  }

  #range(name: string): Promise<RangeAnswer> {
    return this.#call('kv/range', { key: this.#keyOf(name) })
  }

  async #call<T>(path: string, body: object, accepted: readonly string[] = []): Promise<T> {
    const answer = await this.#http.call({
      method: 'POST',
      path: `/v3/${path}`,
      headers: await this.#headers(),
      body: JSON.stringify(body),
    })
    if (answer.status === 200) return JSON.parse(answer.text) as T
    if (accepted.some((text) => answer.text.includes(text))) return {} as T
    if (answer.status === 401) this.#pass = null
    if (answer.status === 401 || answer.status === 503 || answer.status >= 500) {
      throw new ErrandError(
        'server-unavailable',
        `${this.info.location} cannot answer now (${answer.text.trim().slice(0, 200)}).`,
        { details: { location: this.info.location, status: answer.status } },
      )
    }
    throw refusedBy(this.info.location, path, answer)
  }

  async #headers(): Promise<Readonly<Record<string, string>>> {
    const { user, password = '' } = this.#options
    if (user === undefined) return {}
    const pass = (this.#pass ??= this.#authenticate(user, password))
    try {
      return { authorization: await pass }
    } catch (error) {
      this.#pass = null
      throw error
    }
  }

  async #authenticate(name: string, password: string): Promise<string> {
    const answer = await this.#http.call({
      method: 'POST',
      path: '/v3/auth/authenticate',
      body: JSON.stringify({ name, password }),
    })
    if (answer.status !== 200) throw refusedBy(this.info.location, `the user ${name}`, answer)
    return (JSON.parse(answer.text) as { readonly token: string }).token
  }

  #keyOf(name: string): string {
    return encoded(keyFor(this.#options.key ?? fallbackKey, name))
  }
}

/** What a watch is told, a line each. Who stops reading ends the reply. */
async function* resultsIn(reply: IncomingMessage): AsyncIterable<WatchAnswer> {
  reply.setEncoding('utf8')
  let text = ''
  for await (const part of reply) {
    const lines = `${text}${part as string}`.split('\n')
    text = lines.pop() ?? ''
    if (text.length > mostLineLength) return
    for (const line of lines) {
      const { result } = JSON.parse(line) as { readonly result?: WatchAnswer }
      if (result !== undefined) yield result
    }
  }
}

function bindingIn(range: RangeAnswer | undefined): Binding | null {
  const [key] = range?.kvs ?? []
  if (key === undefined) return null
  const token = Number(key.create_revision)
  // A key that somebody wrote without a lease is nobody's, and not free.
  return { session: key.lease ?? '', token, owner: ownerOf(key.value, token) }
}

function ownerOf(value: string | undefined, token: number): LockOwner {
  const { host, pid, since } = fieldsOf(value)
  return {
    host: typeof host === 'string' ? host : 'unknown',
    pid: typeof pid === 'number' ? pid : null,
    since: typeof since === 'number' ? since : null,
    token,
  }
}

function encoded(text: string): string {
  return Buffer.from(text, 'utf8').toString('base64')
}
