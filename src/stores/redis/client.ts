/** What is used of a Redis client: the shape of ioredis and its likes, single server or cluster. */
import type * as ioredis from 'ioredis'
import { missingPeer } from '../missing-peer.ts'

/** A client of ioredis, or one that has its shape, such as iovalkey. */
export interface RedisClient {
  readonly status: string
  readonly isCluster?: boolean
  /** The socket, while there is one. */
  readonly stream?: { unref?(): unknown }
  evalsha(digest: string, keys: number, ...args: string[]): Promise<unknown>
  eval(text: string, keys: number, ...args: string[]): Promise<unknown>
  info(section: string): Promise<string>
  config(command: 'GET', name: string): Promise<unknown>
  publish(channel: string, message: string): Promise<number>
  subscribe(channel: string): Promise<unknown>
  unsubscribe(channel: string): Promise<unknown>
  duplicate(override?: { readonly autoResubscribe: boolean }): RedisClient
  connect(): Promise<unknown>
  disconnect(): void
  once(event: string, listener: (...args: never[]) => void): unknown
  on(event: string, listener: (...args: never[]) => void): unknown
  off(event: string, listener: (...args: never[]) => void): unknown
}

/** How long a call waits for its answer before it is given up. */
export const callDeadlineMs = 30_000
/** A call that finds no connection waits for so many attempts to connect, about a second and a half. */
const attempts = 5
/** Between two attempts; renewals must come back before others may take the silence for a death. */
const longestRetryMs = 500

const options = {
  lazyConnect: true,
  maxRetriesPerRequest: attempts,
  commandTimeout: callDeadlineMs,
  retryStrategy: (times: number): number =>
    Math.min(longestRetryMs, 50 * 2 ** (times - 1)) * (0.75 + Math.random() / 2),
}

/** Makes a client of our own. Several URLs name nodes of a cluster. Rejects with `missing-peer` when ioredis is not installed. */
export async function makeClient(urls: readonly string[]): Promise<RedisClient> {
  const { Redis, Cluster } = await loadPeer()
  const [url = ''] = urls
  if (urls.length === 1) return new Redis(url, options) as unknown as RedisClient
  const { username, password, protocol } = new URL(url)
  const redisOptions = {
    commandTimeout: callDeadlineMs,
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
    clusterRetryStrategy: options.retryStrategy,
    retryDelayOnFailover: 100,
  }) as unknown as RedisClient
  subscribeLate(cluster)
  return cluster
}

/** The part of a cluster of ioredis that keeps a connection for subscriptions. */
interface Subscriber {
  start: () => void
  readonly isStarted: () => boolean
}

const starts = new WeakMap<RedisClient, () => void>()

/**
 * ioredis gives each cluster a connection for subscriptions, used or not, on a node of its choice. With one in the process and one in
 * the thread that renews leases there may be four to a node; so it is made when somebody subscribes.
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

async function loadPeer(): Promise<Pick<typeof ioredis, 'Redis' | 'Cluster'>> {
  try {
    return await import('ioredis')
  } catch (cause) {
    throw missingPeer('errand/redis', 'ioredis', cause)
  }
}

/** Keeps a client of our own from keeping the process alive: calls under way do so by their deadlines. */
export function letProcessEnd(client: RedisClient): void {
  if (client.isCluster === true) {
    client.on('+node', (node: RedisClient) => letProcessEnd(node))
    return
  }
  client.on('connect', () => client.stream?.unref?.())
}

/** Whether a value is a client that we can use. */
export function isClient(value: unknown): value is RedisClient {
  if (typeof value !== 'object' || value === null) return false
  return ['evalsha', 'eval', 'publish', 'subscribe', 'duplicate', 'on'].every(
    (name) => typeof (value as Record<string, unknown>)[name] === 'function',
  )
}
