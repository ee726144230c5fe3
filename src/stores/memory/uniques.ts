/**
 * Unique keys: at most one job holds a key. A job holds its key while its state is listed in its rule, and until
 * `keyUntil`. It takes the key when it enters a listed state and the key is free, and goes on without when it is not.
 */
import type { MemoryDatabase, Row } from './state.ts'

/** Who holds a key. The entry may be left over: `holderOf` tells. */
export interface HeldKey {
  readonly job: string
  readonly until: number
}

/** The id of the job that holds a key, or null when the key is free. */
export function holderOf(db: MemoryDatabase, key: string, now: number): string | null {
  const held = db.keys.get(key)
  if (held === undefined) return null
  const job = db.jobs.get(held.job)
  return now < held.until || (job !== undefined && isListed(job)) ? held.job : null
}

/** Takes or releases a job's key, as its present state asks for. */
export function rekey(db: MemoryDatabase, row: Row, now: number): void {
  if (row.unique === null) return
  const { key } = row.unique
  const isMine = db.keys.get(key)?.job === row.id
  if (isListed(row) || now < row.keyUntil) {
    if (isMine || holderOf(db, key, now) === null)
      db.keys.set(key, { job: row.id, until: row.keyUntil })
  } else if (isMine) {
    db.keys.delete(key)
  }
}

/** Drops entries of keys that nothing holds any more. */
export function pruneKeys(db: MemoryDatabase, now: number): void {
  for (const key of db.keys.keys()) if (holderOf(db, key, now) === null) db.keys.delete(key)
}

function isListed(row: Row): boolean {
  return row.unique !== null && row.unique.during.includes(row.state)
}
