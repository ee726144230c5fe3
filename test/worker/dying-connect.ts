/** Opens a SQLite store for the renewer's thread, and ends the thread as the test says: one word for each thread, in turn, the last for all that follow. */
import { readFileSync, writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { ErrandError } from '../../src/core/errors.ts'
import type { Store } from '../../src/store/store.ts'
import { sqlite } from '../../src/stores/sqlite/index.ts'

/** What becomes of a thread: it exits, throws or hangs before it has opened the store, throws some time later, lives without renewing, or lives. */
export type Fate = 'exits' | 'throws' | 'hangs' | 'throws later' | 'cannot renew' | 'lives'

export interface Dying {
  readonly file: string
  readonly fates: readonly Fate[]
}

/** How long a thread lives that throws later. */
const laterMs = 1_500

export async function connect(argument: unknown): Promise<Store> {
  const { file, fates } = argument as Dying
  const count = threadsOf(file)
  writeFileSync(countOf(file), String(count + 1))
  switch (fates[Math.min(count, fates.length - 1)] ?? 'lives') {
    case 'exits':
      process.exit(1)
    case 'throws':
      throw new Error('cannot open')
    case 'hangs':
      await sleep(2 ** 30)
      break
    case 'throws later':
      setTimeout(() => {
        throw new Error('out of luck')
      }, laterMs)
      break
    case 'cannot renew':
      return Object.assign(sqlite(file), {
        renew: () => Promise.reject(new ErrandError('store-busy', 'not now')),
      })
    case 'lives':
      break
  }
  return sqlite(file)
}

/** How many threads there have been. */
export function threadsOf(file: string): number {
  try {
    return Number(readFileSync(countOf(file), 'utf8'))
  } catch {
    return 0
  }
}

function countOf(file: string): string {
  return `${file}.threads`
}
