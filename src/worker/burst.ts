/** Finds when a worker's queues are empty, so that a burst is over. */
import { sleep, type Clock } from '../core/clock.ts'
import type { Fetcher } from './fetcher.ts'

/** How often it looks, in milliseconds; queues that could not be asked are asked again so often. */
const lookMs = 50

export interface BurstOptions {
  readonly clock: Clock
  readonly fetcher: Pick<Fetcher, 'hint' | 'foundEmpty'>
  /** Whether nothing runs, waits or is to be settled here. */
  readonly isIdle: () => boolean
  readonly signal: AbortSignal
}

/**
 * Resolves once all queues were asked while nothing ran here, and gave nothing: nothing is ready or
 * due in them, and what ran has left nothing behind. Or when the signal aborts.
 */
export async function untilEmpty(options: BurstOptions): Promise<void> {
  const { clock, fetcher, isIdle, signal } = options
  for (;;) {
    const before = isIdle() ? fetcher.foundEmpty : Infinity
    if (before < Infinity) fetcher.hint()
    await sleep(clock, lookMs, signal)
    if (signal.aborted || (isIdle() && fetcher.foundEmpty > before)) return
  }
}
