/** `settle`: writes what a worker decided about its jobs, if the jobs are still its own. */
import { keptErrors } from '../../core/job.ts'
import type { Again, Finish, SettleAnswer, Settlement } from '../../store.ts'
import type { Row } from './connection.ts'
import { cancelWaiting, finish, release, weighNeeds } from './endings.ts'
import { insert } from './intake.ts'
import { bind, lineUp } from './lines.ts'
import { packCounters, readRecord, RECORD_BY_ID, RECORD_BY_SEQ } from './rows.ts'
import { BLOCKED, CANCELLED, codeOf, READY, RUNNING, SCHEDULED } from './states.ts'
import type { Transaction } from './transaction.ts'
import { rekey } from './uniques.ts'

/** A job under a lease, if that lease still holds: walks the unique index of ids, then two rowids. */
const LEASED = `SELECT j.seq, j.queue, r.worker, r.started_at, r.cancel_asked, r.cancel_reason,
  j.unique_key, j.unique_during, j.unique_until
  FROM errand_jobs j CROSS JOIN errand_running r ON r.seq = j.seq WHERE j.id = ? AND r.token = ?`
/** Ends the lease. */
const DROP_RUNNING = `DELETE FROM errand_running WHERE seq = ? AND token = ?`
const READ_ERRORS = `SELECT errors FROM errand_jobs WHERE seq = ?`
const WRITE_ERRORS = `UPDATE errand_jobs SET errors = ? WHERE seq = ?`
const PUT_BACK = `UPDATE errand_jobs SET due_at = ?, place = ?, start_by = ?, suspect = ?, counters = ?, token = ?, worker = ?
  WHERE seq = ?`

export function settle(tx: Transaction, settlements: readonly Settlement[]): SettleAnswer[] {
  return settlements.map((settlement) => settleOne(tx, settlement))
}

function settleOne(tx: Transaction, settlement: Settlement): SettleAnswer {
  const lease = tx.row(LEASED, settlement.id, settlement.token)
  if (lease === undefined) return answerRepeat(tx, settlement)
  if (settlement.yieldsToCancel && lease[4] === 1) return 'cancel-asked'
  const seq = lease[0] as number
  if (settlement.error !== null) appendError(tx, seq, settlement.error)
  switch (settlement.kind) {
    case 'finish':
      end(tx, settlement, lease)
      break
    case 'again':
      putBack(tx, settlement, seq)
      break
  }
  return 'settled'
}

/** Tokens start at 1, so that a job that was never settled matches none. */
function answerRepeat(tx: Transaction, settlement: Settlement): SettleAnswer {
  const row = tx.row(RECORD_BY_ID, settlement.id)
  if (row === undefined || settlement.token === 0) return 'stale'
  return readRecord(row).settledToken === settlement.token ? 'settled' : 'stale'
}

function end(tx: Transaction, settlement: Finish, lease: Row): void {
  const seq = lease[0] as number
  const job = {
    id: settlement.id,
    seq,
    queue: lease[1] as string,
    key: lease[6] as string | null,
    during: (lease[7] as number | null) ?? 0,
    until: (lease[8] as number | null) ?? 0,
  }
  const state = codeOf(settlement.state)
  tx.run(DROP_RUNNING, seq, settlement.token)
  finish(tx, job, RUNNING, {
    state,
    output: settlement.output,
    reason: settlement.reason ?? (state === CANCELLED ? (lease[5] as string | null) : null),
    keepMs: settlement.keepMs,
    token: settlement.token,
    worker: lease[2] as string,
    startedAt: lease[3] as number | null,
    counters: packCounters(settlement.counters) ?? '0,0,0,0,0,0',
  })
  if (settlement.followUps.length > 0) insert(tx, settlement.followUps)
  release(tx, job, state, settlement.keepMs)
}

function putBack(tx: Transaction, again: Again, seq: number): void {
  const row = readRecord(tx.row(RECORD_BY_SEQ, seq) as Row)
  const lease = tx.row(LEASED, again.id, again.token) as Row
  tx.run(DROP_RUNNING, seq, again.token)
  const dueAt = tx.now + again.delayMs
  const needs = weighNeeds(tx, seq)
  const state = needs !== 'met' ? BLOCKED : again.delayMs > 0 ? SCHEDULED : READY
  const job = {
    ...row,
    dueAt,
    place: again.place === 'keep' ? row.place : dueAt,
    startBy: again.started ? null : row.startBy,
    suspect: row.suspect || again.suspect,
    counters: packCounters(again.counters),
  }
  tx.run(
    PUT_BACK,
    dueAt,
    job.place,
    job.startBy,
    job.suspect ? 1 : 0,
    job.counters,
    again.token,
    lease[2] as string,
    seq,
  )
  lineUp(tx, job, state)
  bind(tx, job)
  tx.moved(job.queue, RUNNING, state)
  rekey(tx, job, state)
  if (again.followUps.length > 0) insert(tx, again.followUps)
  // A need that failed while the job was leased as overdue is answered now.
  if (needs === 'open' ? weighNeeds(tx, seq) === 'cancel' : needs === 'cancel') {
    const blocked = readRecord(tx.row(RECORD_BY_SEQ, seq) as Row)
    cancelWaiting(tx, blocked, 'need-failed')
    release(tx, blocked, CANCELLED, blocked.keepCancelledMs)
  }
}

function appendError(tx: Transaction, seq: number, error: string): void {
  const kept = tx.row(READ_ERRORS, seq)?.[0] as string | null
  const errors = kept === null ? [] : (JSON.parse(kept) as string[])
  tx.run(WRITE_ERRORS, JSON.stringify([...errors, error].slice(-keptErrors)), seq)
}
