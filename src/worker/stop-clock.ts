/**
 * The times of a stop: until when running jobs may go on, and until when aborted ones may take to
 * end.
 */
import { sleep, type Clock } from '../core/clock.ts'
import { toMs } from '../core/duration.ts'
import { refuseUnknownKeys } from '../core/option-keys.ts'
import { stopDefaults } from '../loops/stop-defaults.ts'
import type { StopOptions } from './worker-options.ts'
import type { Ticks } from '../loops/time.ts'

/** How long closing one part may take, in milliseconds. */
const closeMs = 300

/** The longest pause between two looks. */
const lookMs = 20

export class StopClock {
  readonly #clock: Clock
  readonly #ticks: Ticks
  #abortAt = Infinity
  #leaveAt = Infinity
  #changed = new AbortController()

  constructor(clock: Clock, ticks: Ticks) {
    this.#clock = clock
    this.#ticks = ticks
  }

  /** When running attempts are aborted. */
  get abortAt(): number {
    return this.#abortAt
  }

  /** When aborted attempts are left. */
  get leaveAt(): number {
    return this.#leaveAt
  }

  /** Sets the times from now on; those set before can only come nearer. Throws `invalid-option`. */
  set(options: StopOptions): void {
    refuseUnknownKeys(options, ['grace', 'abortGrace'], 'stop()')
    const { grace = stopDefaults.graceMs, abortGrace = stopDefaults.abortGraceMs } = options
    const graceMs = grace === 'none' ? Infinity : toMs(grace, 'stop().grace')
    const abortGraceMs = toMs(abortGrace, 'stop().abortGrace')
    this.#abortAt = Math.min(this.#abortAt, this.#ticks() + graceMs)
    this.#leaveAt = Math.min(this.#leaveAt, this.#abortAt + abortGraceMs)
    this.#changed.abort()
  }

  /** Looks until something holds, or its time has come, which `set` may change meanwhile. */
  async until(at: () => number, holds: () => boolean): Promise<void> {
    for (let look = 1; !holds(); look++) {
      const leftMs = at() - this.#ticks()
      if (leftMs <= 0) return
      if (this.#changed.signal.aborted) this.#changed = new AbortController()
      await sleep(this.#clock, Math.min(leftMs, look, lookMs), this.#changed.signal)
    }
  }

  /** Waits for something, but not for longer than closing may take. A failure is handed on. */
  async briefly(work: Promise<unknown>): Promise<void> {
    await this.#within(work, closeMs)
  }

  /**
   * Waits for something that is the user's own: until jobs would be left, or briefly after that.
   * Returns whether it ended.
   */
  patiently(work: Promise<unknown>): Promise<boolean> {
    const leftMs = this.#leaveAt < Infinity ? this.#leaveAt - this.#ticks() : stopDefaults.graceMs
    return this.#within(work, Math.max(leftMs, closeMs))
  }

  async #within(work: Promise<unknown>, ms: number): Promise<boolean> {
    const over = new AbortController()
    const late = sleep(this.#clock, ms, over.signal).then(() => false)
    try {
      return await Promise.race([work.then(() => true), late])
    } finally {
      over.abort()
    }
  }
}
