/** NATS JetStream as a source of jobs. */
import { toMs, type Duration } from '../../core/duration.ts'
import { refuseUnknownKeys } from '../../core/option-keys.ts'
import { readText, refuseValue } from '../../core/read.ts'
import { readSource, sourceOptionKeys } from '../settings.ts'
import type { Source, SourceOptions } from '../source.ts'
import { openConnection, type ConnectOptions } from './connection.ts'

/** What `nats()` takes. */
export interface NatsOptions extends SourceOptions {
  /** The stream that messages come from. It must be there. */
  readonly stream: string
  /** For the client's `connect()`: servers, credentials, TLS. Default: the server of this machine. */
  readonly client?: ConnectOptions
  /** The durable consumer that all processes share; made when it is missing, used as it is when it is there. Default `'errand'`. */
  readonly consumer?: string
  /** For how long a message is given to nobody else when this process dies, where the consumer is made. 1 s to 12 h, default 30 s. */
  readonly ackWait?: Duration
  /** Stands in health, events and identities. Default `'nats'`; needed when an app has two. */
  readonly name?: string
}

const ownKeys = ['stream', 'client', 'consumer', 'ackWait', 'name'] as const
const defaults = { name: 'nats', consumer: 'errand', ackWaitMs: 30_000 } as const
const ackWaitBounds = { leastMs: 1_000, mostMs: 12 * 3_600_000 } as const
/** What JetStream takes for names of streams and consumers. */
const plainName = /^[^\s.*>/\\]{1,255}$/

/**
 * Makes a source of the messages of a stream, for `createErrand({ sources })`. Opens nothing. Throws `invalid-option`; a missing
 * `@nats-io/jetstream` or `@nats-io/transport-node` shows when it connects.
 *
 * @example
 * createErrand({ store, tasks, sources: [nats({ stream: 'JOBS', client: { servers: 'nats://localhost:4222' } })] })
 */
export function nats(options: NatsOptions): Source {
  const where = 'nats()'
  refuseUnknownKeys(options, [...ownKeys, ...sourceOptionKeys], where)
  const { stream, client = {}, consumer = defaults.consumer, ...named } = options
  const { name = defaults.name, ackWait = defaults.ackWaitMs, ...rest } = named
  const ackWaitMs = toMs(ackWait, `${where}.ackWait`)
  if (ackWaitMs < ackWaitBounds.leastMs || ackWaitMs > ackWaitBounds.mostMs)
    refuseValue(`${where}.ackWait`, 'a duration from 1 s to 12 h', ackWait)
  const knowsByBody = rest.identity === 'hash'
  for (const [key, value] of Object.entries({ stream, consumer })) {
    readText(value, `${where}.${key}`)
    if (!plainName.test(value))
      refuseValue(`${where}.${key}`, 'a name without spaces, dots, slashes, * and >', value)
  }
  if (typeof client !== 'object' || client === null)
    refuseValue(`${where}.client`, "an object such as { servers: 'nats://localhost:4222' }", {})
  const source: Source = {
    ...rest,
    name,
    connect: (signal) =>
      openConnection({ client, stream, consumer, ackWaitMs, knowsByBody }, signal),
  }
  readSource(source, where)
  return source
}
