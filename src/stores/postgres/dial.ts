/** Connects to the server, and asks it about a connection that is silent. */
import { setImmediate, setTimeout as sleep } from 'node:timers/promises'
import { nothing, send, type Deadline, type PgClient } from './connection.ts'
import { missingPeer } from '../../core/missing-peer.ts'
import { closedError, unreachedError } from './errors.ts'

/** A connection of the store's own. */
export interface OwnClient extends PgClient {
  connect(): Promise<unknown>
  end(): Promise<unknown>
  ref(): void
  unref(): void
  /** Of the server's process behind the connection, or what a pooler says in its place. */
  readonly processID: number | null
  /** Not there in clients of `pg-native`. */
  readonly connection?: {
    readonly stream: { destroy(): void; readonly bytesRead: number }
  }
}

/** How long a server may take to let somebody in. */
const connectMs = 10_000

/**
 * An attempt to connect of which nothing is heard for so long is joined by another one, and the first to succeed is taken: when the
 * network is well again, an attempt that was begun before would still lie in its silence.
 */
const joinMs = 2_000

/** The class of clients of `pg`. */
type ClientClass = new (config: object) => OwnClient

/** Loads `pg`. Throws `missing-peer` when it is not installed. */
export async function ownClient(): Promise<ClientClass> {
  try {
    return ((await import('pg')) as unknown as { readonly Client: ClientClass }).Client
  } catch (cause) {
    throw missingPeer('errand/postgres', 'pg', cause)
  }
}

/** Connects; rejects when it takes too long, or the signal aborts. */
export async function dial(
  clientClass: () => Promise<ClientClass>,
  config: object,
  { ms, location }: Deadline,
  signal: AbortSignal,
): Promise<OwnClient> {
  const Client = await clientClass()
  if (signal.aborted) throw closedError(location)
  const { promise: first, resolve, reject } = Promise.withResolvers<OwnClient>()
  const attempts: OwnClient[] = []
  const attempt = (): void => {
    const client = new Client(config)
    attempts.push(client)
    client.on('error', nothing)
    client.connect().then(() => resolve(client), reject)
  }
  const withinMs = Math.min(ms, connectMs)
  const late = setTimeout(() => reject(unreachedError(location, withinMs)), withinMs)
  const join = setInterval(attempt, joinMs)
  const close = (): void => reject(closedError(location))
  signal.addEventListener('abort', close)
  let taken: OwnClient | null = null
  try {
    attempt()
    taken = await first
    return taken
  } finally {
    clearTimeout(late)
    clearInterval(join)
    signal.removeEventListener('abort', close)
    for (const client of attempts) if (client !== taken) cut(client)
  }
}

/** The process that serves this connection, and whether another one is at work. Walks a view of the server. */
const LOOK = `SELECT pg_backend_pid(), EXISTS (SELECT FROM pg_stat_activity WHERE pid = $1 AND state <> 'idle')`

/** What was sent before a question needs so long at most to arrive after it, in either direction. */
const arrivalMs = 1_000

/**
 * Whether a connection whose statement is not answered is lost: the server, asked twice on another connection, is not at work for it,
 * and nothing of an answer arrives. Rejects when the server cannot be asked. Through a pooler it cannot be told, and counts as not lost.
 */
export async function isLost(
  silent: OwnClient,
  open: () => Promise<OwnClient>,
  deadline: Deadline,
): Promise<boolean> {
  const stream = silent.connection?.stream
  const heard = stream?.bytesRead
  const asking = await open()
  const isAtWork = async (): Promise<boolean> => {
    const asked = send(asking, { text: LOOK, values: [silent.processID] })
    const withinMs = Math.min(deadline.ms, connectMs)
    const [[pid, atWork] = []] = await deadline.of(asked, () => cut(asking), withinMs)
    return pid !== asking.processID || atWork === true
  }
  try {
    if (await isAtWork()) return false
    await sleep(arrivalMs, undefined, { ref: false })
    if (await isAtWork()) return false
    // A process that stood still reads what has arrived before this resolves.
    await setImmediate()
    return stream?.bytesRead === heard
  } finally {
    void hangUp(asking)
  }
}

/** Ends a connection at once. */
export function cut(client: OwnClient): void {
  client.connection?.stream.destroy()
}

/** Ends a connection: politely, if that takes no longer than a moment. */
export async function hangUp(client: OwnClient): Promise<void> {
  client.ref()
  const timer = setTimeout(() => cut(client), 1_000)
  await client.end().catch(nothing)
  clearTimeout(timer)
}
