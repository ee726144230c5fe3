/** What is used of a Redis client: the shape of ioredis and its likes, single server or cluster. */
import type * as ioredis from 'ioredis'
import { ErrandError } from '../../core/errors.ts'

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
  duplicate(): RedisClient
  disconnect(): void
  on(event: string, listener: (...args: never[]) => void): unknown
  off(event: string, listener: (...args: never[]) => void): unknown
}

/** How long a call waits for its answer before it is given up. */
const callDeadlineMs = 30_000
/** A call that finds no connection waits for so many attempts to connect, about a second and a half. */
const attempts = 5

const options = {
  lazyConnect: true,
  maxRetriesPerRequest: attempts,
  commandTimeout: callDeadlineMs,
  retryStrategy: (times: number): number =>
    Math.min(2_000, 50 * 2 ** (times - 1)) * (0.75 + Math.random() / 2),
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
  return new Cluster(nodes, {
    lazyConnect: true,
    redisOptions,
    clusterRetryStrategy: options.retryStrategy,
    retryDelayOnFailover: 100,
  }) as unknown as RedisClient
}

async function loadPeer(): Promise<Pick<typeof ioredis, 'Redis' | 'Cluster'>> {
  try {
    return await import('ioredis')
  } catch (error) {
    throw new ErrandError(
      'missing-peer',
      'errand/redis needs the package ioredis: npm install ioredis',
      { cause: error },
    )
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
