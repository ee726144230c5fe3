/**
 * Attempts that wait for jobs they have called, and have given their slots back.
 *
 * Modes of one: resting (`rest`) → returning (`back`: it wants a slot, first come, first served,
 * and before any job that has not begun) → out of here (`grant`: it has one; or `recall`, when it
 * is aborted and must end, whether a slot is free or not).
 *
 * While so many wait that the worker claims nothing, the jobs they wait for may be behind others
 * that only this worker would claim. So when nobody has come back for a while, some are put back
 * into the line, behind the jobs that they have called.
 */
import type { Clock } from '../core/clock.ts'
import type { Attempt } from './attempt.ts'

/** How many wait before the worker claims nothing more, and what is done when they stand still. */
const waitingBounds = {
  most: 1_000,
  stillMs: 5_000,
  putBack: 100,
  againMs: 30_000,
} as const

export interface WaitingOptions {
  readonly clock: Clock
  readonly mayReturn: (attempt: Attempt) => boolean
  /** It has a slot again. */
  readonly returned: (attempt: Attempt) => void
  /** Has an attempt end, and run again later. */
  readonly putBack: (attempt: Attempt, delayMs: number) => void
}

export class Waiting {
  readonly #options: WaitingOptions
  /** In the order in which they came; null for those that rest. */
  readonly #all = new Map<Attempt, PromiseWithResolvers<void> | null>()
  /** In the order in which they want to return. */
  readonly #returning = new Set<Attempt>()
  #stopTimer: (() => void) | null = null

  constructor(options: WaitingOptions) {
    this.#options = options
  }

  get size(): number {
    return this.#all.size
  }

  get isFull(): boolean {
    return this.#all.size >= waitingBounds.most
  }

  all(): Iterable<Attempt> {
    return this.#all.keys()
  }

  has(attempt: Attempt): boolean {
    return this.#all.has(attempt)
  }

  rest(attempt: Attempt): void {
    this.#all.set(attempt, null)
    if (this.isFull) this.#watch()
  }

  /** Resolves when it has a slot. */
  back(attempt: Attempt): Promise<void> {
    const asked = this.#all.get(attempt)
    if (asked === undefined) return Promise.resolve()
    if (asked !== null) return asked.promise
    const returning = Promise.withResolvers<void>()
    this.#all.set(attempt, returning)
    this.#returning.add(attempt)
    this.grant()
    return returning.promise
  }

  /** Lets those return for whom there are slots. */
  grant(): void {
    for (const attempt of this.#returning) {
      if (this.#options.mayReturn(attempt)) this.recall(attempt)
    }
  }

  /** Takes it back, whether there is a slot or not. Does nothing for one that does not wait. */
  recall(attempt: Attempt): void {
    const returning = this.#all.get(attempt)
    if (!this.remove(attempt)) return
    this.#options.returned(attempt)
    returning?.resolve()
  }

  /** Forgets one that has ended; returns whether it waited. */
  remove(attempt: Attempt): boolean {
    this.#returning.delete(attempt)
    const was = this.#all.delete(attempt)
    if (was) this.stop()
    return was
  }

  /** Looks no more whether they stand still. */
  stop(): void {
    this.#stopTimer?.()
    this.#stopTimer = null
  }

  #watch(): void {
    const { clock, putBack } = this.#options
    this.#stopTimer ??= clock.after(waitingBounds.stillMs, () => {
      this.#stopTimer = null
      const newest = [...this.#all.keys()].slice(-waitingBounds.putBack)
      for (const attempt of newest) putBack(attempt, waitingBounds.againMs)
    })
  }
}
