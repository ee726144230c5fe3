/** A store that this process must not use any more: its command ends, so that the next one starts. */
import type { Errand } from '../errand.ts'
import { needsRestart } from './exit.ts'

/** Resolves with the error of a store that only another process can use. */
export function storeLost(errand: Errand): Promise<Error> {
  return new Promise((resolve) =>
    errand.on('part-failed', ({ error }) => {
      if (needsRestart(error)) resolve(error)
    }),
  )
}
