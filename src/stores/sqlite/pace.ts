/**
 * When this process may try for the write lock: SQLite's own waiting sleeps with the event loop blocked and is unfair, so the
 * file is opened without it and Errand waits.
 *
 * Two modes. Alone: writes follow one another, with the event loop let in every `turnMs`. Contended, entered when the lock was
 * found taken and left `contendedMs` after the last time: after `sliceMs` of writing the lock is left free for `gapMs`, longer than
 * waiters sleep, so that each of several busy processes gets its turn within a few slices.
 */
import { performance, setImmediate } from '../../core/timers.ts'
import { slept } from '../slept.ts'
const pacing = {
  /** Longest stretch of writing without letting the event loop in. */
  turnMs: 2,
  contendedMs: 100,
  sliceMs: 8,
  gapMs: 2,
  /** A waiter tries again in each turn of the event loop for so long, */
  hoppingMs: 1.5,
  /** then about each millisecond for so long, */
  attentiveMs: 100,
  /** then at random up to this. */
  longestSleepMs: 5,
} as const

export class Pace {
  #turnStart = -Infinity
  #turnEnds = false
  #sliceStart = -Infinity
  #lastWrite = -Infinity
  #contendedUntil = -Infinity

  /** Whether a write may be tried at once. */
  isFree(): boolean {
    const now = performance.now()
    if (!this.#turnEnds) {
      this.#turnEnds = true
      this.#turnStart = now
      setImmediate(() => (this.#turnEnds = false))
    }
    return now - this.#turnStart < pacing.turnMs && !this.#owesGap(now)
  }

  /** Resolves when a write may be tried. */
  async free(): Promise<void> {
    while (!this.isFree()) {
      if (this.#owesGap(performance.now())) {
        await slept(pacing.gapMs)
        this.#sliceStart = performance.now()
      } else await hopped()
    }
  }

  /** Notes that the lock was had. */
  wrote(): void {
    this.#lastWrite = performance.now()
  }

  /** Notes that another has the lock, and resolves when to try again. */
  async taken(waitedMs: number): Promise<void> {
    this.#contendedUntil = performance.now() + pacing.contendedMs
    if (waitedMs < pacing.hoppingMs) await hopped()
    else if (waitedMs < pacing.attentiveMs) await slept(1)
    else await slept(1 + Math.random() * (pacing.longestSleepMs - 1))
    this.#sliceStart = performance.now()
  }

  #owesGap(now: number): boolean {
    if (now > this.#contendedUntil || now - this.#lastWrite >= pacing.gapMs) {
      this.#sliceStart = now
      return false
    }
    return now - this.#sliceStart >= pacing.sliceMs
  }
}

function hopped(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
