/** The machine's own clock, which every store uses unless it is given another. */
import { longestTimerMs, type Clock } from '../core/clock.ts'
import { clearTimeout, setTimeout } from '../core/timers.ts'

/** Tells the system's time in whole milliseconds; its timers do not keep the process alive. */
export const systemClock: Clock = {
  now: () => Date.now(),
  after(ms, wake) {
    let timer: NodeJS.Timeout
    let left = Math.max(0, ms)
    const arm = (): void => {
      const step = Math.min(left, longestTimerMs)
      left -= step
      timer = setTimeout(left > 0 ? arm : wake, step)
      timer.unref()
    }
    arm()
    return () => clearTimeout(timer)
  },
}
