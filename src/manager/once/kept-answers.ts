/**
 * What a caller may ask for again: records of the store, so that any manager gives the same answer.
 *
 * `http/key/…` holds what came of a request with an `Idempotency-Key`, for 24 hours. `http/taken/…`
 * holds who took a job, `http/output/…` what they got, for five minutes. Whichever manager writes such
 * records also removes those that are over, of all managers: soon after its first one, then from time
 * to time while there are any.
 */
import { isErrandError } from '../../core/errors.ts'
import { answered, userCallMs } from '../../loops/call-deadline.ts'
import { Health } from '../../loops/supervised.ts'
import type { EventHub } from '../../observe/events.ts'
import type { PutAnswer, RecordWrite, StoredRecord } from '../../store/records.ts'
import type { Store } from '../../store/store.ts'

/** The kinds of records that are looked through, by how their keys begin. */
export type KeptKind = 'http/key/' | 'http/taken/'

/** For how long each is kept, and how often they are looked through, in ms. */
const kinds: Readonly<Record<KeptKind, { readonly keptMs: number; readonly paceMs: number }>> = {
  'http/key/': { keptMs: 24 * 3_600_000, paceMs: 3_600_000 },
  'http/taken/': { keptMs: 5 * 60_000, paceMs: 60_000 },
}

const page = 1_000
const firstSweepMs = 1_000

/** The key of what a job gave to its taker. */
export function outputKey(id: string): string {
  return `http/output/${id}`
}

/** What every kept record says of itself. */
interface Dated {
  /** When it was written, by the clock of the manager, in ms since the epoch. */
  readonly at: number
}

export class KeptAnswers {
  readonly #store: Store
  readonly #health: Health
  /** Sweeps that are to come, by kind. */
  readonly #sweeps = new Map<KeptKind, () => void>()
  readonly #swept = new Set<KeptKind>()

  constructor(store: Store, events: EventHub) {
    this.#store = store
    this.#health = new Health('kept answers', events)
  }

  /** The text of a record; null where there is none. */
  async read(key: string): Promise<string | null> {
    const call = this.#store.getRecords([key])
    return (await answered(this.#store.clock, call, { withinMs: userCallMs }))[0] ?? null
  }

  /** Writes records as `putRecords` does, and has them removed when they are over. */
  async write(kind: KeptKind, writes: readonly RecordWrite[]): Promise<readonly PutAnswer[]> {
    this.willWrite(kind)
    return answered(this.#store.clock, this.#store.putRecords(writes), {
      withinMs: userCallMs,
      code: 'unknown-outcome',
    })
  }

  /** Says that a record of this kind is about to be written. */
  willWrite(kind: KeptKind): void {
    if (this.#sweeps.has(kind)) return
    this.#sweepAfter(kind, this.#swept.has(kind) ? kinds[kind].paceMs : firstSweepMs)
  }

  /** Whether a record of this kind is over, by what it says of itself. */
  isOver(kind: KeptKind, { at }: Dated): boolean {
    return this.#store.clock.now() > at + kinds[kind].keptMs
  }

  #sweepAfter(kind: KeptKind, ms: number): void {
    const stop = this.#store.clock.after(ms, () => void this.#sweep(kind))
    this.#sweeps.set(kind, stop)
  }

  async #sweep(kind: KeptKind): Promise<void> {
    this.#swept.add(kind)
    let isLeft = true
    try {
      isLeft = await this.#removeOver(kind)
      this.#health.worked()
    } catch (error) {
      if (isErrandError(error, 'closed')) return
      this.#health.failed(error, kinds[kind].paceMs)
    }
    this.#sweeps.delete(kind)
    if (isLeft) this.#sweepAfter(kind, kinds[kind].paceMs)
  }

  /** Resolves with whether any are left. */
  async #removeOver(kind: KeptKind): Promise<boolean> {
    const { clock } = this.#store
    let isLeft = false
    let after: string | null = null
    for (;;) {
      const found: readonly StoredRecord[] = await answered(
        clock,
        this.#store.listRecords({ prefix: kind, after, limit: page }),
      )
      const over = found.filter(({ text }) => this.isOver(kind, dated(text)))
      if (over.length < found.length) isLeft = true
      const writes = over.flatMap((record) => removalsOf(kind, record))
      if (writes.length > 0) await answered(clock, this.#store.putRecords(writes))
      if (found.length < page) return isLeft
      after = found.at(-1)?.key ?? null
    }
  }
}

/** One that cannot be read is over: nobody could use it. */
function dated(text: string): Dated {
  try {
    const { at } = JSON.parse(text) as Dated
    return { at: typeof at === 'number' ? at : 0 }
  } catch {
    return { at: 0 }
  }
}

function removalsOf(kind: KeptKind, { key, text }: StoredRecord): readonly RecordWrite[] {
  const removal = { key, text: null, if: text }
  return kind === 'http/taken/'
    ? [removal, { key: outputKey(key.slice(kind.length)), text: null }]
    : [removal]
}
