/** `errand/memory`: jobs in the memory of one process, for tests and for trying things out. */
import { readClock, type Clock } from '../../core/clock.ts'
import { refuseUnknownKeys } from '../../core/option-keys.ts'
import { refuseValue } from '../../core/read.ts'
import type { Store } from '../../store/store.ts'
import { systemClock } from '../system-clock.ts'
import { MemoryDatabase } from './state.ts'
import { memoryStore } from './store.ts'

export { MemoryDatabase }

/**
 * A store in memory. Nothing survives the process.
 *
 * It is also the executable specification of the store contract: where prose and this store disagree, one is wrong.
 * Stores that are given the same `database` are clients of the same data. Throws `invalid-option`.
 */
export function memory(
  options: { readonly clock?: Clock; readonly database?: MemoryDatabase } = {},
): Store {
  refuseUnknownKeys(options, ['clock', 'database'], 'memory()')
  const { clock = systemClock, database = new MemoryDatabase() } = options
  if (!(database instanceof MemoryDatabase))
    refuseValue('memory().database', 'a MemoryDatabase of errand/memory', database)
  return memoryStore(database, readClock(clock, 'memory().clock'))
}
