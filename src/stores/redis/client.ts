/** What is used of a Redis client: the shape of ioredis and its likes, single server or cluster. */
import type * as ioredis from 'ioredis'
import { missingPeer } from '../../core/missing-peer.ts'
import { clearTimeout, setTimeout } from '../../core/timers.ts'

/** A client of ioredis, or one that has its shape, such as iovalkey. */
export interface RedisClient {
  readonly status: string
  readonly isCluster?: boolean
  /** The socket, while there is one. */
  readonly stream?: {
    readonly destroyed?: boolean
    readonly bytesRead?: number
    unref?(): unknown
    destroy?(): unknown
  }
  /** Calls that were sent and have no answer yet. */
  readonly commandQueue?: { readonly length: number }
  evalsha(digest: string, keys: number, ...args: string[]): Promise<unknown>
  eval(text: string, keys: number, ...args: string[]): Promise<unknown>
  info(section: string): Promise<string>
  config(command: 'GET', name: string): Promise<unknown>
  publish(channel: string, message: string): Promise<number>
  subscribe(channel: string): Promise<unknown>
  unsubscribe(channel: string): Promise<unknown>
  duplicate(override?: object): RedisClient
  /** Sent by a cluster before a call that it redirects. */
  asking?: () => Promise<unknown>
  /** Of a cluster: the clients of its nodes. */
  nodes?(): RedisClient[]
  connect(): Promise<unknown>
  disconnect(): void
  once(event: string, listener: (...args: never[]) => void): unknown
  on(event: string, listener: (...args: never[]) => void): unknown
  off(event: string, listener: (...args: never[]) => void): unknown
}

/**
 * Between two attempts to connect; renewals must come back before others may take the silence for a
 * death.
 */
const longestRetryMs = 500
/**
 * How long an attempt to connect may take: soon after the server can be reached again, there is
 * another one.
 */
const connectMs = 2_500

const connecting = {
  lazyConnect: true,
  connectTimeout: connectMs,
  // There is nothing left to say to a connection that is given up.
  disconnectTimeout: 100,
} as const

const retryStrategy = (times: number): number =>
  Math.min(longestRetryMs, 50 * 2 ** Math.min(times - 1, 10)) * (0.75 + Math.random() / 2)

/**
 * Options of connections of our own. They keep no queue: what cannot be sent or loses its
 * connection is rejected at once, and sent again by the call that still waits for it, so that
 * nothing is carried out that was given up.
 */
export const ownOptions: Readonly<Record<string, unknown>> = {
  ...connecting,
  retryStrategy,
  enableOfflineQueue: false,
  autoResendUnfulfilledCommands: false,
  maxRetriesPerRequest: 0,
  // It would subscribe again by a call that nobody waits for, whose failure ends the process; we do
  // so ourselves.
  autoResubscribe: false,
} as const

/**
 * Makes a client of our own. Several URLs name nodes of a cluster. Rejects with `missing-peer` when
 * ioredis is not installed.
 */
export async function makeClient(urls: readonly string[]): Promise<RedisClient> {
  const { Redis, Cluster } = await loadPeer()
  const [url = ''] = urls
  if (urls.length === 1) return new Redis(url, ownOptions) as unknown as RedisClient
  const { username, password, protocol } = new URL(url)
  const redisOptions = {
    ...connecting,
    ...(username === '' ? {} : { username: decodeURIComponent(username) }),
    ...(password === '' ? {} : { password: decodeURIComponent(password) }),
    ...(protocol === 'rediss:' ? { tls: {} } : {}),
  }
  const nodes = urls.map((node) => {
    const { hostname, port } = new URL(node)
    return { host: hostname.replace(/^\[(.*)\]$/, '$1'), port: Number(port || 6_379) }
  })
  const cluster = new Cluster(nodes, {
    lazyConnect: true,
    redisOptions,
    enableOfflineQueue: false,
    clusterRetryStrategy: retryStrategy,
    retryDelayOnFailover: 100,
  }) as unknown as RedisClient
  subscribeLate(cluster)
  return cluster
}

/** The part of a cluster of ioredis that keeps a connection for subscriptions. */
interface Subscriber {
  start: () => void
  readonly isStarted: () => boolean
  readonly getInstance: () => RedisClient | null
}

const starts = new WeakMap<RedisClient, () => void>()

/**
 * ioredis gives each cluster a connection for subscriptions, used or not, on a node of its choice.
 * With one in the process and one in the thread that renews leases there may be four to a node; so
 * it is made when somebody subscribes.
 */
function subscribeLate(cluster: RedisClient): void {
  const { subscriber } = cluster as { readonly subscriber?: Partial<Subscriber> }
  if (typeof subscriber?.start !== 'function' || typeof subscriber.isStarted !== 'function') return
  const start = subscriber.start.bind(subscriber)
  const isStarted = subscriber.isStarted.bind(subscriber)
  let isWanted = false
  subscriber.start = () => {
    if (isWanted) start()
  }
  starts.set(cluster, () => {
    isWanted = true
    const isConnected = cluster.status === 'connect' || cluster.status === 'ready'
    if (isConnected && !isStarted()) start()
  })
}

/** To be called before a client subscribes. */
export function willSubscribe(client: RedisClient): void {
  starts.get(client)?.()
}

/** The client with which a cluster listens; null while there is none. */
export function subscriberOf(cluster: RedisClient): RedisClient | null {
  const { subscriber } = cluster as { readonly subscriber?: Partial<Subscriber> }
  return subscriber?.getInstance?.() ?? null
}

async function loadPeer(): Promise<Pick<typeof ioredis, 'Redis' | 'Cluster'>> {
  try {
    return await import('ioredis')
  } catch (cause) {
    throw missingPeer('errand/redis', 'ioredis', cause)
  }
}

/**
 * Does what ioredis does not for a client of our own: keeps it from keeping the process alive,
 * since calls under way do so by their deadlines, and ends a connection that is made but not ready
 * in time.
 */
export function tend(client: RedisClient): void {
  if (client.isCluster === true) {
    client.on('+node', (node: RedisClient) => {
      letAskingFail(node)
      tend(node)
    })
    return
  }
  client.on('connect', () => {
    const { stream } = client
    stream?.unref?.()
    const timer = setTimeout(() => stream?.destroy?.(), connectMs)
    timer.unref()
    const done = (): void => {
      clearTimeout(timer)
      client.off('ready', done)
      client.off('close', done)
    }
    client.on('ready', done)
    client.on('close', done)
  })
}

/**
 * While a slot moves, ioredis sends ASKING before a call and waits for the call alone. When it drops the node meanwhile, as it
 * does to one that has no slot yet, ASKING fails unheard, which ends the process; the call after it fails too, and is heard.
 */
function letAskingFail(node: RedisClient): void {
  const asking = node.asking?.bind(node)
  if (asking !== undefined) node.asking = () => asking().catch(() => {})
}

/** Whether a call can be sent now. */
export function isReady(client: RedisClient): boolean {
  return client.status === 'ready' && client.stream?.destroyed !== true
}

/** Whether a value is a client that we can use. */
export function isClient(value: unknown): value is RedisClient {
  if (typeof value !== 'object' || value === null) return false
  return ['evalsha', 'eval', 'publish', 'subscribe', 'duplicate', 'on'].every(
    (name) => typeof (value as Record<string, unknown>)[name] === 'function',
  )
}
