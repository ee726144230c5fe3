/** `errand/sqlite`: jobs in one SQLite file, shared by any number of processes of one machine. */
import { resolve } from 'node:path'
import { readClock, type Clock } from '../../core/clock.ts'
import { ErrandError } from '../../core/errors.ts'
import { refuseUnknownKeys } from '../../core/option-keys.ts'
import { ownModule } from '../../core/own-module.ts'
import { readChoice } from '../../core/read.ts'
import { maybeUnset, shownUrl, shownValue } from '../../core/shown.ts'
import type { Store } from '../../store/store.ts'
import { readCallDeadline } from '../call-deadline.ts'
import { systemClock } from '../system-clock.ts'
import type { Durability } from './database.ts'
import { SharedPlace } from './identity.ts'
import { sqliteStore } from './store.ts'

export type { Durability }

export interface SqliteOptions {
  /**
   * What survives once `enqueue` has resolved. `'process'` (the default): a killed process. `'power'`: a power failure as well;
   * each commit waits for the disk.
   */
  readonly durability?: Durability
  readonly clock?: Clock
  /** How long a call waits for other programs' transactions before it rejects with `store-busy`, in ms. Default and at most 30,000. */
  readonly callDeadlineMs?: number
}

/**
 * A store in a file, which is made at the first call. Its tables start with `errand_`, so that it may be the file of your own
 * tables: then `tx` takes your `DatabaseSync` in a transaction begun with `BEGIN IMMEDIATE`.
 *
 * Throws `invalid-option` for unknown options and for a database in memory.
 */
export function sqlite(file: string, options: SqliteOptions = {}): Store {
  return open(file, options, new SharedPlace())
}

function open(file: string, options: SqliteOptions, opened: SharedPlace): Store {
  refuseUnknownKeys(options, ['durability', 'clock', 'callDeadlineMs'], 'sqlite()')
  if (typeof file !== 'string' || file === '') {
    throw new ErrandError(
      'invalid-option',
      `sqlite() needs the path of a file, such as 'errand.db', not ${shownValue(file)}${maybeUnset(file)} For jobs in memory use memory() of errand/memory`,
    )
  }
  if (file.startsWith(':memory:') || file.startsWith('file:')) {
    throw new ErrandError(
      'invalid-option',
      `sqlite() needs the path of a file, not ${shownValue(file)}: for jobs in memory use memory() of errand/memory`,
    )
  }
  if (/^[a-z][a-z0-9+.-]+:\/\//i.test(file)) {
    throw new ErrandError(
      'invalid-option',
      `sqlite() needs the path of a file, not the URL ${shownUrl(file)}`,
    )
  }
  const { durability = 'process', clock = systemClock } = options
  const callDeadlineMs = readCallDeadline(options.callDeadlineMs, 'sqlite()')
  readChoice(durability, ['process', 'power'], 'sqlite().durability')
  readClock(clock, 'sqlite().clock')
  const path = resolve(file)
  const argument: Argument = { file: path, durability, callDeadlineMs, opened: opened.memory }
  const connector =
    clock === systemClock ? { module: ownModule('stores/sqlite/index'), argument } : null
  return sqliteStore(path, { durability, clock, callDeadlineMs, opened }, connector)
}

interface Argument {
  readonly file: string
  readonly durability: Durability
  readonly callDeadlineMs: number
  /** The memory of `SharedPlace`; missing where it could not be sent, as to another process. */
  readonly opened?: BigUint64Array
}

/** Opens the same store again, in a thread or another process: see `Connector`. */
export function connect(argument: unknown): Store {
  const { file, opened, ...options } = argument as Argument
  return open(file, options, new SharedPlace(opened))
}
