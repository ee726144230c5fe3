/** How a job ends, and what that means for the jobs that need it. */
import type { Keep, Need } from '../../store/job.ts'
import { lineUp, stepOut, unbind } from './lines.ts'
import {
  readRecord,
  RECORD_BY_SEQ,
  type Keyed,
  type PackedCounters,
  type JobRecord,
} from './rows.ts'
import {
  BLOCKED,
  CANCELLED,
  COMPLETED,
  READY,
  RUNNING,
  SCHEDULED,
  type StateCode,
} from './states.ts'
import type { Transaction } from './transaction.ts'
import { dropKey, rekey } from './uniques.ts'

/** What must be known of a job to end it. */
export interface Endable extends Keyed {
  readonly seq: number
  readonly queue: string
}

/** How a job ends. */
export interface Ending {
  readonly state: StateCode
  readonly output: string | null
  readonly reason: string | null
  readonly keepMs: Keep
  readonly token: number
  readonly worker: string | null
  readonly startedAt: number | null
  /** Packed. */
  readonly counters: PackedCounters
}

const ADD_FINISHED = `INSERT INTO errand_finished
  (seq, state, finished_at, keep_ms, token, worker, started_at, counters, reason, output) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
const DROP_FINISHED = `DELETE FROM errand_finished WHERE seq = ?`
const DROP_JOB = `DELETE FROM errand_jobs WHERE seq = ?`
const DROP_PROGRESS = `DELETE FROM errand_progress WHERE seq = ?`
const DROP_LOG = `DELETE FROM errand_log WHERE seq = ?`
const ADD_NEED = `INSERT OR REPLACE INTO errand_needs (need, seq, runs_anyway) VALUES (?, ?, ?)`
/** Walks the index of needs by job. */
const DROP_NEEDS = `DELETE FROM errand_needs WHERE seq = ?`
const DROP_NEED = `DELETE FROM errand_needs WHERE need = ? AND seq = ?`
const HAS_NEEDS = `SELECT EXISTS (SELECT 1 FROM errand_needs WHERE seq = ?)`
/** Needs of one job with the state of each needed one: null when it is unknown or the job itself, -1 when it is not final. */
const NEEDS = `SELECT n.need, n.runs_anyway, iif(j.seq IS NULL OR j.seq = n.seq, NULL, coalesce(f.state, -1))
  FROM errand_needs n LEFT JOIN errand_jobs j ON j.id = n.need LEFT JOIN errand_finished f ON f.seq = j.seq WHERE n.seq = ?`
/** Jobs that wait for one: walks the primary key of errand_needs. */
const DEPENDANTS = `SELECT seq, runs_anyway FROM errand_needs WHERE need = ?`
const SET_PLACE = `UPDATE errand_jobs SET place = ? WHERE seq = ?`

/** Brings a job that is in no line any more into a final state. `release` must follow in the same transaction. */
export function finish(tx: Transaction, job: Endable, from: StateCode, ending: Ending): void {
  const { state, keepMs, token, worker, startedAt, counters, reason, output } = ending
  tx.run(
    ADD_FINISHED,
    job.seq,
    state,
    tx.now,
    keepMs,
    token,
    worker,
    startedAt,
    counters,
    reason,
    output,
  )
  tx.moved(job.queue, from, state)
  tx.hints.add('finished')
  if (tx.anyNeeds()) tx.run(DROP_NEEDS, job.seq)
  if (job.key !== null) rekey(tx, job, state)
}

/** Ends a job that waits: in its line, or blocked. `release` must follow in the same transaction. */
export function cancelWaiting(tx: Transaction, job: JobRecord, reason: string | null): void {
  stepOut(tx, job)
  unbind(tx, job)
  finish(tx, job, job.state, {
    state: CANCELLED,
    output: null,
    reason,
    keepMs: job.keepCancelledMs,
    token: job.settledToken,
    worker: job.lastWorker,
    startedAt: null,
    counters: job.counters,
  })
}

/**
 * Settles the needs of the jobs that waited for an ended one, then of those that were cancelled for it, and so on.
 * Jobs that are not to be kept go.
 */
export function release(
  tx: Transaction,
  job: Endable,
  state: StateCode | null,
  keepMs: Keep,
): void {
  const endings = [{ job, state, keepMs }]
  for (let ended = endings.pop(); ended !== undefined; ended = endings.pop()) {
    if (tx.anyNeeds()) {
      for (const cancelled of answerDependants(tx, ended.job.id, ended.state === COMPLETED)) {
        endings.push({ job: cancelled, state: CANCELLED, keepMs: cancelled.keepCancelledMs })
      }
    }
    if (ended.state !== null && ended.keepMs !== null && ended.keepMs <= 0)
      erase(tx, ended.job, ended.state, true)
  }
}

/** Tells dependants that their need ended, and answers those that were cancelled for it. */
function answerDependants(tx: Transaction, id: string, isMet: boolean): readonly JobRecord[] {
  const cancelled: JobRecord[] = []
  for (const [seq, runsAnyway] of tx.rows(DEPENDANTS, id)) {
    const dependant = recordOf(tx, seq as number)
    if (dependant === null) continue
    if (!isMet && runsAnyway === 0) {
      // One that is leased as overdue keeps the failed need until it is put back.
      if (dependant.state !== BLOCKED) continue
      cancelWaiting(tx, dependant, 'need-failed')
      cancelled.push(dependant)
      continue
    }
    tx.run(DROP_NEED, id, seq as number)
    if (dependant.state === BLOCKED && !hasNeeds(tx, dependant.seq)) unblock(tx, dependant)
  }
  return cancelled
}

function unblock(tx: Transaction, job: JobRecord): void {
  const state = job.dueAt > tx.now ? SCHEDULED : READY
  const place = job.dueAt > tx.now ? job.dueAt : tx.now
  if (place !== job.place) tx.run(SET_PLACE, place, job.seq)
  lineUp(tx, { ...job, place }, state)
  tx.moved(job.queue, BLOCKED, state)
  rekey(tx, job, state)
}

/** Writes down what a new job waits for. */
export function addNeeds(tx: Transaction, seq: number, needs: readonly Need[]): void {
  for (const need of needs) tx.run(ADD_NEED, need.id, seq, need.onFailed === 'run' ? 1 : 0)
  if (needs.length > 0) tx.needed()
}

/** Weighs a job's needs by what the store knows now: strikes those that are met, or failed and may fail. */
export function weighNeeds(tx: Transaction, seq: number): 'met' | 'open' | 'cancel' {
  if (!tx.anyNeeds()) return 'met'
  let open = false
  for (const [need, runsAnyway, state] of tx.rows(NEEDS, seq)) {
    if (state === -1) open = true
    else if (state !== COMPLETED && runsAnyway === 0) return 'cancel'
    else tx.run(DROP_NEED, need as string, seq)
  }
  return open ? 'open' : 'met'
}

/** Removes a job that does not run, with all that belongs to it. Its unique key stays with `keepKey` while its own time runs. */
export function erase(tx: Transaction, job: Endable, state: StateCode, keepKey: boolean): void {
  if (state > RUNNING) tx.run(DROP_FINISHED, job.seq)
  tx.run(DROP_JOB, job.seq)
  if (tx.anyTraces()) {
    tx.run(DROP_PROGRESS, job.seq)
    tx.run(DROP_LOG, job.seq)
  }
  if (tx.anyNeeds()) tx.run(DROP_NEEDS, job.seq)
  tx.moved(job.queue, state, null)
  dropKey(tx, job, keepKey)
}

/** Forgets the progress of a job's earlier runs. */
export function dropProgress(tx: Transaction, seq: number): void {
  tx.run(DROP_PROGRESS, seq)
}

/** Makes a finished job unfinished. */
export function unfinish(tx: Transaction, seq: number): void {
  tx.run(DROP_FINISHED, seq)
}

function hasNeeds(tx: Transaction, seq: number): boolean {
  return tx.row(HAS_NEEDS, seq)?.[0] === 1
}

function recordOf(tx: Transaction, seq: number): JobRecord | null {
  const row = tx.row(RECORD_BY_SEQ, seq)
  return row === undefined ? null : readRecord(row)
}
