/** Waits for what comes in time. */
import { setTimeout as sleep } from 'node:timers/promises'

/** Resolves with what a check gives once it does not throw; rejects with its error after 30 s. */
export async function eventually<T>(check: () => T | Promise<T>): Promise<T> {
  const end = performance.now() + 30_000
  for (;;) {
    try {
      return await check()
    } catch (error) {
      if (performance.now() > end) throw error
      await sleep(20)
    }
  }
}
