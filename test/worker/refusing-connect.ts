/** Opens a SQLite store for the renewer's thread, one that refuses each renewal. */
import { ErrandError } from '../../src/core/errors.ts'
import type { Store } from '../../src/store/store.ts'
import { sqlite } from '../../src/stores/sqlite/index.ts'

export function connect(file: unknown): Store {
  return Object.assign(sqlite(file as string), {
    renew: () => Promise.reject(new ErrandError('store-busy', 'not now')),
  })
}
