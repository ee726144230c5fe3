/**
 * Jobs that nobody runs: those whose lease expired, those that waited too long, and those that
 * would wait for ever.
 */
import { handedBytes } from '../../core/job.ts'
import type { ClaimedJob } from '../../store/job.ts'
import type { Claimed, RescueRequest } from '../../store/worker-calls.ts'
import { checkLease } from '../bounds.ts'
import { lastTime } from '../unreadable.ts'
import type { Row } from './connection.ts'
import { fittingOf, leaseWaiting, sizeOf } from './hand-out.ts'
import { claimedColumns, claimedWidth, keyedOf, readClaimed, seqOf } from './rows.ts'
import { RUNNING } from '../state-codes.ts'
import type { Transaction } from './transaction.ts'
import { rekey } from './uniques.ts'

/** Expired leases of known tasks: scans errand_running, which holds only what runs now. */
const lost = (
  columns: string,
): string => `SELECT ${columns} FROM errand_running r CROSS JOIN errand_jobs j ON j.seq = r.seq
  WHERE (r.lease_until <= ? OR r.lease_until > ${lastTime}) AND j.task IN (SELECT value FROM json_each(?)) ORDER BY r.lease_until, r.seq LIMIT ?`
const LOST = lost(`${claimedColumns}, r.started_at, r.cancel_asked, r.overdue, r.worker, r.token`)
const LOST_SIZES = lost('octet_length(j.input)')
/** A rowid. */
const RELEASE_LEASE = `UPDATE errand_running SET token = ?, worker = ?, lease_until = ?, born = 0 WHERE seq = ?`
/**
 * Waiting jobs that waited too long, in the order of their insertion: walks a range of the primary
 * key of errand_overdue.
 */
const OVERDUE = `SELECT seq FROM errand_overdue
  WHERE at <= ? AND task IN (SELECT value FROM json_each(?)) ORDER BY seq LIMIT ?`
/**
 * Jobs that are scheduled for a time that cannot be read: walks the end of the primary key of
 * errand_scheduled.
 */
const NEVER_DUE = `SELECT s.seq FROM errand_scheduled s CROSS JOIN errand_jobs j ON j.seq = s.seq
  WHERE s.due_at > ${lastTime} AND j.task IN (SELECT value FROM json_each(?)) ORDER BY s.due_at, s.seq LIMIT ?`
/** Steps in two primary keys, and a scan of errand_running. */
const NEEDS_SWEEP = `SELECT EXISTS (SELECT 1 FROM errand_overdue WHERE at <= ?)
  OR EXISTS (SELECT 1 FROM errand_running WHERE lease_until <= ? OR lease_until > ${lastTime})
  OR EXISTS (SELECT 1 FROM errand_scheduled WHERE due_at > ${lastTime})`

/**
 * Leases to the caller what other workers lost, oldest lease first, then what waited too long, then
 * what would wait for ever.
 */
export function rescue(tx: Transaction, request: RescueRequest): Claimed {
  checkLease(request.leaseMs)
  const tasks = JSON.stringify(request.tasks)
  const fits = fittingOf(tx.rows(LOST_SIZES, tx.now, tasks, request.limit), 0)
  const found = tx.rows(LOST, tx.now, tasks, fits ?? request.limit)
  const jobs = found.map((row) => takeOver(tx, row, request))
  if (fits !== null) return { now: tx.now, jobs, cut: true }
  let size = sizeOf(jobs)
  let cut = false
  const lease = (rows: readonly Row[]): void => {
    for (const [seq] of rows) {
      cut = size >= handedBytes
      if (cut) return
      const job = leaseWaiting(tx, seq as number, { ...request, why: 'overdue' })
      size += job.input.length
      jobs.push(job)
    }
  }
  if (jobs.length < request.limit)
    lease(tx.rows(OVERDUE, tx.now, tasks, request.limit - jobs.length))
  if (jobs.length < request.limit && !cut)
    lease(tx.rows(NEVER_DUE, tasks, request.limit - jobs.length))
  return { now: tx.now, jobs, cut }
}

/** Gives an expired lease to the caller. */
function takeOver(tx: Transaction, row: Row, request: RescueRequest): ClaimedJob {
  const [startedAt, cancelAsked, overdue, worker, lostToken] = row.slice(claimedWidth)
  const token = tx.token()
  tx.run(RELEASE_LEASE, token, request.worker, tx.now + request.leaseMs, seqOf(row))
  const keyed = keyedOf(row)
  if (keyed !== null) rekey(tx, keyed, RUNNING)
  const why = overdue === 1 ? 'overdue' : 'lost'
  return readClaimed(row, {
    token,
    why,
    lostBy: why === 'lost' ? { worker: String(worker), token: Number(lostToken) } : null,
    startedAt: startedAt as number | null,
    cancelAsked: cancelAsked === 1,
  })
}

/** Whether `rescue` would find anything, were all tasks asked for. */
export function needsSweep(tx: Transaction): boolean {
  return tx.row(NEEDS_SWEEP, tx.now, tx.now)?.[0] === 1
}
