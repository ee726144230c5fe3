/**
 * Keeps the store's schedules what living code declares: a starting process puts its own, and all of
 * them see to it that a schedule which no living worker declares any more goes away in the end.
 *
 * Modes: putting (at the start) → resting (all schedules of this scheduler are as the code says)
 * ⇄ minding (some are not; each 15 s: a definition that no living code stands for is put anew, and a
 * schedule that nobody declares is marked, and removed once the mark is a minute old).
 */
import type { App } from '../app/app.ts'
import type { ScheduleBook } from '../flows/schedules/book.ts'
import {
  removeOldSets,
  type Declarations,
  type ScheduleSet,
} from '../flows/schedules/declarations.ts'
import { firstStored, replaced, type Declared } from '../flows/schedules/declared.ts'
import { announceChange, changeRecords, type Change } from '../flows/schedules/records.ts'
import type { Owner, StoredSchedule } from '../flows/schedules/stored.ts'
import { answered } from '../loops/call-deadline.ts'
import { Loop } from '../loops/supervised.ts'
import type { StoreTime } from '../loops/store-time.ts'
import { newId } from '../app/new-id.ts'
import type { Ticker } from './ticker.ts'

const mindEveryMs = 15_000

/** How long it rests unless schedules change. */
const restMs = 300_000

/** A schedule that no living worker has declared for so long is removed. */
const retireAfterMs = 60_000

export interface DeclarerOptions {
  readonly app: App
  readonly book: ScheduleBook
  readonly declared: ReadonlyMap<string, Declared>
  readonly set: ScheduleSet | null
  readonly time: StoreTime
  readonly ticker: Ticker
}

export class Declarer {
  readonly loop: Loop
  readonly #options: DeclarerOptions
  /** Names that another scheduler has, told once. */
  readonly #taken = new Set<string>()

  constructor(options: DeclarerOptions) {
    const { app } = options
    this.#options = options
    this.loop = new Loop('schedule-owner', app.events, app.store.clock, () => this.mind())
  }

  /** Writes what this release declares, for workers' records to name. Before the first heartbeat. */
  async announce(): Promise<void> {
    const { app, set } = this.#options
    if (set === null) return
    const call = app.store.putRecords([{ key: set.key, text: set.text }])
    await answered(app.store.clock, call)
  }

  /** Puts the code's schedules. After the first heartbeat, so that no other process takes them for forgotten. */
  async put(): Promise<void> {
    const { declared, time } = this.#options
    if (declared.size === 0) return
    await this.#change([...declared.keys()], (stored, name) => {
      const mine = declared.get(name)
      return mine === undefined ? null : this.#declare(stored, mine, time.now)
    })
  }

  stop(): Promise<void> {
    return this.loop.stop()
  }

  /** What a starting process makes of a schedule that its code declares; null to leave it as it is. */
  #declare(stored: StoredSchedule | null, mine: Declared, now: number): StoredSchedule | null {
    const { scheduler } = this.#options.book
    const { says, hash } = mine
    const owner: Owner = { kind: 'code', scheduler, hash, edited: false, undeclaredSince: null }
    if (stored === null) return firstStored(says, owner, now)
    if (stored.owner.kind === 'operator') return replaced(stored, says, owner, now)
    if (stored.owner.scheduler !== scheduler) {
      this.#tellTaken(mine.name, stored.owner.scheduler)
      return null
    }
    if (stored.owner.hash !== hash) return replaced(stored, says, owner, now)
    if (stored.owner.undeclaredSince === null) return null
    return { ...stored, owner: { ...stored.owner, undeclaredSince: null } }
  }

  /** One pass of the loop. Resolves with how long to rest after it, in milliseconds. */
  async mind(): Promise<number> {
    const { app, book, declared, set, ticker } = this.#options
    if (set === null) return Infinity
    const [text = null] = await answered(app.store.clock, app.store.getRecords([set.key]))
    if (text === null) await this.announce()
    await removeOldSets(app.store, book.scheduler)
    const known = new Map([...ticker.schedules.stored].map((stored) => [stored.name, stored]))
    const doubtful = [...known.values()].filter((stored) => this.#isDoubtful(stored))
    const missing = [...declared.keys()].filter((name) => !known.has(name))
    if (doubtful.length + missing.length === 0) return restMs
    const declarations = await ticker.declarations()
    await this.#change([...doubtful.map(({ name }) => name), ...missing], (stored, name) =>
      this.#minded(stored, name, declarations),
    )
    return mindEveryMs
  }

  /** Whether a schedule of this scheduler is not as this code declares it. */
  #isDoubtful({ name, owner }: StoredSchedule): boolean {
    const { book, declared } = this.#options
    if (owner.kind !== 'code' || owner.scheduler !== book.scheduler) return false
    return owner.undeclaredSince !== null || owner.hash !== declared.get(name)?.hash
  }

  #minded(
    stored: StoredSchedule | null,
    name: string,
    declarations: Declarations,
  ): StoredSchedule | 'remove' | null {
    const { book, declared, time } = this.#options
    const mine = declared.get(name)
    const now = time.now
    if (stored === null) return mine === undefined ? null : this.#declare(null, mine, now)
    const { owner } = stored
    if (owner.kind !== 'code' || owner.scheduler !== book.scheduler) return null
    if (declarations.has(owner.scheduler, name, owner.hash) || mine?.hash === owner.hash)
      return owner.undeclaredSince === null
        ? null
        : { ...stored, owner: { ...owner, undeclaredSince: null } }
    if (mine !== undefined) return this.#declare(stored, mine, now)
    if (declarations.has(owner.scheduler, name)) return null
    if (owner.undeclaredSince === null)
      return { ...stored, owner: { ...owner, undeclaredSince: now } }
    return now - owner.undeclaredSince >= retireAfterMs ? 'remove' : null
  }

  async #change(names: readonly string[], change: Change): Promise<void> {
    const { app, ticker } = this.#options
    const changes = await changeRecords(app.store, names, change, 'leave')
    if (!changes.some(({ changed }) => changed)) return
    await announceChange(app.store, newId())
    ticker.hint()
  }

  #tellTaken(schedule: string, by: string): void {
    if (this.#taken.has(schedule)) return
    this.#taken.add(schedule)
    const { scheduler } = this.#options.book
    this.#options.app.events.warn('schedule-taken', { schedule, scheduler, by })
  }
}
