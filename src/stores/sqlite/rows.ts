/** From rows of the file to values, and back. */
import { cutMs } from '../../core/duration.ts'
import { noCounters } from '../../core/job.ts'
import type { Counters } from '../../core/job.ts'
import type { ClaimedJob, StoredJob } from '../../store/job.ts'
import { handedOut, readTexts, shown } from '../unreadable.ts'
import type { Row } from './connection.ts'
import { BLOCKED, READY, RUNNING, SCHEDULED, stateOf, type StateCode } from './states.ts'

// ───────────────────────────── counters ─────────────────────────────

/** Counters in one column: null when all are zero, a number when only attempts are not, else all six as text. */
export type PackedCounters = number | string | null

const decoded = new Map<PackedCounters, Counters>()
const mostDecoded = 1_000

export function packCounters(counters: Counters): PackedCounters {
  const { attempts, failures, postpones, losses, interruptions, deferrals } = counters
  if (failures + postpones + losses + interruptions + deferrals === 0) return attempts || null
  return `${attempts},${failures},${postpones},${losses},${interruptions},${deferrals}`
}

/** Reads packed counters. The same few occur again and again, so they are kept. */
export function readCounters(packed: PackedCounters): Counters {
  if (packed === null) return { ...noCounters }
  let counters = decoded.get(packed)
  if (counters === undefined) {
    const [
      attempts = 0,
      failures = 0,
      postpones = 0,
      losses = 0,
      interruptions = 0,
      deferrals = 0,
    ] = String(packed).split(',').map(Number)
    counters = { attempts, failures, postpones, losses, interruptions, deferrals }
    if (decoded.size >= mostDecoded) decoded.clear()
    decoded.set(packed, counters)
  }
  return { ...counters }
}

// ───────────────────────────── claimed jobs ─────────────────────────────

/** Columns of a job that is handed out, in the order that `readClaimed` and `Keyed` readers expect; `j` is `errand_jobs`. */
export const claimedColumns = `j.seq, j.id, j.task, j.queue, j.priority, j.input, j.codec, j.options, j.parent,
  j.unique_key, j.created_at, j.due_at, j.start_by, j.deadline_at, j.counters, j.unique_during, j.unique_until`

/** How many columns `claimedColumns` are. */
export const claimedWidth = 17

/** Reads a row of `claimedColumns`. */
export function readClaimed(
  row: Row,
  token: number,
  why: ClaimedJob['why'],
  startedAt: number | null,
  cancelAsked: boolean,
): ClaimedJob {
  return handedOut({
    id: row[1] as string,
    token,
    task: row[2] as string,
    queue: row[3] as string,
    priority: row[4] as number,
    input: row[5] as string,
    codec: row[6] as string | null,
    options: row[7] as string | null,
    parent: row[8] as string | null,
    uniqueKey: row[9] as string | null,
    createdAt: row[10] as number,
    dueAt: row[11] as number,
    startBy: row[12] as number | null,
    deadlineAt: row[13] as number | null,
    counters: readCounters(row[14] as PackedCounters),
    startedAt,
    cancelAsked,
    why,
  })
}

// ───────────────────────────── records ─────────────────────────────

/** A time as it is stored, by which its row is found again. One that no number of JavaScript holds is a `bigint`. */
export type StoredTime = number | bigint

/** The unique rule of a job as it is stored. */
export interface Keyed {
  readonly id: string
  readonly key: string | null
  readonly during: number
  readonly until: number
}

/** A job as the store's own verbs see it: all but its payload. */
export interface JobRecord extends Keyed {
  readonly seq: number
  readonly task: string
  readonly queue: string
  readonly state: StateCode
  readonly priority: number
  readonly dueAt: StoredTime
  readonly place: StoredTime
  readonly startBy: StoredTime | null
  readonly deadlineAt: StoredTime | null
  readonly startWithinMs: number | null
  readonly deadlineMs: number | null
  readonly keepCancelledMs: number | null
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
}

/** A job's state, from the tables that hold it: `j` is `errand_jobs`, `r` and `f` are joined to it. */
export const stateColumn: string = `CASE
    WHEN r.seq IS NOT NULL THEN ${RUNNING}
    WHEN f.seq IS NOT NULL THEN f.state
    WHEN EXISTS (SELECT 1 FROM errand_scheduled s WHERE s.due_at = j.due_at AND s.seq = j.seq) THEN ${SCHEDULED}
    WHEN EXISTS (SELECT 1 FROM errand_needs n WHERE n.seq = j.seq) THEN ${BLOCKED}
    ELSE ${READY} END`

const recordColumns = `j.seq, j.id, j.task, j.queue, ${stateColumn}, j.priority, j.due_at, j.place, j.start_by, j.deadline_at,
  j.start_within_ms, j.deadline_ms, j.keep_cancelled_ms, j.unique_key, j.unique_during, j.unique_until, j.suspect, j.counters,
  coalesce(f.token, j.token), coalesce(f.worker, j.worker), r.token, r.started_at, r.cancel_asked, r.born`

const recordTables = `errand_jobs j LEFT JOIN errand_running r ON r.seq = j.seq LEFT JOIN errand_finished f ON f.seq = j.seq`

/** One record by id: walks the unique index of ids, then rowids. */
export const RECORD_BY_ID: string = `SELECT ${recordColumns} FROM ${recordTables} WHERE j.id = ?`
/** One record by rowid. */
export const RECORD_BY_SEQ: string = `SELECT ${recordColumns} FROM ${recordTables} WHERE j.seq = ?`

function readSpan(value: Row[number] | undefined): number | null {
  return value === null ? null : cutMs(Number(value))
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
  }
}

// ───────────────────────────── stored jobs ─────────────────────────────

/** Columns of a job as readers show it. */
export const storedColumns: string = `j.id, j.task, j.queue, ${stateColumn}, j.priority, j.input, j.codec, j.options, j.parent, j.unique_key,
  j.created_at, j.due_at, j.start_by, j.deadline_at, coalesce(f.counters, j.counters), coalesce(r.token, f.token, j.token),
  coalesce(r.worker, f.worker, j.worker), r.lease_until, coalesce(r.started_at, f.started_at), f.finished_at, f.keep_ms,
  r.cancel_asked, p.value, j.errors, f.output, f.reason`

/** The tables that `storedColumns` read. */
export const storedTables = `errand_jobs j LEFT JOIN errand_running r ON r.seq = j.seq
  LEFT JOIN errand_finished f ON f.seq = j.seq LEFT JOIN errand_progress p ON p.seq = j.seq`

/** Reads a row of `storedColumns`. */
export function readStored(row: Row): StoredJob {
  const finishedAt = row[19] as StoredTime | null
  const keepMs = row[20] as StoredTime | null
  return shown({
    id: row[0] as string,
    task: row[1] as string,
    queue: row[2] as string,
    state: stateOf(row[3] as StateCode),
    priority: row[4] as number,
    input: row[5] as string,
    codec: row[6] as string | null,
    options: row[7] as string | null,
    parent: row[8] as string | null,
    uniqueKey: row[9] as string | null,
    createdAt: row[10] as number,
    dueAt: row[11] as number,
    startBy: row[12] as number | null,
    deadlineAt: row[13] as number | null,
    counters: readCounters(row[14] as PackedCounters),
    token: row[15] as number,
    worker: row[16] as string | null,
    leaseUntil: row[17] as number | null,
    startedAt: row[18] as number | null,
    finishedAt: finishedAt === null ? null : Number(finishedAt),
    expiresAt: finishedAt === null || keepMs === null ? null : Number(finishedAt) + Number(keepMs),
    cancelAsked: row[21] === 1,
    progress: row[22] as string | null,
    attempts: row[23] === null ? [] : readTexts(row[23] as string),
    output: row[24] as string | null,
    reason: row[25] as string | null,
  })
}
