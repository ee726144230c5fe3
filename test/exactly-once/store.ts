/** The store of a run, by its URL. */
import type { Store } from '../../src/store/store.ts'
import { postgres } from '../../src/stores/postgres/index.ts'
import { sqlite } from '../../src/stores/sqlite/index.ts'

export function openStore(url: string): Store {
  return url.startsWith('sqlite:') ? sqlite(url.slice(7)) : postgres(url)
}
