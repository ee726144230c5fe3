/**
 * The way to the server or cluster: one connection for calls, made at the first one, and one for
 * hints while someone watches. A client that was handed in is used for calls and never closed or
 * configured; a cluster's own connection for subscriptions is used for hints.
 *
 * A call that finds no connection waits for one, and one whose connection broke is sent again,
 * until its deadline. A connection that owes an answer and is silent is ended, and so is one whose
 * server refuses for what it is: the next one may lead to another.
 */
import { isReady, makeClient, tend, type RedisClient } from './client.ts'
import {
  closedError,
  isOfConnection,
  isOfServer,
  isUnknownScript,
  isWrongDatabase,
  storeError,
  withoutArguments,
} from './errors.ts'
import { keysOf, type Script } from './script.ts'
import { Silence } from './silence.ts'
import { Subscription, type Listener } from './subscription.ts'
import { clearTimeout, setTimeout } from '../../core/timers.ts'

/** Where the server is: nodes to connect to, or a client. */
export type Target =
  | { readonly kind: 'urls'; readonly urls: readonly string[] }
  | { readonly kind: 'client'; readonly client: RedisClient }

/** How long a call is tried and waits for its answer. */
const callDeadlineMs = 10_000
/** How long a call waits for a client that is not connected. */
const connectDeadlineMs = 5_000
/**
 * After so many failed attempts of a client of our own to connect, about a second and a half, a
 * call waits no longer.
 */
const mostAttempts = 5
/** A server that refuses from the first call on is left at most so often. */
const leaveEveryMs = 1_000

export class Connection {
  readonly location: string
  readonly #target: Target
  readonly #silence: Silence
  #client: RedisClient | null = null
  #making: Promise<RedisClient> | null = null
  #connecting: Promise<void> | null = null
  #subscription: Subscription | null = null
  #listener: Listener | null = null
  #isClosed = false
  #lastError: unknown = undefined
  #readies = 0
  #leftAt = -Infinity
  /** The connection that answered last. */
  #served: RedisClient['stream'] = undefined
  readonly #closing = new AbortController()

  constructor(target: Target, location: string) {
    this.#target = target
    this.location = location
    this.#silence = new Silence(() => this.#connections())
    if (target.kind === 'client') this.#client = target.client
  }

  get isClosed(): boolean {
    return this.#isClosed
  }

  get isCluster(): boolean {
    return this.#client?.isCluster === true
  }

  /**
   * Counts how often a connection of our own came about, and is odd while the client is connected:
   * see `mayHaveArrived`.
   */
  get mark(): number {
    return this.#readies * 2 + (this.#client?.status === 'ready' ? 1 : 0)
  }

  /** Whether a call that failed may have reached the server, given the mark from before it. */
  mayHaveArrived(error: unknown, mark: number): boolean {
    return isOfConnection(error) && (mark % 2 === 1 || this.mark !== mark)
  }

  /**
   * Runs a script on the partition of a root; sends its text where the server does not know it.
   * Rejects with the raw error.
   */
  run(script: Script, root: string, args: readonly string[]): Promise<unknown> {
    const all = [...keysOf(root), ...args]
    return this.#call(async (client) => {
      try {
        return await client.evalsha(script.digest, 2, ...all)
      } catch (error) {
        if (!isUnknownScript(error)) throw error
        return client.eval(script.text, 2, ...all)
      }
    })
  }

  /** The raw error as Errand's own. */
  explain(thrown: unknown): unknown {
    if (this.#isClosed) return closedError(this.location)
    const error = withoutArguments(thrown)
    const cause = isOfConnection(error) ? (this.#lastError ?? error) : error
    return storeError(error, this.location, cause)
  }

  info(section: string): Promise<string> {
    return this.#call((client) => client.info(section))
  }

  /** A setting of the server; null when it does not tell. */
  async setting(name: string): Promise<string | null> {
    const answer = await this.#call((client) => client.config('GET', name))
    const value = Array.isArray(answer) ? (answer[1] as unknown) : null
    return typeof value === 'string' ? value : null
  }

  /** Publishes without waiting for it. Only a hint: an error is of no consequence. */
  publish(channel: string, message: string): void {
    if (this.#isClosed || this.#client === null || !isReady(this.#client)) return
    this.#client.publish(channel, message).catch(() => undefined)
  }

  /** Listens until stopped. */
  async listen(listener: Listener): Promise<void> {
    if (this.#isClosed || this.#listener !== null) return
    this.#listener = listener
    const client = this.#client ?? (await this.#make().catch(() => null))
    // Without a client every call fails, and says why.
    if (client === null || this.#isClosed || this.#listener !== listener) return
    this.#subscription = new Subscription(client, listener)
  }

  stopListening(): void {
    this.#listener = null
    this.#subscription?.stop(this.#isClosed)
    this.#subscription = null
  }

  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.stopListening()
    this.#silence.stop()
    this.#closing.abort()
    if (this.#target.kind === 'urls') this.#client?.disconnect()
  }

  async #call<T>(send: (client: RedisClient) => Promise<T>): Promise<T> {
    const end = performance.now() + callDeadlineMs
    for (let hasLeft = false; ;) {
      if (this.#isClosed) throw closedError(this.location)
      const client = await this.#online()
      const { stream } = client
      this.#silence.begin()
      try {
        // The connection of a call that is late is ended, so that none of it is left behind.
        const late = (): void => {
          if (client.isCluster !== true) stream?.destroy?.()
        }
        const answer = await inTime(send(client), Math.max(0, end - performance.now()), late)
        this.#served = stream
        return answer
      } catch (error) {
        if (performance.now() > end) throw error
        if (isOfServer(error)) {
          if (hasLeft || !this.#leave(client, stream)) throw error
          hasLeft = true
        } else if (!this.#isBroken(client, stream, error)) throw error
      } finally {
        this.#silence.end()
      }
    }
  }

  /**
   * Whether a call is to be sent again, because a connection of our own broke under it. A cluster's
   * client does so itself.
   */
  #isBroken(client: RedisClient, stream: RedisClient['stream'], error: unknown): boolean {
    if (this.#target.kind === 'client' || client.isCluster === true) return false
    return isOfConnection(error) && (!isReady(client) || client.stream !== stream)
  }

  /**
   * Ends the connection to a server that refuses, so that the client makes another one; answers
   * false when that was done but now and led to one that refuses, too, or when it is a cluster,
   * whose nodes tell who is master. Of several calls that are refused together the first one ends
   * it.
   */
  #leave(client: RedisClient, stream: RedisClient['stream']): boolean {
    if (client.isCluster === true) return false
    if (client.stream !== stream || stream?.destroyed === true) return true
    const now = performance.now()
    if (this.#served !== stream && now - this.#leftAt < leaveEveryMs) return false
    this.#leftAt = now
    client.stream?.destroy?.()
    this.#subscription?.renew()
    return true
  }

  /**
   * The client, once it is connected: a call is never left to a queue, which would send it when its
   * caller has long given up.
   */
  async #online(): Promise<RedisClient> {
    const client = this.#client ?? (await this.#make())
    if (isReady(client)) return client
    const attempts =
      this.#target.kind === 'client' || client.isCluster === true ? Infinity : mostAttempts
    this.#connecting ??= connected(client, attempts, this.#closing.signal).finally(() => {
      this.#connecting = null
    })
    await inTime(this.#connecting, connectDeadlineMs, () => undefined)
    return client
  }

  /**
   * The connections for calls. Those of a cluster that was handed in may have long waits of their
   * owner.
   */
  #connections(): readonly RedisClient[] {
    if (this.#client === null) return []
    if (this.#client.isCluster !== true) return [this.#client]
    return this.#target.kind === 'urls' ? (this.#client.nodes?.() ?? []) : []
  }

  #make(): Promise<RedisClient> {
    if (this.#target.kind === 'client') return Promise.resolve(this.#target.client)
    this.#making ??= this.#open(this.#target.urls)
    return this.#making
  }

  async #open(urls: readonly string[]): Promise<RedisClient> {
    try {
      const client = await makeClient(urls)
      tend(client)
      client.on('error', (error: unknown) => {
        if (this.#client !== client) return
        this.#lastError = withoutArguments(error)
        if (!isWrongDatabase(error)) return
        // The client would go on with database 0. The next call makes another one.
        this.#client = null
        client.disconnect()
      })
      client.on('ready', () => {
        if (this.#client !== client) return
        this.#lastError = undefined
        this.#readies += 1
      })
      if (this.#isClosed) client.disconnect()
      this.#client = client
      return client
    } finally {
      this.#making = null
    }
  }
}

/**
 * Resolves when a client is connected; rejects after so many attempts that failed, at once when it
 * says why or is closed.
 */
function connected(client: RedisClient, attempts: number, closing: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    let failed = 0
    const settle = (error: Error | null): void => {
      client.off('ready', onReady)
      client.off('close', onClose)
      client.off('end', onEnd)
      if (attempts !== Infinity) client.off('error', onError)
      closing.removeEventListener('abort', onEnd)
      if (error === null) resolve()
      else reject(error)
    }
    const onReady = (): void => settle(null)
    const onEnd = (): void => settle(new Error('the client is closed'))
    const onClose = (): void => {
      failed += 1
      if (failed >= attempts) settle(new Error(`not connected after ${failed} attempts`))
    }
    const onError = (error: Error): void => {
      if (isOfServer(error)) settle(error)
    }
    client.on('ready', onReady)
    client.on('close', onClose)
    client.on('end', onEnd)
    if (attempts !== Infinity) client.on('error', onError)
    closing.addEventListener('abort', onEnd)
    if (client.status === 'wait') client.connect().catch(() => undefined)
    else if (client.status === 'end') onEnd()
  })
}

/** What a promise resolves to, if it does so in time; otherwise `late` is called. */
function inTime<T>(promise: Promise<T>, ms: number, late: () => void): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      late()
      reject(new Error(`no answer within ${Math.round(ms)} ms`))
    }, ms)
    promise.then(resolve, reject).finally(() => clearTimeout(timer))
  })
}
