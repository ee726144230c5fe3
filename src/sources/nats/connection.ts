/** One connection to NATS: what comes from a stream of JetStream, and what becomes of it. */
import type * as JetStream from '@nats-io/jetstream'
import type { Consumer, ConsumerMessages, JetStreamManager, JsMsg } from '@nats-io/jetstream'
import type * as Transport from '@nats-io/transport-node'
import type { NatsConnection, NodeConnectionOptions } from '@nats-io/transport-node'
import { ErrandError } from '../../core/errors.ts'
import { missingPeer } from '../../core/missing-peer.ts'
import { clearInterval, performance, setInterval } from '../../core/timers.ts'
import { briefly } from '../patience.ts'
import type { SourceConnection, SourceMessage, SourceRoom } from '../source.ts'

/** What the client's `connect()` takes. */
export type ConnectOptions = NodeConnectionOptions

export interface Place {
  readonly client: ConnectOptions
  readonly stream: string
  readonly consumer: string
  /** For how long JetStream gives a message to nobody else, in ms, where the consumer is made. */
  readonly ackWaitMs: number
  /** Whether messages without an id of their sender's count as repeats when their bodies are equal. */
  readonly knowsByBody: boolean
}

const bounds = {
  connectMs: 10_000,
  /** One request for messages. */
  fetchMs: 5_000,
  fetchMessages: 200,
  /** How long JetStream may take to confirm. */
  confirmMs: 5_000,
  closeMs: 4_000,
} as const

/** A consumer that hardly waits is not asked for more all the time. */
const leastHoldMs = 100

/** Options of the client: its connections do not reconnect, since the source makes a new one. */
const client = { reconnect: false, timeout: bounds.connectMs, pingInterval: 5_000, maxPingOut: 2 }

interface Peers {
  readonly transport: typeof Transport
  readonly jetstream: typeof JetStream
}

/** Connects, and makes the consumer if it is missing. Rejects with `missing-peer`, `server-unavailable` and `server-refused`. */
export async function openConnection(place: Place, signal: AbortSignal): Promise<SourceConnection> {
  const peers = await load()
  signal.throwIfAborted()
  const what = `JetStream stream ${place.stream}`
  const connection = await peers.transport
    .connect({ ...client, ...place.client, name: 'errand' })
    .catch((cause: unknown) => {
      throw errorOf(`NATS for ${what}`, 'server-unavailable', cause)
    })
  try {
    signal.throwIfAborted()
    const manager = await peers.jetstream.jetstreamManager(connection)
    const { created } = await manager.streams.info(place.stream)
    const consumer = await consumerOf(peers, manager, connection, place)
    const { ack_wait: nanos = 0 } = (await consumer.info(true)).config
    const ackWaitMs = peers.transport.millis(nanos)
    const opened = { peers, manager, connection, consumer, place, created, ackWaitMs }
    return new NatsSourceConnection(opened)
  } catch (error) {
    await briefly(connection.close(), bounds.closeMs)
    signal.throwIfAborted()
    throw errorOf(what, 'server-refused', error)
  }
}

async function consumerOf(
  { jetstream, transport }: Peers,
  manager: JetStreamManager,
  connection: NatsConnection,
  { stream, consumer, ackWaitMs }: Place,
): Promise<Consumer> {
  const isThere = await manager.consumers.info(stream, consumer).then(
    () => true,
    (error: unknown) => {
      if (isCode(error, jetstream.JetStreamApiCodes.ConsumerNotFound)) return false
      throw error
    },
  )
  if (!isThere) {
    await manager.consumers.add(stream, {
      durable_name: consumer,
      ack_policy: jetstream.AckPolicy.Explicit,
      deliver_policy: jetstream.DeliverPolicy.All,
      ack_wait: transport.nanos(ackWaitMs),
      max_ack_pending: 10_000,
      max_deliver: -1,
    })
  }
  return jetstream.jetstream(connection).consumers.get(stream, consumer)
}

interface Opened {
  readonly peers: Peers
  readonly manager: JetStreamManager
  readonly connection: NatsConnection
  readonly consumer: Consumer
  readonly place: Place
  /** When the stream was made: another one of the same name starts its numbers again. */
  readonly created: string
  /** That of the consumer, however it was made. */
  readonly ackWaitMs: number
}

class NatsSourceConnection implements SourceConnection {
  readonly lost: AbortSignal
  readonly #lost = new AbortController()
  readonly #opened: Opened
  readonly #held = new Map<SourceMessage, JsMsg>()
  readonly #inbox: SourceMessage[] = []
  readonly #timer: ReturnType<typeof setInterval>
  /** The longest message of the last request: JetStream takes a bound of messages or of bytes, not both. */
  #longest = 1_048_576
  #isFetching = false
  #fetching: ConsumerMessages | null = null
  /** When the last request ends at the server, by the machine's monotonic clock. */
  #fetchEndsAt = 0
  #event = Promise.withResolvers<void>()
  #closed: Promise<void> | null = null

  constructor(opened: Opened) {
    this.lost = this.#lost.signal
    this.#opened = opened
    this.#timer = setInterval(
      () => this.#holdOn(),
      Math.max(leastHoldMs, opened.ackWaitMs / 3),
    ).unref()
    this.lost.addEventListener('abort', () => {
      clearInterval(this.#timer)
      this.#wake()
    })
    void opened.connection
      .closed()
      .then((error) => this.#lost.abort(error ?? new Error('the connection was closed')))
  }

  async pull(room: Required<SourceRoom>, signal: AbortSignal): Promise<readonly SourceMessage[]> {
    if (this.#inbox.length === 0) {
      this.#fetch(room)
      await this.#anything(signal)
    }
    this.lost.throwIfAborted()
    return this.#take(room)
  }

  async acknowledge(messages: readonly SourceMessage[]): Promise<void> {
    this.lost.throwIfAborted()
    const heard = await Promise.all(
      messages.map(
        async (message) =>
          (await this.#held.get(message)?.ackAck({ timeout: bounds.confirmMs })) ?? true,
      ),
    ).catch((error: unknown) => {
      throw errorOf(this.#what, 'server-unavailable', error)
    })
    for (const message of messages) this.#held.delete(message)
    if (heard.every(Boolean)) return
    throw new ErrandError(
      'server-unavailable',
      `${this.#what} has not confirmed an acknowledgement.`,
    )
  }

  /** Not before the request under way has ended at the server, or one that nobody waits for any more would take them. */
  async giveBack(messages: readonly SourceMessage[]): Promise<void> {
    const ms = Math.max(0, this.#fetchEndsAt - performance.now())
    for (const message of messages) {
      this.#held.get(message)?.nak(Math.ceil(ms) + 1)
      this.#held.delete(message)
    }
    await this.#opened.connection.flush()
  }

  async setAside(message: SourceMessage): Promise<string> {
    const { peers, manager, connection, place } = this.#opened
    const name = `${place.stream}_parked`
    const subject = `errand.parked.${place.stream}`
    await manager.streams.info(name).catch(async (error: unknown) => {
      if (!isCode(error, peers.jetstream.JetStreamApiCodes.StreamNotFound)) throw error
      await manager.streams.add({ name, subjects: [subject] })
    })
    const headers = peers.transport.headers()
    // Those of JetStream's own say what was expected of the other stream.
    for (const [name, value] of Object.entries(message.headers))
      if (!/^Nats-/i.test(name)) headers.set(name, value)
    const { seq } = await peers.jetstream.jetstream(connection).publish(subject, message.body, {
      timeout: bounds.confirmMs,
      msgID: `${place.stream}-${this.#held.get(message)?.seq}`,
      headers,
    })
    return `JetStream stream ${name}, sequence ${seq}`
  }

  close(): Promise<void> {
    return (this.#closed ??= this.#close())
  }

  async #close(): Promise<void> {
    const { connection } = this.#opened
    // A request that goes on would get what is given back.
    const give = async (): Promise<void> => {
      await this.#fetching?.close()
      await this.giveBack([...this.#held.keys()])
    }
    if (!this.lost.aborted) await briefly(give(), bounds.closeMs / 2)
    this.#lost.abort(new ErrandError('closed', 'The connection to NATS is closed.'))
    await briefly(connection.close(), bounds.closeMs / 2)
  }

  get #what(): string {
    return `JetStream stream ${this.#opened.place.stream}`
  }

  #fetch(room: Required<SourceRoom>): void {
    if (this.#isFetching || this.lost.aborted) return
    this.#isFetching = true
    void this.#receive(room)
      .catch((error: unknown) => this.#lost.abort(errorOf(this.#what, 'server-unavailable', error)))
      .finally(() => {
        this.#isFetching = false
        this.#wake()
      })
  }

  async #receive(room: Required<SourceRoom>): Promise<void> {
    const fitting = Math.floor(room.bytes / this.#longest)
    const most = Math.min(room.messages, Math.max(1, fitting), bounds.fetchMessages)
    const expires = Math.max(1_000, Math.min(bounds.fetchMs, this.#opened.ackWaitMs))
    this.#fetchEndsAt = performance.now() + expires
    const messages = await this.#opened.consumer.fetch({ max_messages: most, expires })
    this.#fetching = messages
    let longest = 1
    for await (const came of messages) {
      if (this.lost.aborted) return
      this.#longest = longest = Math.max(longest, came.data.length)
      this.#inbox.push(this.#hold(came))
      this.#wake()
    }
  }

  #hold(came: JsMsg): SourceMessage {
    const { place, created } = this.#opened
    const headers: Record<string, string> = {}
    for (const name of came.headers?.keys() ?? []) headers[name] = came.headers?.get(name) ?? ''
    if (came.info.deliveryCount > 1) headers['receive-count'] = String(came.info.deliveryCount)
    const message: SourceMessage = {
      queue: place.stream,
      id: place.knowsByBody ? null : `${created}-${came.seq}`,
      body: came.data,
      size: came.data.length,
      headers,
    }
    this.#held.set(message, came)
    return message
  }

  #holdOn(): void {
    for (const came of this.#held.values()) came.working()
  }

  #wake(): void {
    this.#event.resolve()
    this.#event = Promise.withResolvers()
  }

  async #anything(signal: AbortSignal): Promise<void> {
    if (signal.aborted || this.lost.aborted) return
    const { promise } = this.#event
    const wake = (): void => this.#wake()
    signal.addEventListener('abort', wake)
    await promise
    signal.removeEventListener('abort', wake)
  }

  /** From the inbox as much as there is room for; at least one message. */
  #take(room: Required<SourceRoom>): readonly SourceMessage[] {
    let bytes = 0
    let count = 0
    for (const { size } of this.#inbox) {
      bytes += size
      if (count >= room.messages || (count > 0 && bytes > room.bytes)) break
      count++
    }
    return this.#inbox.splice(0, count)
  }
}

async function load(): Promise<Peers> {
  const transport = await import('@nats-io/transport-node').catch((cause: unknown) => {
    throw missingPeer('errand/nats', '@nats-io/transport-node', cause)
  })
  const jetstream = await import('@nats-io/jetstream').catch((cause: unknown) => {
    throw missingPeer('errand/nats', '@nats-io/jetstream', cause)
  })
  return { transport, jetstream }
}

/** Whether JetStream answered with this code. */
function isCode(error: unknown, code: number): boolean {
  return (error as { readonly code?: unknown } | null)?.code === code
}

function errorOf(
  what: string,
  code: 'server-unavailable' | 'server-refused',
  cause: unknown,
): ErrandError {
  const words = cause instanceof Error ? cause.message : String(cause)
  return new ErrandError(code, `${what}: ${words}`, { cause })
}
