/** One connection that messages come by: a consumer for each queue, on one channel. */
import type { Channel, ConsumeMessage } from 'amqplib'
import { ErrandError, isErrandError } from '../../core/errors.ts'
import { setTimeout, clearTimeout } from '../../core/timers.ts'
import type { SourceConnection, SourceMessage, SourceRoom } from '../source.ts'
import { Gate } from './gate.ts'
import { briefly } from '../patience.ts'
import { linkBounds, openLink, unavailable, type Broker, type Link } from './link.ts'
import { headersOf } from './properties.ts'
import { Publisher } from './publisher.ts'
import { deadLetterExchange, parkedQueue, provideParked, provideQueue } from './queues.ts'

/** A pull without messages ends after this long. */
const pullMs = 25_000

export interface ConsumerOptions {
  readonly broker: Broker
  /** The source, for the broker's own tools. */
  readonly name: string
  readonly queues: readonly string[]
  readonly prefetch: Required<SourceRoom>
}

/** A message with what its acknowledgement takes. */
interface Delivery extends SourceMessage {
  readonly given: ConsumeMessage
}

/** Connects, provides the queues and begins to consume them. */
export async function openConsumer(
  options: ConsumerOptions,
  signal: AbortSignal,
): Promise<SourceConnection> {
  const link = await openLink(options.broker, `errand source ${options.name}`, signal)
  try {
    const consumer = new Consumer(options, link, await link.model.createChannel())
    await consumer.begin()
    return consumer
  } catch (error) {
    await link.close()
    throw error
  }
}

class Consumer implements SourceConnection {
  readonly #options: ConsumerOptions
  readonly #link: Link
  readonly #channel: Channel
  readonly #gate: Gate
  readonly #lost = new AbortController()
  /** Delivered and not pulled yet. */
  #waiting: Delivery[] = []
  /** Delivered and not acknowledged, in the order of their tags. */
  readonly #held = new Map<SourceMessage, Delivery>()
  #heldBytes = 0
  /** Those that are rejected when they are acknowledged, for the broker to dead-letter them. */
  readonly #rejected = new WeakSet<SourceMessage>()
  readonly #exchanges = new Map<string, Promise<string | null>>()
  #publisher: Publisher | null = null
  #arrived: () => void = () => undefined

  constructor(options: ConsumerOptions, link: Link, channel: Channel) {
    this.#options = options
    this.#link = link
    this.#channel = channel
    this.#gate = new Gate(link.model, (options.broker.heartbeatSeconds * 1_000) / 2)
    const lose = (error: unknown): void => this.#lose(error)
    link.lost.addEventListener('abort', () => lose(link.lost.reason), { once: true })
    channel.on('error', lose)
    channel.on('close', () => lose(new Error('the channel is closed')))
    if (link.lost.aborted) lose(link.lost.reason)
  }

  get lost(): AbortSignal {
    return this.#lost.signal
  }

  async begin(): Promise<void> {
    const { queues, prefetch } = this.#options
    await this.#channel.prefetch(Math.max(1, Math.floor(prefetch.messages / queues.length)))
    for (const queue of queues) {
      await provideQueue(this.#link.model, queue)
      await this.#channel.consume(queue, (given) => this.#deliver(queue, given))
    }
  }

  async pull(room: Required<SourceRoom>, signal: AbortSignal): Promise<readonly SourceMessage[]> {
    if (this.#waiting.length === 0) await this.#arrival(signal)
    if (this.lost.aborted) throw this.lost.reason
    let bytes = 0
    let count = 0
    for (const { body } of this.#waiting) {
      bytes += body.length
      if (count > 0 && (count >= room.messages || bytes > room.bytes)) break
      count += 1
    }
    return this.#waiting.splice(0, count)
  }

  async acknowledge(messages: readonly SourceMessage[]): Promise<void> {
    if (this.lost.aborted) throw this.lost.reason
    const asked = new Set(messages)
    // What was delivered first goes first, so mostly one frame acknowledges all.
    let last: Delivery | null = null
    for (const [message, delivery] of this.#held) {
      if (!asked.has(message) || this.#rejected.has(message)) break
      last = delivery
      this.#forget(message)
      asked.delete(message)
    }
    if (last !== null) this.#channel.ack(last.given, true)
    for (const message of asked) {
      const delivery = this.#held.get(message)
      if (delivery === undefined) continue
      this.#forget(message)
      if (this.#rejected.has(message)) this.#channel.reject(delivery.given, false)
      else this.#channel.ack(delivery.given)
    }
    this.#measure()
  }

  async giveBack(messages: readonly SourceMessage[]): Promise<void> {
    if (this.lost.aborted) return
    for (const message of messages) {
      const delivery = this.#held.get(message)
      if (delivery === undefined) continue
      this.#forget(message)
      this.#channel.nack(delivery.given, false, true)
    }
    this.#measure()
  }

  async setAside(message: SourceMessage): Promise<string> {
    const delivery = this.#held.get(message)
    if (delivery === undefined) throw new ErrandError('closed', 'The message is not held any more.')
    const { queue, given } = delivery
    const { broker, name } = this.#options
    // Not on this connection, which may be reading nothing now.
    this.#publisher ??= new Publisher(broker, `errand source ${name}, parking`)
    const exchange = await this.#deadLetterExchange(this.#publisher, queue)
    if (exchange !== null) {
      this.#rejected.add(message)
      const target = exchange === '' ? 'the default exchange' : `the exchange ${exchange}`
      return `dead-lettered from ${queue} to ${target}`
    }
    const parked = parkedQueue(queue)
    await this.#publisher.send({
      exchange: '',
      routingKey: parked,
      body: given.content,
      properties: { ...given.properties, deliveryMode: 2 },
      provide: (model) => provideParked(model, queue),
    })
    return `in the queue ${parked}`
  }

  async close(): Promise<void> {
    const wasLost = this.lost.aborted
    this.#end(new ErrandError('closed', 'The connection is closed.'))
    // What was acknowledged goes first: a connection's own end would overtake it.
    if (!wasLost) await briefly(this.#closeChannel(), linkBounds.closeMs)
    await Promise.all([this.#link.close(), this.#publisher?.close()])
  }

  #deadLetterExchange(publisher: Publisher, queue: string): Promise<string | null> {
    const known =
      this.#exchanges.get(queue) ?? publisher.use((model) => deadLetterExchange(model, queue))
    this.#exchanges.set(queue, known)
    known.catch(() => this.#exchanges.delete(queue))
    return known
  }

  /** The broker sends nothing when it has cancelled the consumer, as it does when the queue is deleted. */
  #deliver(queue: string, given: ConsumeMessage | null): void {
    if (given === null) {
      this.#lose(unavailable(this.#options.broker, `the queue ${queue} was deleted`))
      return
    }
    const { content: body, properties } = given
    const messageId: unknown = properties.messageId
    const delivery: Delivery = {
      given,
      queue,
      id: typeof messageId === 'string' && messageId !== '' ? messageId : null,
      body,
      size: body.length,
      headers: headersOf(properties),
    }
    this.#waiting.push(delivery)
    this.#held.set(delivery, delivery)
    this.#heldBytes += body.length
    this.#measure()
    this.#arrived()
  }

  #forget(message: SourceMessage): void {
    if (this.#held.delete(message)) this.#heldBytes -= message.size
  }

  #measure(): void {
    this.#gate.isShut = !this.lost.aborted && this.#heldBytes >= this.#options.prefetch.bytes
  }

  #arrival(signal: AbortSignal): Promise<void> {
    if (signal.aborted || this.lost.aborted) return Promise.resolve()
    return new Promise((resolve) => {
      const end = (): void => {
        clearTimeout(timer)
        signal.removeEventListener('abort', end)
        this.#arrived = () => undefined
        resolve()
      }
      const timer = setTimeout(end, pullMs)
      signal.addEventListener('abort', end, { once: true })
      this.#arrived = end
    })
  }

  /** It throws when the channel is closing or gone. */
  async #closeChannel(): Promise<void> {
    await this.#channel.close()
  }

  #lose(error: unknown): void {
    this.#end(error)
    void this.#link.close()
  }

  #end(error: unknown): void {
    if (this.lost.aborted) return
    const { broker } = this.#options
    this.#lost.abort(isErrandError(error) ? error : unavailable(broker, error))
    this.#waiting = []
    this.#gate.isShut = false
    this.#gate.end()
    this.#arrived()
  }
}
