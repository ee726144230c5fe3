/**
 * Prunes for a worker: when a heartbeat says that jobs have outlived their retention, and each
 * minute for the cap on their number.
 */
import type { App } from '../app/app.ts'
import { Loop } from '../loops/supervised.ts'
import type { Ticks } from '../loops/time.ts'
import { prune } from './prune.ts'

/** How often the cap is checked; a heartbeat tells of retention only. */
const capEveryMs = 60_000

export class Pruner {
  readonly loop: Loop
  readonly #app: App
  readonly #ticks: Ticks
  readonly #stop = new AbortController()
  #prunedAt = -Infinity
  #isDue = false

  constructor(app: App, ticks: Ticks) {
    this.#app = app
    this.#ticks = ticks
    this.loop = new Loop('pruning', app.events, app.store.clock, () => this.#pass())
  }

  /** What a heartbeat has learnt. */
  told({ pruneDue }: { readonly pruneDue: boolean }): void {
    this.#isDue ||= pruneDue || this.#ticks() - this.#prunedAt >= capEveryMs
    if (this.#isDue) this.loop.wake()
  }

  /** Ends the loop, and any pruning under way. */
  async stop(): Promise<void> {
    this.#stop.abort()
    await this.loop.stop()
  }

  async #pass(): Promise<number> {
    if (!this.#isDue) return Infinity
    this.#prunedAt = this.#ticks()
    await prune(this.#app, this.#stop.signal)
    this.#isDue = false
    return Infinity
  }
}
