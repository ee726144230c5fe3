/**
 * The chore that a process with inline runs alone would leave undone, for want of a worker: pruning
 * finished jobs. A round follows an inline run now and then, in the background, so that nobody
 * waits for it, and ends after a bounded number of jobs.
 */
import type { App } from '../app/app.ts'
import { inRootContext } from '../loops/root-context.ts'
import { ticksOf, type Ticks } from '../loops/time.ts'
import { prune } from './prune.ts'

/** At most one round in this time, of at most so many calls. */
const bounds = { everyMs: 5_000, calls: 10 } as const

export class InlineChores {
  readonly #app: App
  readonly #ticks: Ticks
  readonly #stop = new AbortController()
  #begunAt = -Infinity
  #round: Promise<void> | null = null

  constructor(app: App) {
    this.#app = app
    this.#ticks = ticksOf(app.store)
  }

  /** Begins a round, unless there was one a short while ago. */
  begin(): void {
    const now = this.#ticks()
    if (this.#round !== null || this.#stop.signal.aborted) return
    if (now - this.#begunAt < bounds.everyMs) return
    this.#begunAt = now
    this.#round = inRootContext(() => this.#prune()).finally(() => {
      this.#round = null
    })
  }

  /** Ends the round under way after its present call. */
  async stop(): Promise<void> {
    this.#stop.abort()
    await this.#round
  }

  async #prune(): Promise<void> {
    try {
      await prune(this.#app, this.#stop.signal, bounds.calls)
    } catch (error) {
      this.#app.events.warn('pruning-failed', { error })
    }
  }
}
