/** Which finished jobs have been kept long enough, and their removal in chunks. */
import { workerRecordKeptMs } from '../bounds.ts'
import type { Row, Value } from './connection.ts'
import { erase } from './needs.ts'
import type { StoredTime } from './rows.ts'
import { COMPLETED } from '../state-codes.ts'
import type { Transaction } from './transaction.ts'
import { pruneKeys } from './uniques.ts'

/** How long jobs are kept, each length once: jumps from one to the next in the index (keep_ms, finished_at). */
const KEEPS = `WITH RECURSIVE keeps (ms) AS (
    SELECT min(keep_ms) FROM errand_finished
    UNION ALL SELECT (SELECT min(keep_ms) FROM errand_finished WHERE keep_ms > ms) FROM keeps WHERE ms IS NOT NULL)
  SELECT ms FROM keeps WHERE ms IS NOT NULL`
const DOOMED = `j.seq, j.id, j.queue, j.unique_key, j.unique_during, j.unique_until, f.state, f.finished_at`
/** Jobs of one length of keeping whose time is over, oldest first: walks that index. */
const EXPIRED = `SELECT ${DOOMED} FROM errand_finished f CROSS JOIN errand_jobs j ON j.seq = f.seq
  WHERE f.keep_ms = ? AND f.finished_at <= ? ORDER BY f.finished_at, f.seq LIMIT ?`
/** The oldest jobs of one length of keeping, or of those kept for ever: walks that index. */
const OLDEST = `SELECT ${DOOMED} FROM errand_finished f CROSS JOIN errand_jobs j ON j.seq = f.seq
  WHERE f.keep_ms IS ? ORDER BY f.finished_at, f.seq LIMIT ?`
/** One step in that index. */
const ANY_EXPIRED = `SELECT EXISTS (SELECT 1 FROM errand_finished WHERE keep_ms = ? AND finished_at <= ?)`
/** Scans errand_tally, which holds a few rows for each queue. */
const FINISHED = `SELECT coalesce(sum(count), 0) FROM errand_tally WHERE state >= ${COMPLETED}`
/** Scans errand_workers. */
const PRUNE_WORKERS = `DELETE FROM errand_workers WHERE last_seen_at < ?`

/** Removes finished jobs: first those beyond their retention, then the oldest beyond the newest `cap`. */
export function prune(
  tx: Transaction,
  request: { readonly limit: number; readonly cap: number },
): { removed: number; more: boolean } {
  const finished = tx.row(FINISHED)?.[0] as number
  const keeps = keepsOf(tx)
  let removed = 0
  for (const ms of keeps.filter(isNumber)) {
    const room = request.limit - removed
    if (room > 0) removed += eraseAll(tx, tx.rows(EXPIRED, ms, tx.now - ms, room))
  }
  const excess = Math.min(finished - removed - request.cap, request.limit - removed)
  if (excess > 0) {
    const oldest = [null, ...keeps].flatMap((ms) => [...tx.rows(OLDEST, ms, excess)])
    removed += eraseAll(tx, oldest.sort(byEnd).slice(0, excess))
  }
  tx.run(PRUNE_WORKERS, tx.now - workerRecordKeptMs)
  pruneKeys(tx)
  return { removed, more: removed === request.limit }
}

/** Whether finished jobs have outlived their retention. */
export function needsPrune(tx: Transaction): boolean {
  return keepsOf(tx)
    .filter(isNumber)
    .some((ms) => tx.row(ANY_EXPIRED, ms, tx.now - ms)?.[0] === 1)
}

/** The lengths of keeping; of those that no number of JavaScript holds none ever ends. */
function keepsOf(tx: Transaction): readonly Value[] {
  return tx.rows(KEEPS).map(([ms]) => ms as Value)
}

function isNumber(value: Value): value is number {
  return typeof value === 'number'
}

function eraseAll(tx: Transaction, rows: readonly Row[]): number {
  for (const row of rows) {
    const job = {
      seq: row[0] as number,
      id: row[1] as string,
      queue: row[2] as string,
      key: row[3] as string | null,
      during: (row[4] as number | null) ?? 0,
      until: (row[5] as number | null) ?? 0,
      // Its end has answered whoever waited for it.
      isLinked: false,
    }
    erase(tx, job, row[6] as number, true)
  }
  return rows.length
}

function byEnd(a: Row, b: Row): number {
  const [endA, endB] = [a[7] as StoredTime, b[7] as StoredTime]
  if (endA !== endB) return endA < endB ? -1 : 1
  return (a[0] as number) - (b[0] as number)
}
