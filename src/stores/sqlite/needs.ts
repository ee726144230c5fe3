/** How a job ends, and what that means for the jobs that need it. */
import type { Keep, Need } from '../../store/job.ts'
import type { PackedCounters } from '../counters.ts'
import { lineUp, stepOut, unbind } from './lines.ts'
import { nearestTime } from '../unreadable.ts'
import { addWant, dropWants, keepEnded, keepFound, keptStateColumn, openWants } from './outputs.ts'
import { readRecord, RECORD_BY_SEQ, type Keyed, type JobRecord } from './rows.ts'
import {
  BLOCKED,
  CANCELLED,
  COMPLETED,
  FAILED,
  READY,
  RUNNING,
  SCHEDULED,
  type StateCode,
} from '../state-codes.ts'
import type { Transaction } from './transaction.ts'
import { dropKey, rekey } from './uniques.ts'

/** What must be known of a job to end it. */
export interface Endable extends Keyed {
  readonly seq: number
  readonly queue: string
  /** Whether it waits for another job, or another for it: else its end costs no look at needs. */
  readonly isLinked: boolean
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

/** Adds one rowid, and entries to the indexes of errand_finished. */
const ADD_FINISHED = `INSERT INTO errand_finished
  (seq, state, finished_at, keep_ms, token, worker, started_at, counters, reason, output) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
/** These two walk to one rowid, and to its entries in the table's indexes. */
const DROP_FINISHED = `DELETE FROM errand_finished WHERE seq = ?`
const DROP_JOB = `DELETE FROM errand_jobs WHERE seq = ?`
/** Whether a job has any of what the next three drop: one step in the primary key of each. */
const IS_TRACED = `SELECT EXISTS (SELECT 1 FROM errand_progress WHERE seq = ?1)
  OR EXISTS (SELECT 1 FROM errand_log WHERE seq = ?1) OR EXISTS (SELECT 1 FROM errand_recorded WHERE seq = ?1)`
/** A rowid. */
const DROP_PROGRESS = `DELETE FROM errand_progress WHERE seq = ?`
/** These two walk a range of the primary key. */
const DROP_LOG = `DELETE FROM errand_log WHERE seq = ?`
const DROP_RECORDED = `DELETE FROM errand_recorded WHERE seq = ?`
/** Walks the primary key of errand_needs. */
const ADD_NEED = `INSERT OR REPLACE INTO errand_needs (need, seq, on_failed) VALUES (?, ?, ?)`
/** Walks the index of needs by job. */
const DROP_NEEDS = `DELETE FROM errand_needs WHERE seq = ?`
/** Walks the primary key of errand_needs. */
const DROP_NEED = `DELETE FROM errand_needs WHERE need = ? AND seq = ?`
/** One step in the index of needs by job. */
const HAS_NEEDS = `SELECT EXISTS (SELECT 1 FROM errand_needs WHERE seq = ?)`
/**
 * Needs of one job with the state of each needed one: null when it is the job itself, or unknown and
 * nothing of it is kept, -1 when it is not final. Walks the index of needs by job, then the unique index of ids, then rowids.
 */
const NEEDS = `SELECT n.need, n.on_failed, iif(j.seq IS NULL OR j.seq = n.seq, ${keptStateColumn}, coalesce(f.state, -1))
  FROM errand_needs n LEFT JOIN errand_jobs j ON j.id = n.need LEFT JOIN errand_finished f ON f.seq = j.seq WHERE n.seq = ?`
/** Jobs that wait for one: walks the primary key of errand_needs. */
const DEPENDANTS = `SELECT seq, on_failed FROM errand_needs WHERE need = ?`
/** A rowid. */
const SET_PLACE = `UPDATE errand_jobs SET place = ? WHERE seq = ?`

/**
 * What becomes of a job by its needs: they are met, some are open, or one failed that the job does
 * not survive.
 */
export type Weighed = 'met' | 'open' | 'cancel' | 'fail'

/** The numbers of `onFailed` in the file: their places here. */
const onFailedCodes: readonly Need['onFailed'][] = ['cancel', 'fail', 'run']

function onFailedOf(code: unknown): Need['onFailed'] {
  return onFailedCodes[code as number] ?? 'cancel'
}

/**
 * Brings a job that is in no line any more, or is new, into a final state. `release` must follow in
 * the same transaction.
 */
export function finish(
  tx: Transaction,
  job: Endable,
  from: StateCode | null,
  ending: Ending,
): void {
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
  if (job.isLinked) tx.run(DROP_NEEDS, job.seq)
  if (job.key !== null) rekey(tx, job, state)
}

/**
 * Ends a job that waits: in its line, or blocked. `release` must follow in the same transaction.
 */
export function endWaiting(
  tx: Transaction,
  job: JobRecord,
  { state, reason }: { readonly state: StateCode; readonly reason: string | null },
): void {
  stepOut(tx, job)
  unbind(tx, job)
  finish(tx, job, job.state, {
    state,
    output: null,
    reason,
    keepMs: job.keepCancelledMs,
    token: job.settledToken,
    worker: job.lastWorker,
    startedAt: null,
    counters: job.counters,
  })
}

/** Ends a waiting job whose need failed, with the jobs that need it in turn. */
export function endForNeed(tx: Transaction, job: JobRecord, verdict: Weighed): void {
  if (verdict !== 'cancel' && verdict !== 'fail') return
  const state = finishForNeed(tx, job, verdict)
  release(tx, job, state, job.keepCancelledMs)
}

function finishForNeed(tx: Transaction, job: JobRecord, verdict: 'cancel' | 'fail'): StateCode {
  const state = verdict === 'fail' ? FAILED : CANCELLED
  endWaiting(tx, job, { state, reason: 'need-failed' })
  return state
}

/**
 * Settles the needs of the jobs that waited for an ended one, then of those that ended for it, and
 * so on. Jobs that are not to be kept go.
 */
export function release(
  tx: Transaction,
  job: Endable,
  state: StateCode | null,
  keepMs: Keep,
): void {
  const endings = [{ job, state, keepMs }]
  for (let ended = endings.pop(); ended !== undefined; ended = endings.pop()) {
    if (ended.job.isLinked || tx.isNeeded(ended.job.id)) {
      keepEnded(tx, ended.job.id)
      for (const { dependant, verdict } of failedDependants(tx, ended.job.id, ended.state)) {
        const endState = finishForNeed(tx, dependant, verdict)
        endings.push({ job: dependant, state: endState, keepMs: dependant.keepCancelledMs })
      }
    }
    if (ended.state !== null && ended.keepMs !== null && ended.keepMs <= 0)
      erase(tx, ended.job, ended.state, true)
  }
}

interface Failed {
  readonly dependant: JobRecord
  readonly verdict: 'cancel' | 'fail'
}

/** Strikes the need of dependants that go on without it, and returns those that must end for it. */
function failedDependants(tx: Transaction, id: string, state: StateCode | null): Failed[] {
  const failed: Failed[] = []
  for (const [seq, code] of tx.rows(DEPENDANTS, id)) {
    const dependant = recordOf(tx, seq as number)
    if (dependant === null) continue
    const verdict = onFailedOf(code)
    if (state !== COMPLETED && verdict !== 'run') {
      // One that is leased as overdue keeps the failed need until it is put back.
      if (dependant.state === BLOCKED) failed.push({ dependant, verdict })
      continue
    }
    tx.run(DROP_NEED, id, seq as number)
    if (dependant.state === BLOCKED && !hasNeeds(tx, dependant.seq)) unblock(tx, dependant)
  }
  return failed
}

function unblock(tx: Transaction, job: JobRecord): void {
  const state = job.dueAt > tx.now ? SCHEDULED : READY
  const place = Math.max(nearestTime(job.dueAt), tx.now) - job.headStartMs
  if (place !== job.place) tx.run(SET_PLACE, place, job.seq)
  lineUp(tx, { ...job, place }, state)
  tx.moved(job.queue, BLOCKED, state)
  rekey(tx, job, state)
}

/** Writes down what a new job waits for. */
export function addNeeds(tx: Transaction, seq: number, needs: readonly Need[]): void {
  for (const need of needs) {
    const code = onFailedCodes.indexOf(need.onFailed)
    tx.run(ADD_NEED, need.id, seq, code)
    addWant(tx, seq, need, code)
    tx.needs(need.id)
  }
}

/** Lets a job that is to run again wait for what has not ended of its needs. Returns whether it does. */
export function waitAgain(tx: Transaction, seq: number): boolean {
  const open = openWants(tx, seq)
  keepFound(tx, seq)
  for (const [need, code] of open) {
    tx.run(ADD_NEED, need, seq, code)
    tx.needs(need)
  }
  return open.length > 0
}

/**
 * Weighs a job's needs by what the store knows now: strikes those that are met, or failed and may
 * fail.
 */
export function weighNeeds(tx: Transaction, seq: number): Weighed {
  let open = false
  keepFound(tx, seq)
  for (const [need, code, state] of tx.rows(NEEDS, seq)) {
    const verdict = onFailedOf(code)
    if (state === -1) open = true
    else if (state !== COMPLETED && verdict !== 'run') return verdict
    else tx.run(DROP_NEED, need as string, seq)
  }
  return open ? 'open' : 'met'
}

/**
 * Removes a job that does not run, with all that belongs to it. Its unique key stays with `keepKey`
 * while its own time runs.
 */
export function erase(tx: Transaction, job: Endable, state: StateCode, keepKey: boolean): void {
  if (state > RUNNING) tx.run(DROP_FINISHED, job.seq)
  const dropOutputs = dropWants(tx, job.seq)
  tx.run(DROP_JOB, job.seq)
  dropOutputs()
  if (tx.anyTraces() && tx.row(IS_TRACED, job.seq)?.[0] === 1) {
    tx.run(DROP_PROGRESS, job.seq)
    tx.run(DROP_LOG, job.seq)
    tx.run(DROP_RECORDED, job.seq)
  }
  // A finished job has dropped its needs with its end.
  if (job.isLinked && state < RUNNING) tx.run(DROP_NEEDS, job.seq)
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
