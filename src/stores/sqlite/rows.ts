/**
 * From rows of the file to values: jobs as they are handed out, as the store's own verbs see them,
 * and as readers show them.
 */
import { cutMs } from '../../core/duration.ts'
import type { ClaimedJob, Needed, StoredJob } from '../../store/job.ts'
import { isHeadStart } from '../bounds.ts'
import { handedOut, readTexts, shown } from '../unreadable.ts'
import type { Row } from './connection.ts'
import { readCounters, type PackedCounters } from '../counters.ts'
import { knownAt, knownColumns, knownWidth, readKnown } from './job-columns.ts'
import { BLOCKED, READY, RUNNING, SCHEDULED, stateOf, type StateCode } from '../state-codes.ts'

/**
 * A time as it is stored, by which its row is found again. One that no number of JavaScript holds
 * is a `bigint`.
 */
export type StoredTime = number | bigint

/** The unique rule of a job as it is stored. */
export interface Keyed {
  readonly id: string
  readonly key: string | null
  readonly during: number
  readonly until: number
}

/** How long a job may wait. */
export interface Bounds {
  readonly seq: number
  readonly startBy: StoredTime | null
  readonly deadlineAt: StoredTime | null
}

/** Columns of a job that is handed out; `j` is `errand_jobs`. */
export const claimedColumns: string = `${knownColumns}, j.counters, j.seq, j.unique_during, j.unique_until`

/** How many columns `claimedColumns` are. */
export const claimedWidth: number = knownWidth + 4

const none: Needed = []

type Handing = Pick<ClaimedJob, 'token' | 'why' | 'lostBy' | 'startedAt' | 'cancelAsked'>

/** Reads a row of `claimedColumns`. */
export function readClaimed(row: Row, handing: Handing): ClaimedJob {
  const { token, startedAt, cancelAsked, why, lostBy } = handing
  const counters = readCounters(row[knownWidth] as PackedCounters)
  const known = readKnown(row, { counters, token, startedAt, cancelAsked })
  return handedOut({ ...known, why, lostBy, needed: none })
}

/** The rowid in a row of `claimedColumns`. */
export function seqOf(row: Row): number {
  return row[knownWidth + 1] as number
}

/** The priority in a row of `claimedColumns`, as it is stored. */
export function priorityOf(row: Row): number {
  return row[knownAt.priority] as number
}

/** The bounds in a row of `claimedColumns`; null when it has none. */
export function boundsOf(row: Row): Bounds | null {
  const startBy = row[knownAt.startBy] as StoredTime | null
  const deadlineAt = row[knownAt.deadlineAt] as StoredTime | null
  if (startBy === null && deadlineAt === null) return null
  return { seq: seqOf(row), startBy, deadlineAt }
}

/** The unique rule in a row of `claimedColumns`; null when it has none. */
export function keyedOf(row: Row): Keyed | null {
  if (row[knownAt.uniqueKey] === null) return null
  return {
    id: row[knownAt.id] as string,
    key: row[knownAt.uniqueKey] as string,
    during: (row[knownWidth + 2] as number | null) ?? 0,
    until: (row[knownWidth + 3] as number | null) ?? 0,
  }
}

/** A job as the store's own verbs see it: all but its payload. */
export interface JobRecord extends Keyed, Bounds {
  readonly task: string
  readonly queue: string
  readonly state: StateCode
  readonly priority: number
  readonly dueAt: StoredTime
  readonly place: StoredTime
  readonly startWithinMs: number | null
  readonly deadlineMs: number | null
  readonly keepCancelledMs: number | null
  /** How much before its due time it stands in its line. */
  readonly headStartMs: number
  readonly suspect: boolean
  /** Packed, as of the last time that it was put back. */
  readonly counters: PackedCounters
  /** The token of the last accepted settlement, 0 for none. */
  readonly settledToken: number
  /** The worker that put it back last. */
  readonly lastWorker: string | null
  /** The running lease, or 0. */
  readonly token: number
  readonly startedAt: number | null
  readonly cancelAsked: boolean
  /** Whether it was inserted as running, under this lease. */
  readonly born: boolean
  /** Whether it waits for another job, or another for it. */
  readonly isLinked: boolean
}

/**
 * A job's state, from the tables that hold it: `j` is `errand_jobs`, `r` and `f` are joined to it.
 */
export const stateColumn: string = `CASE
    WHEN r.seq IS NOT NULL THEN ${RUNNING}
    WHEN f.seq IS NOT NULL THEN f.state
    WHEN EXISTS (SELECT 1 FROM errand_scheduled s WHERE s.due_at = j.due_at AND s.seq = j.seq) THEN ${SCHEDULED}
    WHEN EXISTS (SELECT 1 FROM errand_needs n WHERE n.seq = j.seq) THEN ${BLOCKED}
    ELSE ${READY} END`

/** Whether a job is needed by another: one step in the primary key of errand_needs. */
const neededColumn = `j.id IN (SELECT need FROM errand_needs)`

/** Whether it is, or waits for another: one more step, in the index of needs by job. */
const linkedColumn = `(${neededColumn} OR EXISTS (SELECT 1 FROM errand_needs n WHERE n.seq = j.seq))`

const recordColumns = `j.seq, j.id, j.task, j.queue, ${stateColumn}, j.priority, j.due_at, j.place, j.start_by, j.deadline_at,
  j.start_within_ms, j.deadline_ms, j.keep_cancelled_ms, j.unique_key, j.unique_during, j.unique_until, j.suspect, j.counters,
  coalesce(f.token, j.token), coalesce(f.worker, j.worker), r.token, r.started_at, r.cancel_asked, r.born, ${linkedColumn},
  j.head_start_ms`

const recordTables = `errand_jobs j LEFT JOIN errand_running r ON r.seq = j.seq LEFT JOIN errand_finished f ON f.seq = j.seq`

/** One record by id: walks the unique index of ids, then rowids. */
export const RECORD_BY_ID: string = `SELECT ${recordColumns} FROM ${recordTables} WHERE j.id = ?`
/** One record by rowid. */
export const RECORD_BY_SEQ: string = `SELECT ${recordColumns} FROM ${recordTables} WHERE j.seq = ?`

function readSpan(value: Row[number] | undefined): number | null {
  return value === null ? null : cutMs(Number(value))
}

/** What stands there may have been written by something else. */
function headStartOf(value: Row[number] | undefined): number {
  return isHeadStart(value) ? value : 0
}

/** Reads a row of the two statements above. */
export function readRecord(row: Row): JobRecord {
  return {
    seq: row[0] as number,
    id: row[1] as string,
    task: row[2] as string,
    queue: row[3] as string,
    state: row[4] as StateCode,
    priority: row[5] as number,
    dueAt: row[6] as StoredTime,
    place: row[7] as StoredTime,
    startBy: row[8] as StoredTime | null,
    deadlineAt: row[9] as StoredTime | null,
    startWithinMs: readSpan(row[10]),
    deadlineMs: readSpan(row[11]),
    keepCancelledMs: readSpan(row[12]),
    key: row[13] as string | null,
    during: (row[14] as number | null) ?? 0,
    until: (row[15] as number | null) ?? 0,
    suspect: row[16] === 1,
    counters: row[17] as PackedCounters,
    settledToken: row[18] as number,
    lastWorker: row[19] as string | null,
    token: (row[20] as number | null) ?? 0,
    startedAt: row[21] as number | null,
    cancelAsked: row[22] === 1,
    born: row[23] === 1,
    isLinked: row[24] === 1,
    headStartMs: headStartOf(row[25]),
  }
}

/** Columns of a job as readers show it. */
export const storedColumns: string = `${knownColumns}, ${stateColumn}, coalesce(f.counters, j.counters),
  coalesce(r.token, f.token, j.token), coalesce(r.worker, f.worker, j.worker), r.lease_until,
  coalesce(r.started_at, f.started_at), f.finished_at, f.keep_ms, r.cancel_asked, p.value, j.attempts, f.output, f.reason`

/** The tables that `storedColumns` read. */
export const storedTables = `errand_jobs j LEFT JOIN errand_running r ON r.seq = j.seq
  LEFT JOIN errand_finished f ON f.seq = j.seq LEFT JOIN errand_progress p ON p.seq = j.seq`

/** Reads a row of `storedColumns`. */
export function readStored(row: Row): StoredJob {
  const [
    state,
    counters,
    token,
    worker,
    leaseUntil,
    startedAt,
    finishedAt,
    keepMs,
    cancelAsked,
    progress,
    attempts,
    output,
    reason,
  ] = row.slice(knownWidth)
  const known = readKnown(row, {
    counters: readCounters(counters as PackedCounters),
    token: token as number,
    startedAt: startedAt as number | null,
    cancelAsked: cancelAsked === 1,
  })
  return shown({
    ...known,
    state: stateOf(state as StateCode),
    worker: worker as string | null,
    leaseUntil: leaseUntil as number | null,
    finishedAt: finishedAt === null ? null : Number(finishedAt),
    expiresAt: finishedAt === null || keepMs === null ? null : Number(finishedAt) + Number(keepMs),
    progress: progress as string | null,
    attempts: attempts === null ? [] : readTexts(attempts as string),
    output: output as string | null,
    reason: reason as string | null,
  })
}
