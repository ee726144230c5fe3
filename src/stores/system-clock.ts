/** The machine's own clock, which every store uses unless it is given another. */
import type { Clock } from '../core/clock.ts'
import { clearTimeout, setTimeout } from '../core/timers.ts'

/** Tells the system's time in whole milliseconds; its timers do not keep the process alive. */
export const systemClock: Clock = {
  now: () => Date.now(),
  after(ms, wake) {
    let timer: NodeJS.Timeout
    let left = Math.max(0, ms)
    // A longer delay would overflow setTimeout and fire at once.
    const arm = (): void => {
      const step = Math.min(left, longestTimeoutMs)
      left -= step
      timer = setTimeout(left > 0 ? arm : wake, step)
      timer.unref()
    }
    arm()
    return () => clearTimeout(timer)
  },
}

const longestTimeoutMs = 2_147_483_647
