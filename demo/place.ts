/** Where the demo keeps its jobs: apart from those of others, in whatever store it is given. */
import { mkdir } from 'node:fs/promises'
import { dirname, relative } from 'node:path'
import type { Errand } from 'errand'
import { openStore } from '../src/cli/open-store.ts'
import configured from './errand.config.ts'

/** What keeps the demo's jobs apart, by the scheme of the URL. */
const apart: Readonly<Record<string, readonly [parameter: string, value: string]>> = {
  'postgres:': ['schema', 'errand_demo'],
  'postgresql:': ['schema', 'errand_demo'],
  'redis:': ['prefix', 'errand-demo'],
  'rediss:': ['prefix', 'errand-demo'],
}

/** The URL of the demo's own schema or prefix, unless the URL names one. */
export function ownPlace(url: string): string {
  const [scheme = ''] = /^[a-z]+:/i.exec(url) ?? []
  const own = apart[scheme.toLowerCase()]
  if (own === undefined) return url
  const [place = '', query = ''] = url.split('?')
  const parameters = new URLSearchParams(query)
  if (!parameters.has(own[0])) parameters.set(...own)
  return `${place}?${parameters.toString()}`
}

/** The demo's app on the store of a URL, by default its own file. */
export async function openDemo(url: string | null): Promise<Errand> {
  const errand = url === null ? configured : configured.withStore(await openStore(url))
  const { kind, location } = errand.store.info
  if (kind === 'sqlite') await mkdir(dirname(location), { recursive: true })
  return errand
}

/** Where the jobs are, as short as can be said. */
export function shownPlace({ store }: Errand): string {
  const { kind, location } = store.info
  if (kind !== 'sqlite') return `${kind === 'redis' ? 'redis://' : ''}${location}`
  const near = relative('', location)
  return near.startsWith('..') ? location : near
}
