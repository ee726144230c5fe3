/**
 * The way to the server or cluster: one connection for calls, made at the first one, and one for hints while someone watches. A client
 * that was handed in is used for calls and never closed or configured; a cluster's own connection for subscriptions is used for hints.
 */
import {
  callDeadlineMs,
  letProcessEnd,
  makeClient,
  willSubscribe,
  type RedisClient,
} from './client.ts'
import {
  closedError,
  isOfConnection,
  isUnknownScript,
  isWrongDatabase,
  storeError,
  withoutArguments,
} from './errors.ts'
import type { Script } from './script.ts'
import { clearTimeout, setTimeout } from '../../core/timers.ts'

/** Where the server is: nodes to connect to, or a client. */
export type Target =
  | { readonly kind: 'urls'; readonly urls: readonly string[] }
  | { readonly kind: 'client'; readonly client: RedisClient }

/** How long a call waits for a client that is not connected. */
const connectDeadlineMs = 5_000

export class Connection {
  readonly location: string
  readonly #target: Target
  #client: RedisClient | null = null
  #making: Promise<RedisClient> | null = null
  #connecting: Promise<void> | null = null
  #stopListening: (() => void) | null = null
  #isClosed = false
  #lastError: unknown = undefined
  #readies = 0

  constructor(target: Target, location: string) {
    this.#target = target
    this.location = location
    if (target.kind === 'client') this.#client = target.client
  }

  get isClosed(): boolean {
    return this.#isClosed
  }

  /** Counts how often a connection of our own came about, and is odd while the client is connected: see `mayHaveArrived`. */
  get mark(): number {
    return this.#readies * 2 + (this.#client?.status === 'ready' ? 1 : 0)
  }

  /** Whether a call that failed may have reached the server, given the mark from before it. */
  mayHaveArrived(error: unknown, mark: number): boolean {
    return isOfConnection(error) && (mark % 2 === 1 || this.mark !== mark)
  }

  /** Runs a script on the partition of a root; sends its text where the server does not know it. Rejects with the raw error. */
  async run(script: Script, root: string, args: readonly string[]): Promise<unknown> {
    if (this.#isClosed) throw closedError(this.location)
    const client = await this.#online()
    try {
      return await this.#within(client.evalsha(script.digest, 1, root, ...args))
    } catch (error) {
      if (!isUnknownScript(error)) throw error
      return await this.#within(client.eval(script.text, 1, root, ...args))
    }
  }

  /** The raw error as Errand's own. */
  explain(thrown: unknown): unknown {
    if (this.#isClosed) return closedError(this.location)
    const error = withoutArguments(thrown)
    const cause = isOfConnection(error) ? (this.#lastError ?? error) : error
    return storeError(error, this.location, cause)
  }

  async info(section: string): Promise<string> {
    if (this.#isClosed) throw closedError(this.location)
    const client = await this.#online()
    return this.#within(client.info(section))
  }

  /** A setting of the server; null when it does not tell. */
  async setting(name: string): Promise<string | null> {
    const client = await this.#online()
    const answer = await this.#within(client.config('GET', name))
    const value = Array.isArray(answer) ? (answer[1] as unknown) : null
    return typeof value === 'string' ? value : null
  }

  /** Publishes without waiting for it. Only a hint: an error is of no consequence. */
  publish(channel: string, message: string): void {
    if (this.#isClosed || this.#client === null) return
    this.#client.publish(channel, message).catch(() => undefined)
  }

  /** Listens to a channel until stopped; `connected` is called each time that messages may have been missed before. */
  async listen(
    channel: string,
    heard: (message: string) => void,
    connected: () => void,
  ): Promise<void> {
    if (this.#isClosed || this.#stopListening !== null) return
    let stopped = false
    this.#stopListening = () => {
      stopped = true
    }
    try {
      const client = this.#client ?? (await this.#make())
      if (stopped || this.#isClosed) return
      // It would subscribe again by a call that nobody waits for, whose failure ends the process; we do so ourselves.
      const subscriber =
        client.isCluster === true ? client : client.duplicate({ autoResubscribe: false })
      if (subscriber !== client) letProcessEnd(subscriber)
      const onMessage = (from: string, message: string): void => {
        if (from === channel) heard(message)
      }
      const onReady = (): void =>
        void subscriber.subscribe(channel).then(connected, () => undefined)
      const onError = (): void => undefined
      subscriber.on('message', onMessage)
      subscriber.on('ready', onReady)
      if (subscriber !== client) subscriber.on('error', onError)
      this.#stopListening = () => {
        subscriber.off('message', onMessage)
        subscriber.off('ready', onReady)
        if (subscriber !== client) subscriber.disconnect()
        else if (!this.#isClosed) subscriber.unsubscribe(channel).catch(() => undefined)
      }
      willSubscribe(subscriber)
      await subscriber.subscribe(channel)
      connected()
    } catch {
      // Polls find what hints do not tell; the client goes on trying to connect.
    }
  }

  stopListening(): void {
    this.#stopListening?.()
    this.#stopListening = null
  }

  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.stopListening()
    if (this.#target.kind === 'urls') this.#client?.disconnect()
  }

  /**
   * The client, connected if it is a cluster or was handed in: those may queue calls for as long as nobody answers, and make them when
   * their callers have long given up. A client of our own for one server does not.
   */
  async #online(): Promise<RedisClient> {
    const client = this.#client ?? (await this.#make())
    if (client.status === 'ready') return client
    if (this.#target.kind === 'urls' && client.isCluster !== true) return client
    this.#connecting ??= connected(client).finally(() => {
      this.#connecting = null
    })
    await this.#connecting
    return client
  }

  /** Bounds a call in time where the client, made by someone else, may not. */
  #within<T>(call: Promise<T>): Promise<T> {
    if (this.#target.kind === 'urls') return call
    return new Promise((resolve, reject) => {
      const late = (): void => reject(new Error(`no answer within ${callDeadlineMs} ms`))
      const timer = setTimeout(late, callDeadlineMs)
      call.then(resolve, reject).finally(() => clearTimeout(timer))
    })
  }

  #make(): Promise<RedisClient> {
    if (this.#target.kind === 'client') return Promise.resolve(this.#target.client)
    this.#making ??= this.#open(this.#target.urls)
    return this.#making
  }

  async #open(urls: readonly string[]): Promise<RedisClient> {
    try {
      const client = await makeClient(urls)
      letProcessEnd(client)
      client.on('error', (error: unknown) => {
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

/** Resolves when a client is connected. */
function connected(client: RedisClient): Promise<void> {
  if (client.status === 'wait') client.connect().catch(() => undefined)
  return new Promise((resolve, reject) => {
    const onReady = (): void => {
      clearTimeout(timer)
      resolve()
    }
    const timer = setTimeout(() => {
      client.off('ready', onReady)
      reject(new Error(`not connected within ${connectDeadlineMs} ms`))
    }, connectDeadlineMs)
    client.once('ready', onReady)
  })
}
