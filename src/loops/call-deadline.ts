/**
 * A store that hangs is given up: no wait is without a deadline. Stores have shorter ones of their
 * own.
 */
import type { Clock } from '../core/clock.ts'
import { formatMs } from '../core/duration.ts'
import { ErrandError } from '../core/errors.ts'

const callMs = 60_000

/**
 * Waits for a call of the store, at most a minute. `code` tells what the caller must think then of
 * its call.
 */
export async function answered<T>(
  clock: Clock,
  call: Promise<T>,
  code: 'timeout' | 'unknown-outcome',
): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>()
  const stop = clock.after(callMs, () => {
    reject(new ErrandError(code, `The store has not answered for ${formatMs(callMs)}.`))
  })
  try {
    return await Promise.race([call, late])
  } finally {
    stop()
  }
}
