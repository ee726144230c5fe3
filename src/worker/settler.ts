/**
 * Writes settlements in batches. While one batch is under way the next one gathers; a store that is down is tried again
 * until the worker's end. A batch with an element that the store can never take is halved until that one stands alone.
 * Whether an error of unknown kind tells of the store or of the batch is found out by a call without settlements.
 */
import { sleep } from '../core/clock.ts'
import type { EventHub } from '../observe/events.ts'
import type { SettleAnswer, Settlement, Store } from '../store.ts'
import { answered, Health, mayPass } from './supervised.ts'

/** What became of one settlement; `refused` could never be written, for the given error. */
export type Verdict = SettleAnswer | { readonly refused: unknown }

interface Item {
  readonly settlement: Settlement
  readonly done: (verdict: Verdict) => void
}

const batch = 500

/** More settlements than this may wait only while the store is slow; then slots wait for it. */
export const settlerBound = 2_000

export class Settler {
  readonly health: Health
  readonly #store: Store
  readonly #gaveUp = new AbortController()
  #waiting: Item[] = []
  #scheduled = false
  #flushing: Promise<void> | null = null
  #pending = 0

  constructor(store: Store, events: EventHub) {
    this.#store = store
    this.health = new Health('settler', events)
  }

  /** Settlements handed in and not answered yet. */
  get pending(): number {
    return this.#pending
  }

  /** Hands in a settlement; `done` is called once with what became of it, unless the worker gives up first. */
  settle(settlement: Settlement, done: (verdict: Verdict) => void): void {
    this.#pending++
    this.#waiting.push({ settlement, done })
    if (this.#scheduled || this.#flushing !== null) return
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      this.#flush()
    })
  }

  /** Tries no longer: what is pending stays unsettled, and its leases expire. */
  giveUp(): void {
    this.#gaveUp.abort()
  }

  #flush(): void {
    if (this.#flushing !== null || this.#waiting.length === 0 || this.#gaveUp.signal.aborted) return
    this.#flushing = this.#drain().finally(() => {
      this.#flushing = null
      this.#flush()
    })
  }

  async #drain(): Promise<void> {
    while (this.#waiting.length > 0 && !this.#gaveUp.signal.aborted) {
      const taken = this.#waiting.length <= batch ? this.#waiting : this.#waiting.slice(0, batch)
      this.#waiting = taken === this.#waiting ? [] : this.#waiting.slice(batch)
      await this.#write(taken)
    }
  }

  async #write(items: readonly Item[]): Promise<void> {
    const settlements = items.map(({ settlement }) => settlement)
    while (!this.#gaveUp.signal.aborted) {
      try {
        const answers = await this.#call(settlements)
        this.health.worked()
        this.#pending -= items.length
        for (const [i, item] of items.entries()) item.done(answers[i] ?? 'stale')
        return
      } catch (error) {
        if (await this.#isTheirs(error)) return this.#halve(items, error)
        await sleep(this.#store.clock, this.health.failed(error), this.#gaveUp.signal)
      }
    }
  }

  #call(settlements: readonly Settlement[]): Promise<readonly SettleAnswer[]> {
    return answered(this.#store.clock, this.#store.settle(settlements))
  }

  /** Whether an error comes from the settlements themselves: then the store, being well, takes an empty batch. */
  async #isTheirs(error: unknown): Promise<boolean> {
    const verdict = mayPass(error)
    if (verdict !== 'maybe') return verdict === 'no'
    try {
      await this.#call([])
      return true
    } catch {
      return false
    }
  }

  async #halve(items: readonly Item[], error: unknown): Promise<void> {
    const [only] = items
    if (items.length === 1 && only !== undefined) {
      this.#pending--
      return only.done({ refused: error })
    }
    const middle = Math.ceil(items.length / 2)
    await this.#write(items.slice(0, middle))
    await this.#write(items.slice(middle))
  }
}
