/**
 * Writes settlements in batches. While one batch is under way the next one gathers, and goes along with it once it has grown;
 * of one job no two settlements are ever under way. A store that is down is tried again until the worker's end: then one batch
 * at a time, with pauses that batches which failed together share. A batch with an element that the store can never take is halved until that one stands alone.
 * Whether an error of unknown kind tells of the store or of the batch is found out by a call without settlements.
 */
import { sleep } from '../core/clock.ts'
import type { EventHub } from '../observe/events.ts'
import type { SettleAnswer, Settlement, Store } from '../store.ts'
import { answered, Health, mayPass } from './supervised.ts'
import { setImmediate } from '../core/timers.ts'

/** What became of one settlement; `refused` could never be written, for the given error. */
export type Verdict = SettleAnswer | { readonly refused: unknown }

interface Item {
  readonly settlement: Settlement
  readonly done: (verdict: Verdict) => void
}

const batch = 500

/** A store whose calls need not go one after another is kept at work by further batches, if they are worth a call of their own. */
const further = { flights: 3, least: 100 } as const

/** More settlements than this may wait only while the store is slow; then slots wait for it. */
export const settlerBound = 2_000

export class Settler {
  readonly health: Health
  readonly #store: Store
  readonly #mostFlights: number
  readonly #wrote: () => void
  readonly #gaveUp = new AbortController()
  #waiting: Item[] = []
  #scheduled = false
  #flights = 0
  #rest: Promise<void> | null = null
  #pending = 0

  /** `wrote` is called after each batch: what waited for room among the settlements may go on. */
  constructor(store: Store, events: EventHub, wrote: () => void) {
    this.#store = store
    this.#mostFlights = store.info.serial === true ? 1 : further.flights
    this.#wrote = wrote
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
    if (!this.#mayFly()) return
    // A full batch need not wait for the end of this turn of the event loop: the store works while handlers go on.
    if (this.#waiting.length >= batch) return this.#flush()
    if (this.#scheduled) return
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

  #mayFly(): boolean {
    if (this.#waiting.length === 0 || this.#rest !== null) return false
    if (this.#gaveUp.signal.aborted) return false
    if (this.#flights === 0) return true
    if (this.health.failures > 0 || this.#flights >= this.#mostFlights) return false
    return this.#waiting.length >= further.least
  }

  #flush(): void {
    while (this.#mayFly()) {
      const taken = this.#waiting.length <= batch ? this.#waiting : this.#waiting.slice(0, batch)
      this.#waiting = taken === this.#waiting ? [] : this.#waiting.slice(batch)
      this.#flights++
      void this.#write(taken).finally(() => {
        this.#flights--
        this.#wrote()
        this.#flush()
      })
    }
  }

  async #write(items: readonly Item[]): Promise<void> {
    let answers: readonly SettleAnswer[]
    try {
      answers = await this.#call(items.map(({ settlement }) => settlement))
    } catch (error) {
      if (this.#gaveUp.signal.aborted) return
      if (await this.#isTheirs(error)) return this.#halve(items, error)
      this.#waiting = [...items, ...this.#waiting]
      this.#rest ??= this.#restAfter(error)
      return this.#rest
    }
    this.health.worked()
    this.#pending -= items.length
    for (let i = 0; i < items.length; i++) items[i]?.done(answers[i] ?? 'stale')
  }

  async #restAfter(error: unknown): Promise<void> {
    await sleep(this.#store.clock, this.health.failed(error), this.#gaveUp.signal)
    this.#rest = null
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
