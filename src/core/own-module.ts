/**
 * Where Errand's own modules are. Threads need files of their own, and a bundler leaves none: there, `import.meta.url` names the bundle, which would
 * run the whole program again in the thread, or nothing.
 */

/** The modules that threads import. */
export type OwnModule =
  | 'worker/renewer-thread'
  | 'fleet/isolated-thread'
  | 'fleet/isolated-process'
  | 'fleet/orphan-thread'
  | 'cli/main'
  | 'singleton/lock-thread'
  | 'singleton/locks/store'
  | 'singleton/locks/consul'
  | 'singleton/locks/etcd'
  | 'stores/sqlite/index'
  | 'stores/postgres/index'
  | 'stores/redis/index'
  | 'stores/http/index'

const here = (import.meta as { readonly url?: string }).url
/** Known by the name of this very file: a bundle is called otherwise. */
const place = /^(file:.*\/)core\/own-module(\.[jt]s)$/.exec(here ?? '')

/** The URL of a module of this copy of Errand; null in a bundle, where it has no file. */
export function ownModule(name: OwnModule): string | null {
  return place === null ? null : `${place[1]}${name}${place[2]}`
}
