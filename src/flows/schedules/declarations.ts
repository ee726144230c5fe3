/**
 * Which schedules living workers declare. Each worker's record names a set; the set is a record of
 * its own, shared by all workers of one release.
 */
import { createHash } from 'node:crypto'
import { answered } from '../../loops/call-deadline.ts'
import type { WorkerRecord } from '../../store/registry.ts'
import type { Store } from '../../store/store.ts'
import type { Declared } from './declared.ts'

/** A worker that was not seen for this long has died. */
const deadAfterMs = 60_000

const prefix = 'schedule-set:'

/** The schedules of one release: the name of each, with its hash. */
export interface ScheduleSet {
  readonly key: string
  readonly scheduler: string
  readonly text: string
}

export function setOf(scheduler: string, declared: readonly Declared[]): ScheduleSet {
  const pairs = declared.map(({ name, hash }) => [name, hash] as const)
  const text = JSON.stringify(Object.fromEntries(pairs.toSorted(([a], [b]) => (a < b ? -1 : 1))))
  const hash = createHash('sha256').update(text).digest('hex').slice(0, 16)
  return { key: `${prefix}${scheduler}:${hash}`, scheduler, text }
}

/** What living workers declare. */
export class Declarations {
  /** Sets by scheduler. A set that cannot be read may hold anything. */
  readonly #sets: ReadonlyMap<string, readonly (ReadonlyMap<string, string> | 'unknown')[]>

  constructor(sets: ReadonlyMap<string, readonly (ReadonlyMap<string, string> | 'unknown')[]>) {
    this.#sets = sets
  }

  /** Whether a living worker declares a schedule; with `hash`, as it was declared with that. */
  has(scheduler: string, name: string, hash?: string): boolean {
    return (this.#sets.get(scheduler) ?? []).some((set) => {
      if (set === 'unknown') return true
      const declared = set.get(name)
      return declared !== undefined && (hash === undefined || declared === hash)
    })
  }
}

/** Reads what living workers declare, by the store's time. */
export async function readDeclarations(store: Store, now: number): Promise<Declarations> {
  const workers = await answered(store.clock, store.workers())
  const keys = [...new Set(workers.filter((one) => isLiving(one, now)).flatMap(setKeyOf))]
  const texts = await answered(store.clock, store.getRecords(keys))
  const sets = new Map<string, (ReadonlyMap<string, string> | 'unknown')[]>()
  for (const [n, key] of keys.entries()) {
    const scheduler = key.slice(prefix.length, key.lastIndexOf(':'))
    sets.set(scheduler, [...(sets.get(scheduler) ?? []), readSet(texts[n] ?? null)])
  }
  return new Declarations(sets)
}

/** Removes the sets of a scheduler that no worker's record names any more. */
export async function removeOldSets(store: Store, scheduler: string): Promise<void> {
  const query = { prefix: `${prefix}${scheduler}:`, after: null, limit: 1_000 }
  const sets = await answered(store.clock, store.listRecords(query))
  const named = new Set((await answered(store.clock, store.workers())).flatMap(setKeyOf))
  const old = sets.filter(({ key }) => !named.has(key))
  if (old.length === 0) return
  const writes = old.map(({ key, text }) => ({ key, text: null, if: text }))
  await answered(store.clock, store.putRecords(writes))
}

function isLiving({ stopped, lastSeenAt }: WorkerRecord, now: number): boolean {
  return !stopped && now - lastSeenAt <= deadAfterMs
}

function setKeyOf({ schedules }: WorkerRecord): string[] {
  return typeof schedules === 'string' && schedules.startsWith(prefix) ? [schedules] : []
}

function readSet(text: string | null): ReadonlyMap<string, string> | 'unknown' {
  try {
    return text === null
      ? 'unknown'
      : new Map(Object.entries(JSON.parse(text) as Record<string, string>))
  } catch {
    return 'unknown'
  }
}
