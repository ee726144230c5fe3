/**
 * The way to the server or cluster: one connection for calls, made at the first one, and one for hints while someone watches. A client
 * that was handed in is used for calls and never closed or configured; a cluster's own connection for subscriptions is used for hints.
 */
import { letProcessEnd, makeClient, type RedisClient } from './client.ts'
import { closedError, isOfConnection, isUnknownScript, storeError } from './errors.ts'
import type { Script } from './script.ts'

/** Where the server is: nodes to connect to, or a client. */
export type Target =
  | { readonly kind: 'urls'; readonly urls: readonly string[] }
  | { readonly kind: 'client'; readonly client: RedisClient }

export class Connection {
  readonly location: string
  readonly #target: Target
  #client: RedisClient | null = null
  #making: Promise<RedisClient> | null = null
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
    const client = this.#client ?? (await this.#make())
    try {
      return await client.evalsha(script.digest, 1, root, ...args)
    } catch (error) {
      if (!isUnknownScript(error)) throw error
      return await client.eval(script.text, 1, root, ...args)
    }
  }

  /** The raw error as Errand's own. */
  explain(error: unknown): unknown {
    if (this.#isClosed) return closedError(this.location)
    return storeError(
      error,
      this.location,
      isOfConnection(error) ? (this.#lastError ?? error) : error,
    )
  }

  async info(section: string): Promise<string> {
    if (this.#isClosed) throw closedError(this.location)
    const client = this.#client ?? (await this.#make())
    return client.info(section)
  }

  /** A setting of the server; null when it does not tell. */
  async setting(name: string): Promise<string | null> {
    const client = this.#client ?? (await this.#make())
    const answer = await client.config('GET', name)
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
      const subscriber = client.isCluster === true ? client : client.duplicate()
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
        this.#lastError = error
      })
      client.on('ready', () => {
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
