/**
 * Locks on a server that binds a key to a session: nobody else gets the key while the session lives, and who does not renew its session loses
 * both. Consul has such sessions, etcd calls them leases.
 *
 * Modes of a holding: begun, while it is not known whether its session got the key → bound, by an answer that tells so, with a token →
 * forgotten, by a release, or once the key is seen without it. A session is ended before it is forgotten, so that none is left behind.
 */
import type { Unwatch } from '../../store/worker-calls.ts'
import type { HoldAnswer, Holding, HoldRequest, LockOwner, Locks } from '../../store/locks.ts'
import { Watches, type WaitForChange } from './watches.ts'

export interface Session {
  readonly id: string
  /** For how long it lives after each renewal, at least. */
  readonly validMs: number
}

/** The session that has a key, and what is told of it. */
export interface Binding {
  readonly session: string
  /** A number of the server's that each binding of a key gets anew, greater than any before. */
  readonly token: number
  readonly owner: LockOwner
}

/** A server's way to do it. Reads are confirmed by its majority; each call rejects when the server does not answer. */
export interface SessionServer {
  readonly info: Locks['info']
  readonly connector: Locks['connector']
  readonly leastTtlMs: number
  /** For so long nobody gets a key whose session ended by its time. */
  readonly lockDelayMs: number
  begin(request: HoldRequest): Promise<Session>
  /** Answers whether the session lived still. */
  renew(session: string): Promise<boolean>
  /** Ends the session if it lives. */
  end(session: string): Promise<void>
  /** Binds the key to the session if it is free; answers what it is bound to then. */
  bind(session: string, request: HoldRequest): Promise<Binding | null>
  /** Frees the key, and may end the session; answers whether the session had it. */
  unbind(session: string, name: string): Promise<boolean>
  read(name: string): Promise<Binding | null>
  readonly change: WaitForChange
  close(): void
}

/** What this process has of a lock. Its token is null while it is not known whether the key is bound to its session. */
interface Own {
  readonly session: Session
  token: number | null
}

export class SessionLocks implements Locks {
  readonly info: Locks['info']
  readonly connector: Locks['connector']
  readonly leastTtlMs: number
  readonly #server: SessionServer
  /** By holder and name. */
  readonly #own = new Map<string, Own>()
  readonly #watches: Watches

  constructor(server: SessionServer) {
    this.#server = server
    this.info = server.info
    this.connector = server.connector
    this.leastTtlMs = server.leastTtlMs
    this.#watches = new Watches(server.change)
  }

  async hold(request: HoldRequest): Promise<HoldAnswer> {
    const { name, token } = request
    const key = ownKey(request)
    const own = this.#own.get(key)
    if (token !== null && own?.token !== token) return takenBy(await this.#server.read(name))
    // What was left of an earlier call lives on, or not: then it is forgotten.
    const lives = own !== undefined && (await this.#server.renew(own.session.id))
    const binding = await this.#server.read(name)
    if (lives && binding?.session === own.session.id) return heldBy(own, binding)
    if (own !== undefined) await this.#forget(key, own)
    return token !== null || binding !== null ? takenBy(binding) : this.#take(request)
  }

  async release(holding: Holding): Promise<'released' | 'stale'> {
    const key = ownKey(holding)
    const own = this.#own.get(key)
    if (own === undefined || own.token !== holding.token) return 'stale'
    const wasBound = await this.#server.unbind(own.session.id, holding.name)
    await this.#forget(key, own)
    return wasBound ? 'released' : 'stale'
  }

  async lockOwner(name: string): Promise<LockOwner | null> {
    return (await this.#server.read(name))?.owner ?? null
  }

  watch(name: string, on: () => void): Unwatch {
    return this.#watches.add(name, on)
  }

  async close(): Promise<void> {
    this.#watches.close()
    this.#server.close()
  }

  async #take(request: HoldRequest): Promise<HoldAnswer> {
    const key = ownKey(request)
    const own: Own = { session: await this.#server.begin(request), token: null }
    this.#own.set(key, own)
    const binding = await this.#server.bind(own.session.id, request)
    if (binding?.session === own.session.id) return heldBy(own, binding)
    await this.#forget(key, own)
    // A free key that cannot be had yet is under its delay.
    return binding === null
      ? { status: 'taken', owner: null, freeInMs: this.#server.lockDelayMs }
      : takenBy(binding)
  }

  async #forget(key: string, own: Own): Promise<void> {
    await this.#server.end(own.session.id)
    this.#own.delete(key)
  }
}

function ownKey({ name, holder }: Pick<Holding, 'name' | 'holder'>): string {
  return `${holder} ${name}`
}

/** The token is that of the first answer, whatever is written to the key later. */
function heldBy(own: Own, binding: Binding): HoldAnswer {
  own.token ??= binding.token
  return { status: 'held', token: own.token, validMs: own.session.validMs }
}

function takenBy(binding: Binding | null): HoldAnswer {
  return { status: 'taken', owner: binding?.owner ?? null, freeInMs: null }
}
