/** Makes stores from URLs, as `--store` and `ERRAND_STORE` give them. */
import { ErrandError } from '../core/errors.ts'
import { nearest } from '../core/nearest.ts'
import type { Store } from '../store.ts'

/** Schemes of stores that Errand is going to have. */
const later: Readonly<Record<string, string>> = {
  postgres: 'PostgreSQL',
  postgresql: 'PostgreSQL',
  redis: 'Redis',
  rediss: 'Redis',
  http: 'HTTP',
  https: 'HTTP',
}

/**
 * Makes the store of a URL without opening it: `sqlite:errand.db`, `sqlite:/var/lib/app/errand.db`,
 * `sqlite:errand.db?durability=power`. Throws `invalid-option` for others.
 */
export async function openStore(url: string): Promise<Store> {
  const [, scheme, rest = ''] = /^([a-z][a-z0-9+.-]*):(.*)$/is.exec(url) ?? []
  if (scheme === undefined) {
    throw refused(url, `A store is named by a URL: did you mean sqlite:${url}?`)
  }
  if (scheme === 'sqlite') return openSqlite(url, rest)
  const name = later[scheme]
  if (name !== undefined) {
    throw refused(url, `The ${name} store is not built in yet; this version has sqlite:<file>.`)
  }
  const meant = nearest(scheme, ['sqlite'])
  throw refused(
    url,
    meant === null ? 'This version has sqlite:<file>.' : `Did you mean ${meant}:${rest}?`,
  )
}

async function openSqlite(url: string, rest: string): Promise<Store> {
  const [path = '', query = ''] = rest.split('?')
  const file = path.replace(/^\/\/(?=.)/, '')
  if (file === '') throw refused(url, 'Name the file: sqlite:errand.db.')
  const parameters = new URLSearchParams(query)
  const durability = parameters.get('durability') ?? 'process'
  parameters.delete('durability')
  const [unknown] = parameters.keys()
  if (unknown !== undefined)
    throw refused(url, `It has no parameter ${unknown}; known: durability.`)
  if (durability !== 'process' && durability !== 'power') {
    throw refused(url, 'durability is process or power.')
  }
  const { sqlite } = await import('../stores/sqlite/index.ts')
  return sqlite(file, { durability })
}

/** Leaves out what may be a password. */
function refused(url: string, why: string): ErrandError {
  const shown = url.replace(/\/\/[^@/]*@/, '//…@')
  return new ErrandError('invalid-option', `The store ${shown} cannot be opened. ${why}`)
}
