/**
 * Where waiting jobs stand: `errand_ready`, or `errand_suspects` for those that were lost, or `errand_scheduled`; and, for those
 * that may not wait for ever, `errand_overdue` beside it. A blocked job stands in none but the last.
 */
import { readCounters, type PackedCounters } from '../counters.ts'
import type { Bounds, Keyed, StoredTime } from './rows.ts'
import { READY, SCHEDULED, type StateCode } from '../state-codes.ts'
import { lastTime } from '../unreadable.ts'
import type { Transaction } from './transaction.ts'
import { rekey } from './uniques.ts'

/** What decides where a job stands. */
export interface Standing {
  readonly seq: number
  readonly queue: string
  readonly priority: number
  readonly place: StoredTime
  readonly dueAt: StoredTime
  readonly suspect: boolean
  readonly counters: PackedCounters
}

/** Each of these adds or drops one entry of a primary key. */
const ADD_READY = `INSERT INTO errand_ready (queue, priority, place, seq) VALUES (?, ?, ?, ?)`
const ADD_SUSPECT = `INSERT INTO errand_suspects (queue, priority, place, seq, losses) VALUES (?, ?, ?, ?, ?)`
const ADD_SCHEDULED = `INSERT INTO errand_scheduled (due_at, seq) VALUES (?, ?)`
const DROP_READY = `DELETE FROM errand_ready WHERE queue = ? AND priority = ? AND place = ? AND seq = ?`
const DROP_SUSPECT = `DELETE FROM errand_suspects WHERE queue = ? AND priority = ? AND place = ? AND seq = ?`
const DROP_SCHEDULED = `DELETE FROM errand_scheduled WHERE due_at = ? AND seq = ?`
const ADD_BOUND = `INSERT INTO errand_overdue (at, seq, task) VALUES (?, ?, ?)`
const DROP_BOUND = `DELETE FROM errand_overdue WHERE at = ? AND seq = ?`

/** Due jobs, earliest first: walks the primary key of errand_scheduled, then rowids. */
const DUE = `SELECT s.due_at, s.seq, j.queue, j.priority, j.place, j.suspect, j.counters, j.id, j.unique_key, j.unique_during, j.unique_until
  FROM errand_scheduled s CROSS JOIN errand_jobs j ON j.seq = s.seq
  WHERE s.due_at <= ? ORDER BY s.due_at, s.seq LIMIT 1000`
/** When the next job is due: the first step of the primary key. */
const NEXT_DUE = `SELECT min(due_at) FROM errand_scheduled WHERE due_at <= ?`
/** Drops what `DUE` found: a range of the primary key. */
const DROP_DUE = `DELETE FROM errand_scheduled WHERE (due_at, seq) <= (?, ?)`

/** Lines a job up as ready or scheduled. */
export function lineUp(tx: Transaction, job: Standing, state: StateCode): void {
  if (state === READY) {
    if (job.suspect) {
      const { losses } = readCounters(job.counters)
      // Losses that cannot be read must not keep the job out of its line: whoever claims it fails it.
      const known = Number.isSafeInteger(losses) ? losses : 0
      tx.run(ADD_SUSPECT, job.queue, job.priority, job.place, job.seq, known)
    } else {
      tx.run(ADD_READY, job.queue, job.priority, job.place, job.seq)
    }
    tx.hints.add('work')
  } else if (state === SCHEDULED) {
    tx.run(ADD_SCHEDULED, job.dueAt, job.seq)
    tx.hints.add('work')
  }
}

/** Takes a waiting job out of its line. */
export function stepOut(tx: Transaction, job: Standing & { readonly state: StateCode }): void {
  if (job.state === SCHEDULED) tx.run(DROP_SCHEDULED, job.dueAt, job.seq)
  else if (job.state === READY) {
    tx.run(job.suspect ? DROP_SUSPECT : DROP_READY, job.queue, job.priority, job.place, job.seq)
  }
}

/** Remembers when a waiting job will have waited too long. */
export function bind(tx: Transaction, job: Bounds & { readonly task: string }): void {
  const at = boundOf(job)
  if (at !== null) tx.run(ADD_BOUND, at, job.seq, job.task)
}

/** Forgets it: the job does not wait any more. */
export function unbind(tx: Transaction, job: Bounds): void {
  const at = boundOf(job)
  if (at !== null) tx.run(DROP_BOUND, at, job.seq)
}

function boundOf({ startBy, deadlineAt }: Bounds): StoredTime | null {
  if (startBy === null) return deadlineAt
  return deadlineAt === null || startBy < deadlineAt ? startBy : deadlineAt
}

/** How long until the next scheduled job is due; null when there is none. */
export function nextDueMs(tx: Transaction): number | null {
  const dueAt = tx.row(NEXT_DUE, lastTime)?.[0] as number | null
  return dueAt === null ? null : Math.max(0, dueAt - tx.now)
}

/** Makes scheduled jobs ready that are due, at most 1,000 in one call. */
export function promote(tx: Transaction): void {
  const due = tx.rows(DUE, tx.now)
  const last = due.at(-1)
  if (last === undefined) return
  for (const row of due) {
    const job: Standing & Keyed = {
      dueAt: row[0] as StoredTime,
      seq: row[1] as number,
      queue: row[2] as string,
      priority: row[3] as number,
      place: row[4] as StoredTime,
      suspect: row[5] === 1,
      counters: row[6] as PackedCounters,
      id: row[7] as string,
      key: row[8] as string | null,
      during: (row[9] as number | null) ?? 0,
      until: (row[10] as number | null) ?? 0,
    }
    lineUp(tx, job, READY)
    tx.moved(job.queue, SCHEDULED, READY)
    if (job.key !== null) rekey(tx, job, READY)
  }
  tx.run(DROP_DUE, last[0] as StoredTime, last[1] as number)
}
