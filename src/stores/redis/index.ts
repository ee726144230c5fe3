/** `errand/redis`: jobs in Redis or Valkey, on one server or a cluster. */
import { ErrandError } from '../../core/errors.ts'
import { refuseUnknownKeys } from '../../core/nearest.ts'
import { ownModule } from '../../core/own-module.ts'
import type { Store } from '../../store.ts'
import { isClient, type RedisClient } from './client.ts'
import type { Target } from './connection.ts'
import { mostPartitions } from './partition.ts'
import { redisStore } from './store.ts'

export type { RedisClient }

export interface RedisOptions {
  /** With what the names of all keys begin, as `{prefix:0}:`. Default `'errand'`. */
  readonly prefix?: string
  /**
   * Into how many partitions the jobs are divided, 1 to 64. Each lies on one node of a cluster, and order holds within it. With several,
   * an id that is inserted again is known again if it comes with the same unique key and needs. The number is fixed once the store is
   * in use. Default 1.
   */
  readonly partitions?: number
  /**
   * For tests: reads the time from the key `{prefix:p}:clock` of each partition, `=1764000000000` for a time that stands still, or
   * `60000` for milliseconds ahead of the server. Default false.
   */
  readonly testClock?: boolean
}

/**
 * A store on Redis 7 or Valkey 8. Give it a URL (`redis://`, `rediss://`), the URLs of several nodes of a cluster, or a client of ioredis,
 * `Redis` or `Cluster`, which is used for calls and never closed or configured; a cluster's own connection for subscriptions is
 * used, for a single server one is made by `duplicate()`. Nothing is opened before the first call.
 *
 * Throws `invalid-option`. Calls reject with `missing-peer` when `ioredis` is needed and not installed.
 */
export function redis(
  target: string | readonly string[] | RedisClient,
  options: RedisOptions = {},
): Store {
  refuseUnknownKeys(options, ['prefix', 'partitions', 'testClock'], 'redis()')
  const { prefix = 'errand', partitions = 1, testClock = false } = options
  if (prefix === '' || /[{}\s]/.test(prefix)) {
    throw new ErrandError(
      'invalid-option',
      `redis().prefix must be a text without braces and spaces, not ${JSON.stringify(prefix)}`,
    )
  }
  if (!Number.isInteger(partitions) || partitions < 1 || partitions > mostPartitions) {
    throw new ErrandError(
      'invalid-option',
      `redis().partitions must be a whole number from 1 to ${mostPartitions}, not ${String(partitions)}`,
    )
  }
  const given = { prefix, partitions, testClock }
  if (isClient(target)) {
    const own: Target = { kind: 'client', client: target }
    return redisStore({ ...given, target: own, location: locationOf(target) }, null)
  }
  const urls = typeof target === 'string' ? [target] : [...target]
  const location = urls.map(shownUrl).join(', ')
  const argument: Argument = { urls, ...given }
  const connector = { module: ownModule('stores/redis/index'), argument }
  return redisStore({ ...given, target: { kind: 'urls', urls }, location }, connector)
}

interface Argument extends Required<RedisOptions> {
  readonly urls: readonly string[]
}

/** Opens the same store again, in a thread or another process: see `Connector`. */
export function connect(argument: unknown): Store {
  const { urls, ...options } = argument as Argument
  return redis(urls, options)
}

/** A URL without its password. Throws `invalid-option` for what is none. */
function shownUrl(text: string): string {
  const url = URL.parse(text)
  if (url === null || !['redis:', 'rediss:'].includes(url.protocol) || url.hostname === '') {
    const shown = text.replace(/\/\/[^@/]*@/, '//…@')
    throw new ErrandError(
      'invalid-option',
      `redis() needs a URL such as redis://localhost:6379, not ${JSON.stringify(shown)}`,
    )
  }
  return `${url.host}${url.pathname === '/' ? '' : url.pathname}`
}

function locationOf(client: RedisClient): string {
  if (client.isCluster === true) return 'the given cluster'
  const { options } = client as {
    readonly options?: { readonly host?: string; readonly port?: number }
  }
  return options?.host === undefined
    ? 'the given client'
    : `${options.host}:${options.port ?? 6_379}`
}
