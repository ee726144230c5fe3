/** A lock server of one's own, for `--lock ./slow-lock.ts`: that of a SQLite file, but slow, and telling on stdout what it is at. */
import { writeSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Locks } from '../../src/store/locks.ts'
import { storeLocks } from '../../src/singleton/locks/store.ts'
import { sqlite } from '../../src/stores/sqlite/index.ts'

const slowMs = 60

export default function slowLocks(): Locks {
  const store = sqlite(process.env['SLOW_LOCK_FILE'] ?? '')
  const locks = storeLocks(store)
  return {
    ...locks,
    info: { kind: 'slow', location: locks.info.location },
    connector: { module: import.meta.url, argument: null },
    async hold(request) {
      if (request.token === null) {
        // A thread writes at once only past the console.
        writeSync(1, 'taking\n')
        await sleep(slowMs)
      }
      return locks.hold(request)
    },
    async release(holding) {
      writeSync(1, 'releasing\n')
      await sleep(slowMs)
      return locks.release(holding)
    },
    close: () => store.close(),
  }
}

export const connect = slowLocks
