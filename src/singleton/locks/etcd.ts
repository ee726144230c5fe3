/**
 * Locks in etcd: a key that lives as long as its lease, written only where there is none. Its revision is the token: the cluster gives each
 * number once. What a call is told of a holding comes from a read that the majority confirmed.
 */
import { ErrandError } from '../../core/errors.ts'
import { refuseUnknownKeys } from '../../core/nearest.ts'
import type { Unwatch } from '../../store.ts'
import { HttpClient, httpOptionNames, refusedBy, type HttpOptions } from '../http-client.ts'
import type { HoldAnswer, Holding, HoldRequest, LockOwner, Locks } from '../lock.ts'
import { nothingSeen, Watches, type Change } from './watches.ts'

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

/** Locks in etcd 3.4 or newer, over its JSON gateway. Opens nothing. Throws `invalid-option`. */
export function etcdLocks(options: EtcdLocksOptions = {}): Locks {
  refuseUnknownKeys(options, [...httpOptionNames, 'key', 'user', 'password'], 'etcdLocks()')
  return new EtcdLocks(options)
}

/** Opens the same locks in a thread: see `Connector`. */
export function connect(argument: unknown): Locks {
  return etcdLocks(argument as EtcdLocksOptions)
}

/** What this process has of a lock. Its token is null while it is not known whether the key was written. */
interface Own {
  readonly lease: string
  readonly leaseMs: number
  token: number | null
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

class EtcdLocks implements Locks {
  readonly info: Locks['info']
  readonly connector: Locks['connector']
  readonly leastTtlMs = leastLeaseMs
  readonly #http: HttpClient
  readonly #options: EtcdLocksOptions
  readonly #own = new Map<string, Own>()
  readonly #watches: Watches
  #pass: Promise<string> | null = null

  constructor(options: EtcdLocksOptions) {
    this.#options = options
    this.#http = new HttpClient('etcdLocks()', fallbackUrl, options)
    this.info = { kind: 'etcd', location: this.#http.location }
    this.connector = { module: import.meta.url, argument: options }
    this.#watches = new Watches((name, seen, signal) => this.#change(name, seen, signal))
  }

  async hold(request: HoldRequest): Promise<HoldAnswer> {
    const { name, token } = request
    const mine = ownKey(request)
    const own = this.#own.get(mine)
    if (token !== null && own?.token !== token) return takenBy((await this.#read(name)).key)
    const lives = own !== undefined && (await this.#keepAlive(own.lease))
    const { key } = await this.#read(name)
    if (lives && key?.lease === own.lease) {
      own.token ??= Number(key.create_revision)
      return { status: 'held', token: own.token, validMs: own.leaseMs }
    }
    if (own !== undefined) await this.#forget(mine, own)
    return token !== null || key !== null ? takenBy(key) : this.#take(request)
  }

  async release(holding: Holding): Promise<'released' | 'stale'> {
    const own = this.#own.get(ownKey(holding))
    if (own === undefined || own.token !== holding.token) return 'stale'
    const { key } = await this.#read(holding.name)
    // The key goes with its lease.
    await this.#forget(ownKey(holding), own)
    return key?.lease === own.lease ? 'released' : 'stale'
  }

  async owner(name: string): Promise<LockOwner | null> {
    const { key } = await this.#read(name)
    return key === null ? null : ownerOf(key)
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
    const granted = await this.#call<{ readonly ID: string; readonly TTL: string }>('lease/grant', {
      TTL: Math.ceil(ttlMs / 1_000),
    })
    const own: Own = { lease: granted.ID, leaseMs: Number(granted.TTL) * 1_000, token: null }
    this.#own.set(ownKey(request), own)
    const key = this.#keyOf(name)
    const value = encoded(JSON.stringify({ host, pid, since: Date.now() }))
    const written = await this.#call<{
      readonly succeeded?: boolean
      readonly header: { readonly revision: string }
      readonly responses?: readonly { readonly response_range?: RangeAnswer }[]
    }>('kv/txn', {
      compare: [{ key, target: 'CREATE', result: 'EQUAL', create_revision: '0' }],
      success: [{ request_put: { key, value, lease: own.lease } }],
      failure: [{ request_range: { key } }],
    })
    if (written.succeeded === true) {
      own.token = Number(written.header.revision)
      return { status: 'held', token: own.token, validMs: own.leaseMs }
    }
    await this.#forget(ownKey(request), own)
    return takenBy(written.responses?.[0]?.response_range?.kvs?.[0] ?? null)
  }

  async #keepAlive(lease: string): Promise<boolean> {
    const { result } = await this.#call<{ readonly result: { readonly TTL?: string } }>(
      'lease/keepalive',
      { ID: lease },
    )
    return Number(result.TTL ?? 0) > 0
  }

  async #forget(mine: string, own: Own): Promise<void> {
    await this.#call('lease/revoke', { ID: own.lease }, ['requested lease not found'])
    this.#own.delete(mine)
  }

  async #read(name: string): Promise<{ readonly key: KeyValue | null; readonly revision: string }> {
    const { kvs, header } = await this.#call<RangeAnswer>('kv/range', { key: this.#keyOf(name) })
    return { key: kvs?.[0] ?? null, revision: header.revision }
  }

  /** Reads once, and then waits for the end of the key. */
  async #change(name: string, seen: string, signal: AbortSignal): Promise<Change> {
    if (seen === nothingSeen) {
      const { key, revision } = await this.#read(name)
      return { seen: String(Number(revision) + 1), isFree: key === null }
    }
    const body = JSON.stringify({
      create_request: { key: this.#keyOf(name), start_revision: seen, filters: ['NOPUT'] },
    })
    const reply = await this.#http.open({
      method: 'POST',
      path: '/v3/watch',
      headers: await this.#headers(),
      body,
      signal,
    })
    reply.setEncoding('utf8')
    let text = ''
    for await (const part of reply) {
      text += part as string
      const lines = text.split('\n')
      text = lines.pop() ?? ''
      for (const line of lines) {
        const { result } = JSON.parse(line) as { readonly result?: WatchAnswer }
        if (result?.canceled === true) return { seen: nothingSeen, isFree: true }
        if ((result?.events ?? []).length === 0) continue
        reply.destroy()
        return { seen: String(Number(result?.header.revision) + 1), isFree: true }
      }
    }
    throw new ErrandError('server-unavailable', `${this.info.location} ended a watch.`)
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
    return encoded((this.#options.key ?? fallbackKey).replaceAll('{name}', name))
  }
}

function ownKey({ name, holder }: Pick<Holding, 'name' | 'holder'>): string {
  return `${holder} ${name}`
}

function takenBy(key: KeyValue | null): HoldAnswer {
  return { status: 'taken', owner: key === null ? null : ownerOf(key), freeInMs: null }
}

function ownerOf(key: KeyValue): LockOwner {
  const token = Number(key.create_revision)
  try {
    const text = Buffer.from(key.value ?? '', 'base64').toString('utf8')
    const { host, pid, since } = JSON.parse(text) as Omit<LockOwner, 'token'>
    return { host, pid, since, token }
  } catch {
    // Someone else's text is no record.
    return { host: 'unknown', pid: null, since: null, token }
  }
}

function encoded(text: string): string {
  return Buffer.from(text, 'utf8').toString('base64')
}
