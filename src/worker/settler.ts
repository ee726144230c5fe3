/**
 * Writes settlements in batches. While one batch is under way the next one gathers, and goes along with it once it has grown;
 * of one job no two settlements are ever under way. A store that is down is tried again until the worker's end: then one batch
 * at a time, with pauses that batches which failed together share. A batch with an element that the store can never take is halved until that one stands alone.
 * A settlement that the store answers as held is tried again apart from the others, which go on. Whether an error of unknown kind tells of the store or of the batch is found out by a call without settlements.
 */
import { sleep } from '../core/clock.ts'
import type { EventHub } from '../observe/events.ts'
import type { SettleAnswer, Settlement, Store } from '../store.ts'
import { answered, Health, isOfTheBatch } from './supervised.ts'
import { setImmediate } from '../core/timers.ts'

/** What became of one settlement; `refused` could never be written, for the given error. */
export type Verdict = Exclude<SettleAnswer, 'held'> | { readonly refused: unknown }

interface Item {
  readonly settlement: Settlement
  readonly done: (verdict: Verdict) => void
}

/** How many settlements travel in one call, and how long their texts are in all; one travels in any case. */
const batch = 500
const batchChars = 16_000_000

/** A store whose calls need not go one after another is kept at work by further batches, if they are worth a call of their own. */
const further = { flights: 3, least: 100 } as const

/** The pauses between two tries of those that are held, doubled from the first, in ms. */
const heldPauses = { firstMs: 25, mostMs: 1_000 } as const

/** More settlements than this may wait only while the store is slow; then slots wait for it. */
export const settlerBound = 2_000

export class Settler {
  readonly health: Health
  readonly #store: Store
  readonly #mostFlights: number
  readonly #wrote: () => void
  readonly #gaveUp = new AbortController()
  #waiting: Item[] = []
  readonly #held: Item[] = []
  #isSettlingHeld = false
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
      const count = batchLength(this.#waiting)
      const taken = count === this.#waiting.length ? this.#waiting : this.#waiting.slice(0, count)
      this.#waiting = taken === this.#waiting ? [] : this.#waiting.slice(count)
      void this.#fly(taken)
    }
  }

  async #fly(items: readonly Item[]): Promise<void> {
    this.#flights++
    try {
      await this.#write(items)
    } finally {
      this.#flights--
      this.#wrote()
      this.#flush()
    }
  }

  async #settleHeld(): Promise<void> {
    this.#isSettlingHeld = true
    for (let pauseMs: number = heldPauses.firstMs; this.#held.length > 0;) {
      await sleep(this.#store.clock, pauseMs * (0.5 + Math.random()), this.#gaveUp.signal)
      if (this.#gaveUp.signal.aborted) return
      await this.#fly(this.#held.splice(0, batch))
      pauseMs = Math.min(2 * pauseMs, heldPauses.mostMs)
    }
    this.#isSettlingHeld = false
  }

  async #write(items: readonly Item[]): Promise<void> {
    let answers: readonly SettleAnswer[]
    try {
      answers = await this.#call(items.map(({ settlement }) => settlement))
    } catch (error) {
      if (this.#gaveUp.signal.aborted) return
      if (await isOfTheBatch(error, () => this.#call([]))) return this.#halve(items, error)
      this.#waiting = [...items, ...this.#waiting]
      this.#rest ??= this.#restAfter(error)
      return this.#rest
    }
    this.health.worked()
    for (const [index, item] of items.entries()) {
      const answer = answers[index] ?? 'stale'
      if (answer === 'held') {
        this.#held.push(item)
        continue
      }
      this.#pending--
      item.done(answer)
    }
    if (this.#held.length > 0 && !this.#isSettlingHeld) void this.#settleHeld()
  }

  async #restAfter(error: unknown): Promise<void> {
    await sleep(this.#store.clock, this.health.failed(error), this.#gaveUp.signal)
    this.#rest = null
  }

  #call(settlements: readonly Settlement[]): Promise<readonly SettleAnswer[]> {
    return answered(this.#store.clock, this.#store.settle(settlements))
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

/** How many of the first go together. */
function batchLength(items: readonly Item[]): number {
  const most = Math.min(items.length, batch)
  let chars = 0
  for (let n = 0; n < most; n += 1) {
    chars += charsOf((items[n] as Item).settlement)
    if (chars > batchChars) return Math.max(n, 1)
  }
  return most
}

function charsOf(settlement: Settlement): number {
  let chars = settlement.error?.length ?? 0
  if (settlement.kind === 'finish') chars += settlement.output?.length ?? 0
  for (const job of settlement.followUps) chars += job.input.length
  return chars
}
