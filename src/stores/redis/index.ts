/** `errand/redis`: jobs in Redis or Valkey, on one server or a cluster. */
import { ErrandError } from '../../core/errors.ts'
import { refuseUnknownKeys } from '../../core/option-keys.ts'
import { ownModule } from '../../core/own-module.ts'
import { readFlag, refuseValue } from '../../core/read.ts'
import { encodeAdvice, isTorn, maybeUnset, shownUrl, shownValue } from '../../core/shown.ts'
import type { Store } from '../../store/store.ts'
import { isClient, type RedisClient } from './client.ts'
import type { Target } from './connection.ts'
import { mostPartitions } from './partitions/partition.ts'
import { redisStore } from './store.ts'

export type { RedisClient }

export interface RedisOptions {
  /** With what the names of all keys begin, as `{prefix:0}:`. Default `'errand'`. */
  readonly prefix?: string
  /**
   * Into how many partitions the jobs are divided, 1 to 64. Each lies on one node of a cluster, and
   * order holds within it. With several, an id that is inserted again is known again if it comes
   * with the same unique key, needs and advance. The number is fixed once the store is in use.
   * Default 1.
   */
  readonly partitions?: number
  /**
   * For tests: reads the time from the key `{prefix:p}:clock` of each partition, `=1764000000000`
   * for a time that stands still, or `60000` for milliseconds ahead of the server. Default false.
   */
  readonly testClock?: boolean
}

/**
 * A store on Redis 7 or Valkey 8. Give it a URL (`redis://`, `rediss://`), the URLs of several
 * nodes of a cluster, or a client of ioredis, `Redis` or `Cluster`, which is used for calls and
 * never closed or configured; a cluster's own connection for subscriptions is used, for a single
 * server one is made by `duplicate()`. Nothing is opened before the first call.
 *
 * Throws `invalid-option`. Calls reject with `missing-peer` when `ioredis` is needed and not
 * installed.
 */
export function redis(
  target: string | readonly string[] | RedisClient,
  options: RedisOptions = {},
): Store {
  refuseUnknownKeys(options, ['prefix', 'partitions', 'testClock'], 'redis()')
  const { prefix = 'errand', partitions = 1, testClock = false } = options
  if (typeof prefix !== 'string' || prefix === '' || /[{}\s]/.test(prefix))
    refuseValue('redis().prefix', 'a text without braces and spaces', prefix)
  if (!Number.isInteger(partitions) || partitions < 1 || partitions > mostPartitions)
    refuseValue('redis().partitions', `a whole number from 1 to ${mostPartitions}`, partitions)
  readFlag(testClock, 'redis().testClock')
  const given = { prefix, partitions, testClock }
  if (isClient(target)) {
    refuseUnfit(target)
    const own: Target = { kind: 'client', client: target }
    return redisStore({ ...given, target: own, location: locationOf(target) }, null)
  }
  const urls = readUrls(target)
  const location = urls.map(locationOfUrl).join(', ')
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

/**
 * What a client does to keys and answers by itself that the scripts know nothing of, and what to do
 * instead.
 */
const unfit = {
  keyPrefix:
    'the names of its keys would differ from those of other clients: take the option prefix of redis()',
  stringNumbers: 'its numbers would come as texts: make a client of its own for redis()',
} as const

function refuseUnfit(client: RedisClient): void {
  const { options = {} } = client as { readonly options?: ClientOptions }
  for (const [name, why] of Object.entries(unfit) as [keyof typeof unfit, string][]) {
    if (!options[name] && !options.redisOptions?.[name]) continue
    throw new ErrandError('invalid-option', `redis() cannot use a client with ${name}: ${why}.`)
  }
}

interface ClientOptions {
  readonly keyPrefix?: string
  readonly stringNumbers?: boolean
  /** Those of each node of a cluster. */
  readonly redisOptions?: Omit<ClientOptions, 'redisOptions'>
}

function readUrls(target: string | readonly string[]): readonly string[] {
  const urls: unknown[] = [target].flat()
  if (urls.length > 0 && urls.every((url) => typeof url === 'string' && url !== ''))
    return urls as string[]
  throw new ErrandError(
    'invalid-option',
    `redis() needs a URL such as redis://localhost:6379, a list of such URLs of one cluster, or a client of ioredis, not ${shownValue(target)}${maybeUnset(target)}`,
  )
}

/**
 * Host, port and number of the database: no user, no password. Throws `invalid-option` for what is
 * no URL of Redis.
 */
function locationOfUrl(text: string): string {
  const url = URL.parse(text)
  const isTornApart = isTorn(text)
  const isOne = url !== null && /^rediss?:$/.test(url.protocol) && url.hostname !== ''
  if (!isOne || isTornApart) {
    throw new ErrandError(
      'invalid-option',
      `redis() needs a URL such as redis://localhost:6379, not ${shownUrl(text)}.${isTornApart ? ` ${encodeAdvice}` : ''}`,
    )
  }
  if (!/^\/?\d*$/.test(url.pathname)) {
    throw new ErrandError(
      'invalid-option',
      `redis() needs the number of a database at the end of its URL, as in redis://localhost:6379/2, not ${shownValue(url.pathname)}.`,
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
