/** A connection to RabbitMQ: how one is opened, and how it ends. */
import type * as amqplib from 'amqplib'
import type { ChannelModel } from 'amqplib'
import { ErrandError } from '../../core/errors.ts'
import { messageOf } from '../../core/kept-error.ts'
import { missingPeer } from '../../core/missing-peer.ts'
import { maybeUnset } from '../../core/shown.ts'
import { briefly, within } from '../patience.ts'

/** Of every connection. */
export const linkBounds = {
  /** The broker is given up when it is silent for two to three of these. */
  heartbeatSeconds: 10,
  connectMs: 15_000,
  closeMs: 2_000,
} as const

/** Where a broker is, read. */
export interface Broker {
  readonly url: string
  /** Without user and password. */
  readonly location: string
  readonly heartbeatSeconds: number
}

/** Reads the URL of a broker. Throws `invalid-option`, and shows no password. */
export function readBroker(url: unknown, where: string): Broker {
  const read = typeof url === 'string' ? URL.parse(url) : null
  if (read === null || !['amqp:', 'amqps:'].includes(read.protocol) || read.hostname === '') {
    throw new ErrandError(
      'invalid-option',
      `${where}.url must be like amqp://user:password@host:5672/vhost${maybeUnset(url)}`,
    )
  }
  const given = Number(read.searchParams.get('heartbeat'))
  const heartbeatSeconds = given > 0 ? given : linkBounds.heartbeatSeconds
  read.searchParams.set('heartbeat', String(heartbeatSeconds))
  const location = `${read.protocol}//${read.host}${read.pathname === '/' ? '' : read.pathname}`
  return { url: read.href, location, heartbeatSeconds }
}

/** An open connection. */
export interface Link {
  readonly model: ChannelModel
  /** Aborts when it is lost or closed, with the error as its reason. */
  readonly lost: AbortSignal
  /** Ends it. Resolves within two seconds, whatever the broker does. */
  close(): Promise<void>
}

/** Connects, under a name that the broker's own tools show. Rejects with `server-unavailable`, `missing-peer` and `closed`. */
export async function openLink(broker: Broker, name: string, signal?: AbortSignal): Promise<Link> {
  const { connect } = await loadPeer()
  const connecting = connect(broker.url, {
    timeout: linkBounds.connectMs,
    noDelay: true,
    keepAlive: true,
    clientProperties: { connection_name: name },
  }).then(linkOf, (error: unknown) => {
    throw unavailable(broker, error)
  })
  const late = (): ErrandError =>
    signal?.aborted
      ? new ErrandError('closed', 'The connection to RabbitMQ is not needed any more.')
      : unavailable(broker, 'it does not answer')
  try {
    return await within(connecting, linkBounds.connectMs + 1_000, late, signal)
  } catch (error) {
    // One that comes after all is not left open.
    connecting.then((link) => link.close()).catch(() => undefined)
    throw error
  }
}

function linkOf(model: ChannelModel): Link {
  const lost = new AbortController()
  const lose = (error: unknown): void => lost.abort(error)
  model.on('error', lose)
  model.on('close', (error) => lose(error ?? closed()))
  const { stream } = model.connection as { readonly stream?: { destroy?(error: Error): void } }
  let closing: Promise<void> | null = null
  const close = async (): Promise<void> => {
    await briefly(closeModel(model), linkBounds.closeMs)
    // A broker that is silent: amqplib ends its timers when it sees the socket fail.
    if (!lost.signal.aborted) stream?.destroy?.(closed())
    lose(closed())
  }
  return {
    model,
    lost: lost.signal,
    close: () => (closing ??= lost.signal.aborted ? Promise.resolve() : close()),
  }
}

/** It throws when the connection is closing or gone. */
async function closeModel(model: ChannelModel): Promise<void> {
  await model.close()
}

function closed(): ErrandError {
  return new ErrandError('closed', 'The connection is closed.')
}

async function loadPeer(): Promise<Pick<typeof amqplib, 'connect'>> {
  try {
    return await import('amqplib')
  } catch (cause) {
    throw missingPeer('RabbitMQ', 'amqplib', cause)
  }
}

/** The error of a broker that cannot be used now. */
export function unavailable({ location }: Broker, cause: unknown): ErrandError {
  const why = typeof cause === 'string' ? cause : messageOf(cause)
  return new ErrandError('server-unavailable', `RabbitMQ at ${location}: ${why}`, { cause })
}
