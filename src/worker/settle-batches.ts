/**
 * Writes settlements in batches. While one batch is under way the next one gathers, and goes along
 * with it once it has grown; of one job no two settlements are ever under way.
 *
 * A batch with an element that the store can never take is halved until that one stands alone;
 * whether an error of unknown kind is the store's or the batch's, a call without settlements shows.
 * A settlement that the store holds is sent again apart from the others, which go on.
 *
 * Modes while the store is down: patient, for workers, tries again until the worker's end, one
 * batch at a time, with pauses that batches which failed together share; not patient, for a caller
 * that waits, gives up at once what could not be written.
 */
import { sleep } from '../core/clock.ts'
import { formatMs } from '../core/duration.ts'
import { ErrandError } from '../core/errors.ts'
import type { EventHub } from '../observe/events.ts'
import type { SettleAnswer, Settlement } from '../store/worker-calls.ts'
import type { Store } from '../store/store.ts'
import { answered } from '../loops/call-deadline.ts'
import { Health, isOfTheBatch } from '../loops/supervised.ts'
import { setImmediate } from '../core/timers.ts'

/** What became of one settlement. */
export type Verdict =
  | Exclude<SettleAnswer, 'held'>
  /** The store can never take it, for this error. */
  | { readonly refused: unknown }
  /** It was given up: whether it is written is not known. */
  | { readonly unwritten: unknown }

export interface SettleBatchesOptions {
  readonly store: Store
  readonly events: EventHub
  /**
   * How long to wait for what a user's transaction holds, and `forever` for the store to come back.
   */
  readonly patience: 'forever' | { readonly heldMs: number }
}

interface Item {
  readonly settlement: Settlement
  /** Characters of its output, its error and the inputs of its follow-ups. */
  readonly chars: number
  readonly done: (verdict: Verdict) => void
  /** When the store first held it, by its clock; null before. */
  heldAt: number | null
}

/** Bounds of one batch; a settlement that has more characters goes alone. */
const batch = { most: 500, mostChars: 4_000_000 } as const

/**
 * A store whose calls need not go one after another is kept at work by further batches, if they are
 * worth a call of their own.
 */
const further = { flights: 3, least: 100 } as const

/** The pauses between two tries of those that are held, doubled from the first, in ms. */
const heldPauses = { firstMs: 25, mostMs: 1_000 } as const

/**
 * More settlements than this, or more characters in them, may wait only while the store is slow;
 * then slots wait for it.
 */
export const settlerBound = { most: 2_000, mostChars: 33_554_432 } as const

export class SettleBatches {
  readonly health: Health
  readonly #store: Store
  readonly #patience: SettleBatchesOptions['patience']
  readonly #mostFlights: number
  #wrote: () => void = () => undefined
  readonly #gaveUp = new AbortController()
  #waiting: Item[] = []
  readonly #held: Item[] = []
  #isSettlingHeld = false
  #scheduled = false
  #flights = 0
  #rest: Promise<void> | null = null
  #pending = 0
  #pendingChars = 0
  #waitingChars = 0

  constructor({ store, events, patience }: SettleBatchesOptions) {
    this.#store = store
    this.#patience = patience
    this.#mostFlights = store.info.serial === true ? 1 : further.flights
    this.health = new Health('settler', events)
  }

  /** Whether it waits for a store that is away. */
  get isPatient(): boolean {
    return this.#patience === 'forever'
  }

  /** Calls back after each batch: what waited for room among the settlements may go on. */
  onWritten(wrote: () => void): void {
    this.#wrote = wrote
  }

  /** Whether slots wait until some are written. */
  get isFull(): boolean {
    return this.#pending >= settlerBound.most || this.#pendingChars >= settlerBound.mostChars
  }

  /**
   * Writes a settlement; `done` is called once with what became of it, unless the worker gives up
   * first.
   */
  write(settlement: Settlement, done: (verdict: Verdict) => void): void {
    const chars = charsOf(settlement)
    this.#pending++
    this.#pendingChars += chars
    this.#waitingChars += chars
    this.#waiting.push({ settlement, chars, done, heldAt: null })
    if (!this.#mayFly()) return
    // A full batch need not wait for the end of this turn of the event loop: the store works while
    // handlers go on.
    if (this.#isBatch()) return this.#flush()
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
    return this.#waiting.length >= further.least || this.#waitingChars >= batch.mostChars
  }

  /** Whether a whole batch waits. */
  #isBatch(): boolean {
    return this.#waiting.length >= batch.most || this.#waitingChars >= batch.mostChars
  }

  #flush(): void {
    while (this.#mayFly()) {
      const count = this.#isBatch() ? countOf(this.#waiting) : this.#waiting.length
      const isAll = count === this.#waiting.length
      const taken = isAll ? this.#waiting : this.#waiting.slice(0, count)
      this.#waiting = isAll ? [] : this.#waiting.slice(count)
      this.#waitingChars -= isAll ? this.#waitingChars : sumOf(taken)
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
      await this.#fly(this.#held.splice(0, countOf(this.#held)))
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
      if (this.#patience !== 'forever') return this.#giveUp(items, error)
      this.#waiting = [...items, ...this.#waiting]
      this.#waitingChars += sumOf(items)
      this.#rest ??= this.#restAfter(error)
      return this.#rest
    }
    this.health.worked()
    for (const [index, item] of items.entries()) {
      const answer = answers[index] ?? 'stale'
      if (answer === 'held') {
        this.#hold(item)
        continue
      }
      this.#answer(item, answer)
    }
    if (this.#held.length > 0 && !this.#isSettlingHeld) void this.#settleHeld()
  }

  #hold(item: Item): void {
    const now = this.#store.clock.now()
    item.heldAt ??= now
    if (this.#patience === 'forever' || now - item.heldAt < this.#patience.heldMs) {
      this.#held.push(item)
      return
    }
    const { id } = item.settlement
    const error = new ErrandError(
      'store-busy',
      `An open transaction has held what job ${id} needs to end for ${formatMs(this.#patience.heldMs)}. A worker ends it later; end that transaction.`,
      { details: { id } },
    )
    this.#giveUp([item], error)
  }

  #giveUp(items: readonly Item[], error: unknown): void {
    for (const item of items) this.#answer(item, { unwritten: error })
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
      return this.#answer(only, { refused: error })
    }
    const middle = Math.ceil(items.length / 2)
    await this.#write(items.slice(0, middle))
    await this.#write(items.slice(middle))
  }

  #answer(item: Item, verdict: Verdict): void {
    this.#pending--
    this.#pendingChars -= item.chars
    item.done(verdict)
  }
}

function charsOf(one: Settlement): number {
  let chars = one.attempt?.length ?? 0
  if (one.kind === 'finish' && one.output !== null) chars += one.output.length
  for (const { input } of one.followUps) chars += input.length
  return chars
}

function sumOf(items: readonly Item[]): number {
  let sum = 0
  for (const { chars } of items) sum += chars
  return sum
}

/** How many of those that wait, from the first, go with one batch. */
function countOf(items: readonly Item[]): number {
  let count = 0
  let sum = 0
  for (const { chars } of items) {
    sum += chars
    if (count > 0 && sum > batch.mostChars) break
    if (++count === batch.most) break
  }
  return count
}
