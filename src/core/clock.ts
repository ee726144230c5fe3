/** Time as the parts see it. A store brings its clock; tests bring one that they move by hand. */
import { readShape } from './read.ts'

/** Tells the time and wakes callers. All of a worker's timers come from its store's clock. */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number
  /** Calls `wake` once after `ms`, unless the answer is called first. Does not keep the process alive. */
  after(ms: number, wake: () => void): () => void
}

/** The longest delay that a timer of Node takes, in milliseconds: it fires at once for a longer one. */
export const longestTimerMs = 2_147_483_647

/** Checks a clock that was handed in. Throws `invalid-option`. */
export function readClock(clock: Clock, where: string): Clock {
  return readShape(clock, ['now', 'after'], where, 'a clock: { now(), after(ms, wake) }')
}

/** Waits `ms` on a clock; resolves early, without error, when the signal aborts. */
export function sleep(clock: Clock, ms: number, signal?: AbortSignal): Promise<void> {
  if (signal?.aborted) return Promise.resolve()
  return new Promise((resolve) => {
    const finish = (): void => {
      stop()
      signal?.removeEventListener('abort', finish)
      resolve()
    }
    const stop = clock.after(ms, finish)
    signal?.addEventListener('abort', finish, { once: true })
  })
}

/** A time far ahead is looked at anew this often, in case the clock is set or the machine sleeps. */
const lookMs = 60_000

/** Waits until a time of the clock, however it is set meanwhile; resolves early when the signal aborts. */
export async function sleepUntil(clock: Clock, at: number, signal: AbortSignal): Promise<void> {
  while (!signal.aborted && clock.now() < at)
    await sleep(clock, Math.min(at - clock.now(), lookMs), signal)
}
