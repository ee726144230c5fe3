/** How late the machine is, for tests that hold something to a time: a busy one keeps no time at all. */
import type { TestContext } from 'node:test'
import { clearInterval, setInterval } from '../src/core/timers.ts'

const everyMs = 20
/** What takes a time waits for other processes and threads as often, at most. */
const turns = 10

/**
 * Watches until the test has ended. What it returns tells how much longer than on an idle machine something may have taken, by
 * how late a timer came meanwhile.
 */
export function lateness(t: TestContext): () => number {
  let lastAt = performance.now()
  let lateMs = 0
  const look = (): void => {
    const now = performance.now()
    lateMs = Math.max(lateMs, now - lastAt - everyMs)
    lastAt = now
  }
  const timer = setInterval(look, everyMs)
  t.after(() => clearInterval(timer))
  return () => turns * lateMs
}
