/** What a worker says about jobs while they run: `renew`, `note` and `record`. */
import { keptLogLines } from '../../core/job.ts'
import type {
  LeaseRef,
  Note,
  NoteAnswer,
  RecordAnswer,
  RenewAnswer,
  RunRecord,
} from '../../store/worker-calls.ts'
import { checkLease, checkNotes, checkRecords } from '../bounds.ts'
import { insertOne } from './insert.ts'
import type { Transaction } from './transaction.ts'

/** Walks the unique index of ids, then the rowid, here and in the next two. */
const RENEW = `UPDATE errand_running SET lease_until = ?
  WHERE seq = (SELECT seq FROM errand_jobs WHERE id = ?) AND token = ? RETURNING cancel_asked`
const START = `UPDATE errand_running SET started_at = coalesce(started_at, ?)
  WHERE seq = (SELECT seq FROM errand_jobs WHERE id = ?) AND token = ?`
const LEASED = `SELECT seq FROM errand_running WHERE seq = (SELECT seq FROM errand_jobs WHERE id = ?) AND token = ?`
/** A rowid. */
const WRITE_PROGRESS = `INSERT OR REPLACE INTO errand_progress (seq, value) VALUES (?, ?)`
/** The number of the next line: the last entry of the job in the primary key. */
const NEXT_LINE = `SELECT coalesce(max(line) + 1, 0) FROM errand_log WHERE seq = ?`
/** Adds one entry to a primary key, here and below. */
const ADD_LINE = `INSERT INTO errand_log (seq, line, at, level, text) VALUES (?, ?, ?, ?, ?)`
const WRITE_RECORD = `INSERT OR REPLACE INTO errand_recorded (seq, name, text) VALUES (?, ?, ?)`

/** Extends leases. One that expired is still its holder's until another took it. */
export function renew(
  tx: Transaction,
  leases: readonly LeaseRef[],
  leaseMs: number,
): RenewAnswer[] {
  checkLease(leaseMs)
  const until = tx.now + leaseMs
  return leases.map(({ id, token }) => {
    const row = tx.row(RENEW, until, id, token)
    if (row === undefined) return 'stale'
    return row[0] === 1 ? 'cancel-asked' : 'renewed'
  })
}

export function note(tx: Transaction, notes: readonly Note[]): NoteAnswer[] {
  checkNotes(notes)
  return notes.map((one) => (write(tx, one) ? 'noted' : 'stale'))
}

function write(tx: Transaction, one: Note): boolean {
  if (one.kind === 'start') return tx.run(START, tx.now - one.agoMs, one.id, one.token) > 0
  const seq = leasedSeq(tx, one)
  if (seq === null) return false
  switch (one.kind) {
    case 'progress':
      tx.run(WRITE_PROGRESS, seq, one.value)
      break
    case 'log': {
      const line = tx.row(NEXT_LINE, seq)?.[0] as number
      if (line < keptLogLines) tx.run(ADD_LINE, seq, line, tx.now - one.agoMs, one.level, one.text)
      break
    }
  }
  return true
}

/** Writes records of runs, each in place of that of the same name, and inserts the jobs that they carry. */
export function record(tx: Transaction, records: readonly RunRecord[]): RecordAnswer[] {
  checkRecords(records, tx.now)
  return records.map((one) => {
    const seq = leasedSeq(tx, one)
    if (seq === null) return 'stale'
    tx.run(WRITE_RECORD, seq, one.name, one.text)
    return one.jobs === undefined ? 'recorded' : one.jobs.map((job) => insertOne(tx, job))
  })
}

function leasedSeq(tx: Transaction, { id, token }: LeaseRef): number | null {
  return (tx.row(LEASED, id, token)?.[0] as number | undefined) ?? null
}
