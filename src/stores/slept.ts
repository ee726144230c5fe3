/** Waits in real time, whatever clock a store is given. */
import { setTimeout } from '../core/timers.ts'

/** Resolves after so many milliseconds. */
export function slept(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
