/**
 * Listens to a channel for as long as somebody watches. A single server gets a connection of its
 * own for it, a cluster's client has one. Subscribing again now and then proves that the connection
 * lives and still leads to a subscriber.
 */
import { tend, ownOptions, subscriberOf, willSubscribe, type RedisClient } from './client.ts'
import { Silence } from './silence.ts'
import { clearInterval, setInterval } from '../../core/timers.ts'

/**
 * With the looks of `Silence`, hints come again within five seconds of a server that can be
 * reached.
 */
const proveEveryMs = 1_000

export interface Listener {
  readonly channel: string
  readonly heard: (message: string) => void
  /** Called each time that messages may have been missed before. */
  readonly connected: () => void
}

export class Subscription {
  readonly #subscriber: RedisClient
  readonly #isOwn: boolean
  readonly #listener: Listener
  readonly #silence: Silence
  readonly #timer: NodeJS.Timeout
  #isProving = false
  #mayHaveMissed = true

  /** `client` is the one for calls. */
  constructor(client: RedisClient, listener: Listener) {
    this.#isOwn = client.isCluster !== true
    this.#subscriber = this.#isOwn ? client.duplicate(ownOptions) : client
    this.#listener = listener
    this.#silence = new Silence(() => {
      const connection = this.#isOwn ? this.#subscriber : subscriberOf(this.#subscriber)
      return connection === null ? [] : [connection]
    })
    this.#subscriber.on('message', this.#onMessage)
    this.#subscriber.on('ready', this.#prove)
    if (this.#isOwn) {
      tend(this.#subscriber)
      // Each is followed by another attempt to connect.
      this.#subscriber.on('error', () => undefined)
    } else willSubscribe(this.#subscriber)
    if (this.#subscriber.status === 'wait') this.#subscriber.connect().catch(() => undefined)
    this.#timer = setInterval(this.#prove, proveEveryMs)
    this.#timer.unref()
    this.#prove()
  }

  /** Connects anew: the server is not what it was. */
  renew(): void {
    this.#mayHaveMissed = true
    if (this.#isOwn) this.#subscriber.stream?.destroy?.()
  }

  /** `isOver` tells that the client for calls is closed, too. */
  stop(isOver: boolean): void {
    clearInterval(this.#timer)
    this.#silence.stop()
    this.#subscriber.off('message', this.#onMessage)
    this.#subscriber.off('ready', this.#prove)
    if (this.#isOwn) this.#subscriber.disconnect()
    else if (!isOver) this.#subscriber.unsubscribe(this.#listener.channel).catch(() => undefined)
  }

  readonly #onMessage = (from: string, message: string): void => {
    if (from === this.#listener.channel) this.#listener.heard(message)
  }

  readonly #prove = (): void => {
    if (this.#isProving) return
    if (this.#subscriber.status !== 'ready') {
      this.#mayHaveMissed = true
      return
    }
    this.#isProving = true
    this.#silence.begin()
    const proven = (): void => {
      if (!this.#mayHaveMissed) return
      this.#mayHaveMissed = false
      this.#listener.connected()
    }
    // Polls find what hints do not tell.
    const failed = (): void => {
      this.#mayHaveMissed = true
    }
    void this.#subscriber
      .subscribe(this.#listener.channel)
      .then(proven, failed)
      .finally(() => {
        this.#isProving = false
        this.#silence.end()
      })
  }
}
