/** Finds the singleton that a command names, and the app that it runs in. */
import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { ErrandError } from '../core/errors.ts'
import { createErrand, type Errand } from '../errand.ts'
import { isSingleton, type AnySingleton } from '../singleton/singleton.ts'
import type { Globals } from './globals.ts'
import { findConfig } from './load-config.ts'
import { openApp } from './open-app.ts'
import { refuseHttp } from './refuse-http.ts'

interface Found {
  readonly errand: Errand
  readonly singleton: AnySingleton
}

/**
 * Finds a singleton by its name in the configuration, or in a file, `./reports.ts#reports`. One of a file needs no configuration when its lock
 * needs no store. Rejects with `invalid-option` and `invalid-config`.
 */
export async function openSingletonApp(
  globals: Globals,
  name: string,
  lock: string | false | undefined,
): Promise<Found> {
  if (!isFile(name)) {
    const errand = await openApp(globals)
    return withLock({ errand, singleton: errand.singletons.find(name) }, lock)
  }
  const singleton = await singletonIn(name)
  const hasApp = findConfig(globals.config) !== null || globals.store !== undefined
  if (hasApp || isInStore(singleton, lock))
    return withLock({ errand: await openApp(globals), singleton }, lock)
  const { memory } = await import('../stores/memory/index.ts')
  return { errand: createErrand({ store: memory() }), singleton }
}

/** A lock that a manager holds for others would be lost whenever the way to it is. */
function withLock(found: Found, lock: string | false | undefined): Found {
  if (isInStore(found.singleton, lock))
    refuseHttp(
      found.errand.store,
      'run',
      'its lock would hang on the way to the manager. Name the database itself, or another lock: --lock consul.',
    )
  return found
}

function isInStore({ definition }: AnySingleton, lock: string | false | undefined): boolean {
  return (lock ?? process.env['ERRAND_RUN_LOCK'] ?? definition.lock ?? 'store') === 'store'
}

function isFile(name: string): boolean {
  return /^\.{0,2}\//.test(name) || /\.[cm]?[jt]s(?:#|$)/.test(name)
}

async function singletonIn(text: string): Promise<AnySingleton> {
  const [path = '', wanted] = text.split('#')
  const file = resolve(path)
  if (!existsSync(file)) throw refused(`There is no file ${path}.`)
  const module = (await import(pathToFileURL(file).href).catch((cause: unknown) => {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new ErrandError('invalid-config', `${path} does not load: ${why}`, { cause })
  })) as Readonly<Record<string, unknown>>
  const exported = Object.entries(module).filter((entry): entry is [string, AnySingleton] =>
    isSingleton(entry[1]),
  )
  const chosen = exported.filter(
    ([key, { name }]) => wanted === undefined || wanted === key || wanted === name,
  )
  const [only] = chosen
  if (only !== undefined && chosen.length === 1) return only[1]
  const names = exported.map(([, { name }]) => `${path}#${name}`).join(', ')
  if (exported.length === 0) throw refused(`${path} exports no singleton().`)
  throw refused(
    wanted === undefined
      ? `${path} exports several singletons: name one, of ${names}.`
      : `${path} exports no singleton ${wanted}. There are ${names}.`,
  )
}

function refused(why: string): ErrandError {
  return new ErrandError('invalid-option', why)
}
