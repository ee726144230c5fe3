/** The schedules of a store as one process knows them, and which of them it may fire when. */
import type { ScheduleRecord } from '../flows/schedules/records.ts'
import type { Declared } from '../flows/schedules/declared.ts'
import { ticksOfRule } from '../flows/schedules/own-rule.ts'
import { nextDue, type Due } from '../flows/schedules/plan.ts'
import type { StoredSchedule } from '../flows/schedules/stored.ts'
import { ticksOf, type Ticks } from '../flows/schedules/ticks.ts'

/** How long others leave a tick to the process that fired the schedule last. */
const courtesyMs = 50

export interface KnownSchedule {
  readonly name: string
  /** Its record when this process saw it last. */
  text: string
  stored: StoredSchedule
  ticks: Ticks
  /** Its next tick; null when there is none. */
  due: Due | null
  /** Whether this process wrote the record as it is. */
  isMine: boolean
  /** No sooner than this is it looked at again. */
  notBefore: number
}

/** What is wrong with a schedule: a rule of the code threw. */
export type Broken = (schedule: StoredSchedule, text: string, error: unknown) => void

/** A schedule whose times cannot be told here. */
export type Unreadable = (schedule: string, error: unknown) => void

export class KnownSchedules {
  /** Those that this process can fire. */
  readonly #fired = new Map<string, KnownSchedule>()
  /** All that it can read. */
  readonly #stored = new Map<string, StoredSchedule>()
  readonly #declared: ReadonlyMap<string, Declared>
  readonly #broken: Broken
  readonly #unreadable: Unreadable

  constructor(
    declared: ReadonlyMap<string, Declared>,
    found: { readonly broken: Broken; readonly unreadable: Unreadable },
  ) {
    this.#declared = declared
    this.#broken = found.broken
    this.#unreadable = found.unreadable
  }

  /** All schedules as this process saw them last. */
  get stored(): Iterable<StoredSchedule> {
    return this.#stored.values()
  }

  /** Takes in all records of the store. */
  adoptAll(records: readonly ScheduleRecord[]): void {
    const names = new Set(records.map(({ name }) => name))
    for (const name of this.#stored.keys()) if (!names.has(name)) this.adopt(name, null)
    for (const record of records) this.adopt(record.name, record)
  }

  /** Takes in a record that this process has just written. */
  keep(record: ScheduleRecord): void {
    this.#take(record.name, record, { isMine: true })
  }

  /** Takes in a record as the store has it; null for one that is gone. */
  adopt(name: string, record: ScheduleRecord | null): void {
    this.#take(name, record, { isMine: false })
  }

  #take(
    name: string,
    record: ScheduleRecord | null,
    { isMine }: { readonly isMine: boolean },
  ): void {
    if (record?.text === this.#fired.get(name)?.text && record !== null) return
    this.#fired.delete(name)
    this.#stored.delete(name)
    if (record === null || record.stored === null) return
    const { stored, text } = record
    this.#stored.set(name, stored)
    const ticks = this.#ticksOrNone(stored)
    if (ticks === null) return
    const known = { name, text, stored, ticks, due: null, isMine, notBefore: -Infinity }
    this.#fired.set(name, known)
    this.#look(known)
  }

  /** At most `limit` schedules that are due, and when the next one is. */
  due(now: number, limit: number): { readonly due: KnownSchedule[]; readonly nextAt: number } {
    const due: KnownSchedule[] = []
    let nextAt = Infinity
    for (const known of this.#fired.values()) {
      const at = lookAt(known)
      if (at <= now && due.length < limit) due.push(known)
      else if (at < nextAt) nextAt = at
    }
    return { due, nextAt }
  }

  /** Null also for a zone or a text that this process cannot read: others may. */
  #ticksOrNone(stored: StoredSchedule): Ticks | null {
    try {
      return this.#ticksFor(stored)
    } catch (error) {
      this.#unreadable(stored.name, error)
      return null
    }
  }

  #look(known: KnownSchedule): void {
    try {
      known.due = nextDue(known.stored, known.ticks)
    } catch (error) {
      this.#broken(known.stored, known.text, error)
    }
  }

  /** How its ticks are found here; null where only other code knows. */
  #ticksFor({ name, when, missed, enqueues, owner }: StoredSchedule): Ticks | null {
    const mine = this.#declared.get(name)
    // Another release may have another function.
    const isMine = owner.kind === 'code' && owner.hash === mine?.hash
    const { run, choose, rule } = isMine ? mine : noFunctions
    if (enqueues === null && run === null) return null
    if (missed === 'own' && choose === null) return null
    if (when.kind !== 'rule') return ticksOf(when)
    return rule === null ? null : ticksOfRule(rule, name)
  }
}

const noFunctions: Pick<Declared, 'run' | 'choose' | 'rule'> = {
  run: null,
  choose: null,
  rule: null,
}

/** When a schedule is next looked at. */
function lookAt({ due, isMine, notBefore }: KnownSchedule): number {
  if (due === null) return Infinity
  return Math.max(due.at + (isMine ? 0 : courtesyMs), notBefore)
}
