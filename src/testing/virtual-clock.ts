/** A clock that stands still until a test moves it. */
import type { Clock } from '../core/clock.ts'
import { refuseValue } from '../core/read.ts'
import { setImmediate } from '../core/timers.ts'

/** Where a virtual clock starts unless told otherwise: 2030-01-01T00:00:00Z. */
export const virtualStart = 1_893_456_000_000

/** A clock whose time moves only by `advance`, which fires the timers that become due on the way, in order. */
export class VirtualClock implements Clock {
  #now: number
  #sequence = 0
  readonly #timers = new Set<Timer>()

  constructor(start: number = virtualStart) {
    this.#now = readTime(start, 'What VirtualClock() starts at')
  }

  now(): number {
    return this.#now
  }

  after(ms: number, wake: () => void): () => void {
    const timer = { at: this.#now + Math.max(0, ms), sequence: (this.#sequence += 1), wake }
    this.#timers.add(timer)
    return () => {
      this.#timers.delete(timer)
    }
  }

  /** How many timers wait. */
  get pending(): number {
    return this.#timers.size
  }

  /**
   * Moves time by `ms`. Each timer fires at its own time, and what it starts may settle, and set timers of its own
   * that are due within the same span, before time goes on. `advance(0)` fires what is due now.
   */
  async advance(ms: number): Promise<void> {
    const end = this.#now + readTime(ms, 'What advance() takes')
    await settle()
    for (let timer = this.#first(end); timer !== null; timer = this.#first(end)) {
      this.#timers.delete(timer)
      this.#now = Math.max(this.#now, timer.at)
      timer.wake()
      await settle()
    }
    this.#now = Math.max(this.#now, end)
  }

  #first(end: number): Timer | null {
    let first: Timer | null = null
    for (const timer of this.#timers) {
      if (timer.at > end) continue
      if (
        first === null ||
        timer.at < first.at ||
        (timer.at === first.at && timer.sequence < first.sequence)
      )
        first = timer
    }
    return first
  }
}

/** Time does not go back. */
function readTime(ms: number, where: string): number {
  if (Number.isFinite(ms) && ms >= 0) return ms
  return refuseValue(where, 'milliseconds, a number from 0 up', ms)
}

interface Timer {
  readonly at: number
  readonly sequence: number
  readonly wake: () => void
}

const hops = 4

/** Lets promise chains and work already queued on the event loop run before time goes on. */
async function settle(): Promise<void> {
  for (let hop = 0; hop < hops; hop += 1) await new Promise((resolve) => setImmediate(resolve))
}
