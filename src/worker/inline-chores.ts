/**
 * The chore that a process with inline runs alone would leave undone, for want of a worker: pruning finished jobs. A round follows an
 * inline run now and then, in the background, so that nobody waits for it, and ends after a bounded number of jobs.
 */
import type { App } from '../app/app.ts'
import { sleep } from '../core/clock.ts'
import { errorText } from '../core/kept-error.ts'
import { inRootContext } from '../loops/root-context.ts'
import { answered } from '../loops/supervised.ts'
import { ticksOf, type Ticks } from '../loops/time.ts'

/** A round comes at most so often, and prunes so many jobs in each of so many calls, with a pause between them. */
const bounds = { everyMs: 5_000, chunk: 1_000, chunks: 10, pauseMs: 20 } as const

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
    const { store, keepAtMost, events } = this.#app
    const { signal } = this.#stop
    try {
      for (let chunk = 0; chunk < bounds.chunks && !signal.aborted; chunk++) {
        const call = store.prune({ limit: bounds.chunk, cap: keepAtMost })
        const { more } = await answered(store.clock, call)
        if (!more) return
        await sleep(store.clock, bounds.pauseMs, signal)
      }
    } catch (error) {
      events.emit('warning', {
        code: 'pruning-failed',
        message: `Finished jobs were not pruned after an inline run; a later run tries again: ${errorText(error)}`,
      })
    }
  }
}
