/**
 * Unique keys: the primary key of `errand_uniques` lets at most one job hold a key. A row is held while its job's state is listed
 * in the job's rule (`held`), and until `until`. A row that is neither is left over and free.
 */
import type { Keyed } from './rows.ts'
import { lists, type StateCode } from '../state-codes.ts'
import type { Transaction } from './transaction.ts'

/** Each of these walks the primary key of errand_uniques. */
const HOLDER = `SELECT id FROM errand_uniques WHERE key = ? AND (held = 1 OR until > ?)`
const TAKE = `INSERT INTO errand_uniques (key, id, held, until) VALUES (?, ?, ?, ?)
  ON CONFLICT (key) DO UPDATE SET id = excluded.id, held = excluded.held, until = excluded.until
  WHERE id = excluded.id OR (held = 0 AND until <= ?)`
const DROP = `DELETE FROM errand_uniques WHERE key = ? AND id = ?`
const LEAVE = `UPDATE errand_uniques SET held = 0 WHERE key = ? AND id = ? AND until > ?`
/** Drops keys that nothing holds any more: walks the partial index of those whose job is in no listed state. */
const PRUNE = `DELETE FROM errand_uniques WHERE held = 0 AND until <= ?`

/** The id of the job that holds a key, or null when the key is free. */
export function holderOf(tx: Transaction, key: string): string | null {
  return (tx.row(HOLDER, key, tx.now)?.[0] as string | undefined) ?? null
}

/** Takes or releases a job's key, as the state asks for that it has now. */
export function rekey(tx: Transaction, job: Keyed, state: StateCode): void {
  if (job.key === null) return
  const listed = lists(job.during, state)
  if (listed || tx.now < job.until) {
    tx.run(TAKE, job.key, job.id, listed ? 1 : 0, job.until, tx.now)
  } else {
    tx.run(DROP, job.key, job.id)
  }
}

/** Drops the key of a job that is removed, but for `keepKey` while the key's own time runs. */
export function dropKey(tx: Transaction, job: Keyed, keepKey: boolean): void {
  if (job.key === null) return
  if (keepKey && tx.run(LEAVE, job.key, job.id, tx.now) > 0) return
  tx.run(DROP, job.key, job.id)
}

/** Drops entries of keys that nothing holds any more. */
export function pruneKeys(tx: Transaction): void {
  tx.run(PRUNE, tx.now)
}
