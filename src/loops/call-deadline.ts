/** A store that hangs is given up: no wait is without a deadline. */
import type { Clock } from '../core/clock.ts'
import { formatMs } from '../core/duration.ts'
import { ErrandError } from '../core/errors.ts'

/** How long a part waits for an answer of the store: longer than stores themselves try. */
const callMs = 40_000

/** How long a call of the user waits for one. */
export const userCallMs = 60_000

export interface Patience<T> {
  readonly withinMs?: number
  /** What the caller must think then of its call. */
  readonly code?: 'timeout' | 'unknown-outcome'
  /** Gets an answer that comes later. */
  readonly late?: (answer: T) => void
}

/** Waits for a call of the store, but not for ever: rejects when it hangs. */
export function answered<T>(
  clock: Clock,
  call: Promise<T>,
  { withinMs = callMs, code = 'timeout', late = () => undefined }: Patience<T> = {},
): Promise<T> {
  return new Promise((resolve, reject) => {
    let isLate = false
    const stop = clock.after(withinMs, () => {
      isLate = true
      reject(new ErrandError(code, `The store has not answered for ${formatMs(withinMs)}.`))
    })
    call.then(
      (answer) => {
        stop()
        if (isLate) late(answer)
        else resolve(answer)
      },
      (error: unknown) => {
        stop()
        reject(error)
      },
    )
  })
}
