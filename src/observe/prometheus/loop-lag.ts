/** How late the event loop runs what is due, over the last quarter of a minute or so. */
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { clearInterval, setInterval } from '../../core/timers.ts'

const windowMs = 15_000

/**
 * How often the loop is sampled; shorter pauses are not seen. Each sample wakes the process: every
 * 10 ms they would take half a percent of a core.
 */
const resolutionMs = 50

export class LoopLag {
  readonly #delay = monitorEventLoopDelay({ resolution: resolutionMs })
  readonly #timer: NodeJS.Timeout
  #lastMs = 0

  constructor() {
    this.#delay.enable()
    this.#timer = setInterval(() => {
      this.#lastMs = this.#now
      this.#delay.reset()
    }, windowMs)
    this.#timer.unref()
  }

  /** The longest of the last window and the one under way, in milliseconds. */
  get mostMs(): number {
    return Math.max(this.#lastMs, this.#now)
  }

  stop(): void {
    clearInterval(this.#timer)
    this.#delay.disable()
  }

  /** What is measured includes the pause between two looks. */
  get #now(): number {
    return this.#delay.count === 0 ? 0 : Math.max(0, this.#delay.max / 1e6 - resolutionMs)
  }
}
