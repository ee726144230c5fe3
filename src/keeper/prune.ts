/**
 * Removes finished jobs that have outlived their retention, or that are more than the app keeps.
 */
import type { App } from '../app/app.ts'
import { sleep } from '../core/clock.ts'
import { answered } from '../loops/call-deadline.ts'

/** Jobs in one call. */
const chunk = 1_000

/** The pause between two calls, so that pruning leaves the store to others. */
const pauseMs = 20

/** Prunes until nothing is left to prune, in at most so many calls, or until the signal aborts. */
export async function prune(
  { store, keepAtMost }: Pick<App, 'store' | 'keepAtMost'>,
  signal: AbortSignal,
  mostCalls: number = Infinity,
): Promise<void> {
  for (let calls = 0; calls < mostCalls && !signal.aborted; calls++) {
    const call = store.prune({ limit: chunk, cap: keepAtMost })
    const { more } = await answered(store.clock, call)
    if (!more) return
    await sleep(store.clock, pauseMs, signal)
  }
}
