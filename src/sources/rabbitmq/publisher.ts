/**
 * Publishes messages with confirms, on a connection of its own that is opened when it is needed.
 *
 * A message is pending from its publish until the broker has confirmed it, or the connection is lost. What is pending
 * is bounded; what comes beyond that waits its turn. A message that no queue takes comes back before its confirm.
 */
import type { ChannelModel, ConfirmChannel, Message, Options } from 'amqplib'
import { ErrandError } from '../../core/errors.ts'
import { setImmediate } from '../../core/timers.ts'
import { within } from '../patience.ts'
import type { Unconfirmed } from '../sent-jobs.ts'
import { openLink, unavailable, type Broker, type Link } from './link.ts'

const bounds = {
  pendingMessages: 4_000,
  pendingBytes: 8 * 1_024 * 1_024,
  /** How long one message may take, with the time that it waits its turn. */
  sendMs: 30_000,
} as const

/** A message on its way out. */
export interface Outgoing {
  /** `''` for the default exchange, whose routing keys are names of queues. */
  readonly exchange: string
  readonly routingKey: string
  readonly body: Buffer
  readonly properties: Options.Publish
  /** Makes sure before that there is something to take it. */
  readonly provide?: (model: ChannelModel) => Promise<void>
}

interface Pending {
  readonly key: string
  readonly bytes: number
  readonly settled: Promise<void>
  readonly resolve: () => void
  readonly reject: (error: ErrandError) => void
  isReturned: boolean
}

/** What waits for a message to be confirmed. */
interface Patience {
  isOver: boolean
  isSent: boolean
}

interface Opened {
  readonly link: Link
  readonly channel: ConfirmChannel
  isGone: boolean
}

export class Publisher {
  readonly #broker: Broker
  readonly #name: string
  readonly #pending = new Map<string, Pending>()
  readonly #turns: (() => void)[] = []
  readonly #over = new AbortController()
  #pendingBytes = 0
  #opening: Promise<Opened> | null = null

  constructor(broker: Broker, name: string) {
    this.#broker = broker
    this.#name = name
  }

  /**
   * Resolves when the broker has taken the message. Rejects with `server-refused`, `server-unavailable`, `unknown-outcome` or `closed`; then
   * `details.unconfirmed` says why.
   */
  async send(message: Outgoing): Promise<void> {
    const patience = { isOver: false, isSent: false }
    const sending = this.#publish(message, patience)
    // Whoever waits no longer still gets its error.
    sending.catch(() => undefined)
    return within(sending, bounds.sendMs, () => {
      patience.isOver = true
      // It waits no longer either.
      this.#next()
      return patience.isSent
        ? this.#unconfirmed('unknown', 'the broker has not confirmed it in time')
        : this.#unconfirmed('unsent', 'others before it wait for the broker')
    })
  }

  /** Uses the connection for something else. */
  async use<T>(act: (model: ChannelModel) => Promise<T>): Promise<T> {
    const { link } = await this.#open()
    return within(act(link.model), bounds.sendMs, () =>
      unavailable(this.#broker, 'it does not answer'),
    )
  }

  /** Rejects what is pending as unknown, and ends the connection. */
  async close(): Promise<void> {
    this.#over.abort()
    const opened = await this.#opening?.catch(() => null)
    await opened?.link.close()
    this.#next()
  }

  async #publish(message: Outgoing, patience: Patience): Promise<void> {
    const { exchange, routingKey, body, properties, provide } = message
    const key = JSON.stringify([exchange, routingKey, properties.messageId])
    let opened = await this.#open()
    await provide?.(opened.link.model)
    while (!patience.isOver && !this.#hasRoom(key, body.length)) {
      await new Promise<void>((resolve) => this.#turns.push(resolve))
      opened = await this.#open()
    }
    if (patience.isOver) return
    if (opened.isGone) throw this.#unconfirmed('unsent', 'the connection was lost')
    const pending = this.#add(key, body.length)
    patience.isSent = true
    const options = { ...properties, mandatory: true }
    opened.channel.publish(exchange, routingKey, body, options, (error: unknown) => {
      // Those who wait hear of the end of a channel before others do.
      if (error === null || error === undefined) this.#settle(pending, null, false)
      else setImmediate(() => this.#settle(pending, error, opened.isGone))
    })
    await pending.settled
  }

  /** Whether one more may be pending, and nothing is that a returned message could be taken for. */
  #hasRoom(key: string, bytes: number): boolean {
    if (this.#pending.has(key) || this.#pending.size >= bounds.pendingMessages) return false
    return this.#pendingBytes === 0 || this.#pendingBytes + bytes <= bounds.pendingBytes
  }

  #add(key: string, bytes: number): Pending {
    const { promise: settled, resolve, reject } = Promise.withResolvers<void>()
    const pending = { key, bytes, settled, resolve, reject, isReturned: false }
    this.#pending.set(key, pending)
    this.#pendingBytes += bytes
    return pending
  }

  #settle(pending: Pending, error: unknown, isLost: boolean): void {
    if (this.#pending.get(pending.key) !== pending) return
    this.#pending.delete(pending.key)
    this.#pendingBytes -= pending.bytes
    if (pending.isReturned)
      pending.reject(this.#unconfirmed('unroutable', 'no queue takes it: declare or bind one'))
    else if (isLost) pending.reject(this.#unconfirmed('unknown', 'the connection was lost'))
    else if (error !== null)
      pending.reject(this.#unconfirmed('refused', 'the broker refuses it', error))
    else pending.resolve()
    this.#next()
  }

  #next(): void {
    for (const turn of this.#turns.splice(0)) turn()
  }

  #open(): Promise<Opened> {
    if (this.#over.signal.aborted) return Promise.reject(this.#closed())
    this.#opening ??= this.#connect().catch((error: unknown) => {
      this.#opening = null
      throw error
    })
    return this.#opening
  }

  async #connect(): Promise<Opened> {
    const link = await openLink(this.#broker, this.#name, this.#over.signal)
    try {
      const channel = await link.model.createConfirmChannel()
      channel.on('return', (message: Message) => this.#returned(message))
      const opened = { link, channel, isGone: false }
      const lose = (): void => void this.#lost(opened)
      link.lost.addEventListener('abort', lose, { once: true })
      channel.on('error', lose)
      channel.on('close', lose)
      if (link.lost.aborted) throw unavailable(this.#broker, link.lost.reason)
      return opened
    } catch (error) {
      await link.close()
      throw error
    }
  }

  async #lost(opened: Opened): Promise<void> {
    if (opened.isGone) return
    opened.isGone = true
    this.#opening = null
    await opened.link.close()
    for (const pending of this.#pending.values()) this.#settle(pending, null, true)
    this.#next()
  }

  #returned({ fields, properties }: Message): void {
    const { exchange, routingKey } = fields
    const key = JSON.stringify([exchange, routingKey, properties.messageId as unknown])
    const pending = this.#pending.get(key)
    if (pending !== undefined) pending.isReturned = true
  }

  #unconfirmed(why: Unconfirmed, words: string, cause?: unknown): ErrandError {
    const message = `RabbitMQ at ${this.#broker.location} has not confirmed a message: ${words}.`
    return new ErrandError(codes[why], message, {
      ...(cause === undefined ? {} : { cause }),
      details: { unconfirmed: why },
    })
  }

  #closed(): ErrandError {
    return new ErrandError('closed', 'The connection to RabbitMQ is closed.', {
      details: { unconfirmed: 'unsent' },
    })
  }
}

const codes = {
  unroutable: 'server-refused',
  refused: 'server-refused',
  unsent: 'server-unavailable',
  unknown: 'unknown-outcome',
} as const
