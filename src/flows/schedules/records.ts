/** Reads and changes the records of schedules. */
import { ErrandError } from '../../core/errors.ts'
import { answered } from '../../loops/call-deadline.ts'
import type { RecordsQuery, RecordWrite, StoredRecord } from '../../store/records.ts'
import type { Store } from '../../store/store.ts'
import {
  readSchedule,
  scheduleKey,
  schedulePrefix,
  versionKey,
  writeSchedule,
  type StoredSchedule,
} from './stored.ts'

/** A record of a schedule as it was read; null for one that this code cannot read. */
export interface ScheduleRecord {
  readonly name: string
  readonly text: string
  readonly stored: StoredSchedule | null
}

/** Records in one call. */
const chunk = 1_000

/** Somebody else may change a record between the look at it and the change: then again. */
const mostTries = 20

/** Reads all schedules, in the order of their names. */
export async function listRecords(store: Store): Promise<readonly ScheduleRecord[]> {
  const found: ScheduleRecord[] = []
  for (let after: string | null = null; ;) {
    const query: RecordsQuery = { prefix: schedulePrefix, after, limit: chunk }
    const page: readonly StoredRecord[] = await answered(store.clock, store.listRecords(query))
    for (const { key, text } of page)
      found.push({ name: key.slice(schedulePrefix.length), text, stored: readSchedule(text) })
    const last = page.at(-1)
    if (last === undefined || page.length < chunk) return found
    after = last.key
  }
}

/** Reads schedules by name. */
export async function getRecords(
  store: Store,
  names: readonly string[],
): Promise<readonly (ScheduleRecord | null)[]> {
  const found: (ScheduleRecord | null)[] = []
  for (let from = 0; from < names.length; from += chunk) {
    const some = names.slice(from, from + chunk)
    const texts = await answered(store.clock, store.getRecords(some.map(scheduleKey)))
    for (const [n, name] of some.entries()) {
      const text = texts[n] ?? null
      found.push(text === null ? null : { name, text, stored: readSchedule(text) })
    }
  }
  return found
}

/** What a change makes of a schedule: another, `'remove'`, or null to leave it. */
export type Change = (
  stored: StoredSchedule | null,
  name: string,
) => StoredSchedule | 'remove' | null

/** A schedule after a change; `stored` is null when there is none. */
export interface Changed {
  readonly name: string
  readonly stored: StoredSchedule | null
  readonly changed: boolean
}

/**
 * Changes schedules, whatever others do to them meanwhile; in as few calls as may be. Resolves with
 * what they are then. Rejects with what `change` throws, `too-large`, and `store-busy` when others
 * are faster twenty times. What another version of Errand wrote is refused, or left as it is.
 */
export async function changeRecords(
  store: Store,
  names: readonly string[],
  change: Change,
  unknownForm: 'refuse' | 'leave' = 'refuse',
): Promise<readonly Changed[]> {
  const done = new Map<string, Changed>()
  let left = names
  for (let tries = 0; left.length > 0; tries += 1) {
    if (tries === mostTries)
      throw new ErrandError('store-busy', `schedule ${left[0]} is changed by others all the time.`)
    const records = await getRecords(store, left)
    const writes: (RecordWrite & Changed)[] = []
    for (const [n, name] of left.entries()) {
      const record = records[n] ?? null
      const isUnreadable = record !== null && record.stored === null
      if (isUnreadable && unknownForm === 'refuse') throw unreadable(name)
      const wanted = isUnreadable ? null : change(record?.stored ?? null, name)
      if (wanted === null) done.set(name, { name, stored: record?.stored ?? null, changed: false })
      else {
        const stored = wanted === 'remove' ? null : wanted
        const text = stored === null ? null : writeSchedule(stored)
        const key = scheduleKey(name)
        writes.push({ key, text, if: record?.text ?? null, name, stored, changed: true })
      }
    }
    left = await putAll(store, writes, done)
  }
  return names.flatMap((name) => done.get(name) ?? [])
}

/** Changes one schedule. */
export async function changeRecord(store: Store, name: string, change: Change): Promise<Changed> {
  const [changed] = await changeRecords(store, [name], change)
  return changed ?? { name, stored: null, changed: false }
}

/** Returns the names of those that somebody else has changed. */
async function putAll(
  store: Store,
  writes: readonly (RecordWrite & Changed)[],
  done: Map<string, Changed>,
): Promise<readonly string[]> {
  const stale: string[] = []
  for (let from = 0; from < writes.length; from += chunk) {
    const some = writes.slice(from, from + chunk)
    const records = some.map(({ key, text, if: was = null }) => ({ key, text, if: was }))
    const answers = await answered(store.clock, store.putRecords(records))
    for (const [n, { name, stored, changed }] of some.entries()) {
      if (answers[n] === 'put') done.set(name, { name, stored, changed })
      else stale.push(name)
    }
  }
  return stale
}

/** Writes a record if it is still what it was. */
export async function putRecord(
  store: Store,
  name: string,
  from: string | null,
  to: string | null,
): Promise<boolean> {
  const write = { key: scheduleKey(name), text: to, if: from }
  const [answer] = await answered(store.clock, store.putRecords([write]))
  return answer === 'put'
}

/** Tells every process that schedules have changed. */
export async function announceChange(store: Store, version: string): Promise<void> {
  await answered(store.clock, store.putRecords([{ key: versionKey, text: version }]))
}

export function unreadable(name: string): ErrandError {
  return new ErrandError(
    'store-too-new',
    `schedule ${name} was written by another version of Errand: use that one, or remove it.`,
  )
}
