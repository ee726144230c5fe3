/** Makes stores from URLs, as `--store` and `ERRAND_STORE` give them. */
import { ErrandError } from '../core/errors.ts'
import { nearest } from '../core/nearest.ts'
import { encodeAdvice, isTorn, shownUrl } from '../core/shown.ts'
import type { Store } from '../store/store.ts'

type Open = (url: string) => Promise<Store>

/** How the store of each scheme is opened. */
const stores: Readonly<Record<string, Open>> = {
  sqlite: openSqlite,
  postgres: openPostgres,
  postgresql: openPostgres,
  redis: openRedis,
  rediss: openRedis,
  http: openHttp,
  https: openHttp,
}
const examples =
  'sqlite:errand.db, postgres://user@host/database, redis://host:6379, https://manager'

/**
 * Makes the store of a URL without opening it. Throws `invalid-option` for what is none.
 *
 * - `sqlite:errand.db`, `sqlite:/var/lib/app/errand.db?durability=power`
 * - `postgres://user:password@host:5432/database?schema=errand&prepare=false&listen=false`; other parameters are the driver's
 * - `redis://host:6379/0?prefix=errand&partitions=8`; several nodes of a cluster: `redis://one:7000,two:7000,three:7000`
 */
export async function openStore(url: string): Promise<Store> {
  const scheme = /^([a-z][a-z0-9+.-]*):/i.exec(url)?.[1]?.toLowerCase()
  if (scheme === undefined || /^[a-z]:\\/i.test(url)) {
    throw refused(url, `A store is named by a URL: did you mean sqlite:${shownUrl(url)}?`)
  }
  const open = Object.hasOwn(stores, scheme) ? stores[scheme] : undefined
  if (open !== undefined) return open(url)
  const meant = nearest(scheme, Object.keys(stores))
  throw refused(
    url,
    meant === null
      ? `Stores are ${examples}.`
      : `Did you mean ${meant}${shownUrl(url).slice(scheme.length)}?`,
  )
}

async function openSqlite(url: string): Promise<Store> {
  const [path = '', query = ''] = url.slice('sqlite:'.length).split('?')
  const file = path.replace(/^\/\/(?=.)/, '')
  if (file === '') throw refused(url, 'Name the file: sqlite:errand.db.')
  const { durability = 'process' } = parametersOf(url, query, ['durability'])
  if (durability !== 'process' && durability !== 'power') {
    throw refused(url, 'durability is process or power.')
  }
  const { sqlite } = await import('../stores/sqlite/index.ts')
  return sqlite(file, { durability })
}

/** Takes the store's own parameters out of the URL and leaves the driver's in it. */
async function openPostgres(url: string): Promise<Store> {
  const parsed = URL.parse(url)
  if (isTorn(url)) throw refused(url, encodeAdvice)
  if (parsed === null || !/^[a-z]+:\/\//i.test(url))
    throw refused(url, 'Write it as postgres://user@host:5432/database.')
  const own = (name: string): string | undefined => {
    const value = parsed.searchParams.get(name) ?? undefined
    parsed.searchParams.delete(name)
    return value
  }
  const schema = own('schema')
  const prepare = own('prepare')
  const listen = own('listen')
  const { postgres } = await import('../stores/postgres/index.ts')
  return postgres(parsed.href, {
    ...(schema === undefined ? {} : { schema }),
    ...(prepare === undefined ? {} : { prepare: flagOf(url, 'prepare', prepare) }),
    ...(listen === undefined
      ? {}
      : { listen: listen.includes('://') ? listen : flagOf(url, 'listen', listen) }),
  })
}

async function openRedis(url: string): Promise<Store> {
  const [place = '', query = ''] = url.split('?')
  const nodes = nodesOf(place)
  // The rest of a password that is not percent-encoded would pass for a parameter.
  if (query.includes('@') || nodes.some(isTorn)) throw refused(url, encodeAdvice)
  const { prefix, partitions } = parametersOf(url, query, ['prefix', 'partitions'])
  const { redis } = await import('../stores/redis/index.ts')
  return redis(nodes, {
    ...(prefix === undefined ? {} : { prefix }),
    ...(partitions === undefined ? {} : { partitions: Number(partitions) }),
  })
}

/** `redis://me:secret@one:7000,two:7000` are two URLs, each with the same name and password. */
function nodesOf(place: string): readonly string[] {
  const [, scheme = '', credentials = '', hosts = '', path = ''] =
    /^([a-z]+:\/\/)((?:[^/]*@)?)([^/]*)(.*)$/is.exec(place) ?? []
  const nodes = hosts.split(',').map((host) => `${scheme}${credentials}${host}${path}`)
  return nodes.length > 1 ? nodes : [place]
}

/** The parameters of a query. Throws `invalid-option` for one that is not known. */
function parametersOf<Name extends string>(
  url: string,
  query: string,
  known: readonly Name[],
): Partial<Record<Name, string>> {
  const given = Object.fromEntries(new URLSearchParams(query))
  for (const name of Object.keys(given)) {
    if (known.some((one) => one === name)) continue
    throw refused(url, `It has no parameter ${name}; known: ${known.join(', ')}.`)
  }
  return given as Partial<Record<Name, string>>
}

function flagOf(url: string, name: string, value: string): boolean {
  if (value !== 'true' && value !== 'false') throw refused(url, `${name} is true or false.`)
  return value === 'true'
}

async function openHttp(url: string): Promise<Store> {
  const { http } = await import('../stores/http/index.ts')
  return http({ url })
}

function refused(url: string, why: string): ErrandError {
  return new ErrandError('invalid-option', `The store ${shownUrl(url)} cannot be opened. ${why}`)
}
