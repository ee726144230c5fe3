/** Keeps the process from ending while somebody waits for an answer; stores' own timers do not. */
import { longestTimerMs } from '../core/clock.ts'
import { clearInterval, setInterval } from '../core/timers.ts'

/** Holds the process open until the answer is called. */
export function keepAlive(): () => void {
  const timer = setInterval(() => undefined, longestTimerMs)
  return () => clearInterval(timer)
}
