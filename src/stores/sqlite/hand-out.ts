/**
 * What `claim` and `rescue` share: leasing one waiting job, and how many jobs go into one answer.
 */
import { handedBytes } from '../../core/job.ts'
import type { ClaimedJob } from '../../store/job.ts'
import type { Row } from './connection.ts'
import { stepOut, unbind } from './lines.ts'
import { neededBy } from './outputs.ts'
import { claimedColumns, readClaimed, readRecord, RECORD_BY_SEQ } from './rows.ts'
import { RUNNING } from '../state-codes.ts'
import type { Transaction } from './transaction.ts'
import { rekey } from './uniques.ts'

/** Adds one rowid. */
const ADD_RUNNING = `INSERT INTO errand_running (seq, token, worker, lease_until, started_at, overdue) VALUES (?, ?, ?, ?, ?, ?)`
/** A rowid. */
const CLAIMED_BY_SEQ = `SELECT ${claimedColumns} FROM errand_jobs j WHERE j.seq = ?`

interface Lease {
  readonly worker: string
  readonly leaseMs: number
  readonly why: 'ready' | 'overdue'
}

/** Leases one job out of wherever it waits: a suspect as started, an overdue one as not. */
export function leaseWaiting(tx: Transaction, seq: number, lease: Lease): ClaimedJob {
  const { worker, leaseMs, why } = lease
  const record = readRecord(tx.row(RECORD_BY_SEQ, seq) as Row)
  const row = tx.row(CLAIMED_BY_SEQ, seq) as Row
  const token = tx.token()
  const startedAt = why === 'ready' ? tx.now : null
  stepOut(tx, record)
  const isOverdue = why === 'overdue' ? 1 : 0
  tx.run(ADD_RUNNING, seq, token, worker, tx.now + leaseMs, startedAt, isOverdue)
  tx.moved(record.queue, record.state, RUNNING)
  unbind(tx, record)
  rekey(tx, record, RUNNING)
  return readClaimed(row, { token, why, lostBy: null, startedAt, cancelAsked: false })
}

/**
 * Adds to claimed jobs what their needs left for them, as far as it fits the claim; `seqs` are their
 * rowids.
 */
export function withNeeded(
  tx: Transaction,
  jobs: readonly ClaimedJob[],
  seqs: readonly number[],
): readonly ClaimedJob[] {
  if (jobs.every(({ group }) => group === null) || !tx.anyEnds()) return jobs
  let before = 0
  return jobs.map((job, n) => {
    const seq = seqs[n]
    if (job.group === null || seq === undefined) return job
    const { needed, size } = neededBy(tx, { seq, group: job.group }, before)
    before += size
    return needed.length === 0 ? job : { ...job, needed }
  })
}

/** How many of these sizes go before it is enough; null for all. */
export function fittingOf(sizes: readonly Row[], before: number): number | null {
  let size = before
  const end = sizes.findIndex(([one]) => {
    if (size >= handedBytes) return true
    size += one as number
    return false
  })
  return end < 0 ? null : end
}

export function sizeOf(jobs: readonly ClaimedJob[]): number {
  return jobs.reduce((size, { input }) => size + input.length, 0)
}
