/** Keeps the process from ending while somebody waits for an answer; stores' own timers do not. */
import { clearInterval, setInterval } from '../core/timers.ts'

const longestIntervalMs = 2_147_483_647

/** Holds the process open until the answer is called. */
export function keepAlive(): () => void {
  const timer = setInterval(() => undefined, longestIntervalMs)
  return () => clearInterval(timer)
}
