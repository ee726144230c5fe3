/** New work: `insert`, and the follow-ups of settlements, which are inserts like any other. */
import type { Inserted } from '../../store/intake.ts'
import type { NewJob } from '../../store/job.ts'
import { checkJobs } from '../bounds.ts'
import { addNeeds, cancelWaiting, release, weighNeeds } from './needs.ts'
import { bind, lineUp, stepOut, unbind } from './lines.ts'
import { readRecord, RECORD_BY_ID, type JobRecord } from './rows.ts'
import {
  BLOCKED,
  CANCELLED,
  packStates,
  READY,
  RUNNING,
  SCHEDULED,
  type StateCode,
} from './states.ts'
import type { Transaction } from './transaction.ts'
import { holderOf, rekey } from './uniques.ts'

/** The ordinary job: nothing unique, no bounds. Checks and extends the unique index of ids. */
const ADD_PLAIN = `INSERT INTO errand_jobs
  (id, task, queue, priority, created_at, due_at, place, parent, keep_cancelled_ms, codec, options, input)
  VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING`
const ADD_FULL = `INSERT INTO errand_jobs
  (id, task, queue, priority, created_at, due_at, place, parent, keep_cancelled_ms, codec, options, input,
   start_by, deadline_at, start_within_ms, deadline_ms, unique_key, unique_during, unique_until)
  VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING`
const ADD_RUNNING = `INSERT INTO errand_running (seq, token, worker, lease_until, started_at, born) VALUES (?, ?, ?, ?, ?, 1)`
const REPLACE = `UPDATE errand_jobs SET counters = NULL, suspect = 0,
  queue = ?, priority = ?, due_at = ?, place = ?, keep_cancelled_ms = ?, codec = ?, options = ?, input = ?, start_by = ?, deadline_at = ?, start_within_ms = ?, deadline_ms = ?,
  unique_key = ?, unique_during = ?, unique_until = ? WHERE seq = ?`

const CREATED_AT = `SELECT created_at FROM errand_jobs WHERE seq = ?`

/** Adds jobs one after the other, so that the first of a batch wins a key that several ask for. */
export function insert(tx: Transaction, jobs: readonly NewJob[]): Inserted[] {
  checkJobs(jobs, tx.now)
  return jobs.map((job) => insertOne(tx, job))
}

function insertOne(tx: Transaction, job: NewJob): Inserted {
  if (job.unique !== null) {
    const conflict = meetHolder(tx, job)
    if (conflict !== null) return conflict
  }
  const dueAt = job.runAt ?? tx.now + job.delayMs
  const seq = add(tx, job, dueAt)
  if (seq === null) return created(job.id, bornTokenOf(tx, job.id))
  if (job.lease !== null) return lease(tx, job, seq)

  addNeeds(tx, seq, job.needs)
  const needs = job.needs.length === 0 ? 'met' : weighNeeds(tx, seq)
  const state = needs === 'met' ? (dueAt > tx.now ? SCHEDULED : READY) : BLOCKED
  const { queue, priority } = job
  lineUp(tx, { seq, queue, priority, place: dueAt, dueAt, suspect: false, counters: null }, state)
  tx.moved(queue, null, state)
  if (
    job.startWithinMs !== null ||
    job.deadlineMs !== null ||
    job.unique !== null ||
    needs === 'cancel'
  )
    settleIn(tx, job.id, state, needs === 'cancel')
  return created(job.id, null)
}

/** What only some new jobs need. */
function settleIn(tx: Transaction, id: string, state: StateCode, needFailed: boolean): void {
  const record = recordOf(tx, id)
  if (record === null) return
  bind(tx, record)
  rekey(tx, record, state)
  if (!needFailed) return
  cancelWaiting(tx, { ...record, state: BLOCKED }, 'need-failed')
  release(tx, record, CANCELLED, record.keepCancelledMs)
}

/** Writes the row and answers its rowid, or null when the id is known already. */
function add(tx: Transaction, job: NewJob, dueAt: number): number | null {
  const { id, task, queue, priority, parent, keepCancelledMs, codec, options, input } = job
  const { startWithinMs, deadlineMs, unique } = job
  const { now } = tx
  const dues = [now, dueAt, dueAt] as const
  const plain = [id, task, queue, priority, ...dues, parent, keepCancelledMs, codec, options, input]
  const isPlain = unique === null && startWithinMs === null && deadlineMs === null
  const startBy = startWithinMs === null ? null : dueAt + startWithinMs
  const deadlineAt = deadlineMs === null ? null : now + deadlineMs
  const bounds = [startBy, deadlineAt, startWithinMs, deadlineMs]
  const result = isPlain
    ? tx.connection.statement(ADD_PLAIN).run(...plain)
    : tx.connection.statement(ADD_FULL).run(...plain, ...bounds, ...keyColumns(job, now))
  return result.changes === 0 ? null : (result.lastInsertRowid as number)
}

function keyColumns(job: NewJob, now: number): [string | null, number | null, number | null] {
  if (job.unique === null) return [null, null, null]
  const { key, during, forMs } = job.unique
  return [key, packStates(during), forMs === null ? 0 : now + forMs]
}

function lease(tx: Transaction, job: NewJob, seq: number): Inserted {
  const token = tx.token()
  const { worker, leaseMs } = job.lease ?? { worker: '', leaseMs: 0 }
  tx.run(ADD_RUNNING, seq, token, worker, tx.now + leaseMs, tx.now)
  tx.moved(job.queue, null, RUNNING)
  addNeeds(tx, seq, job.needs)
  if (job.unique !== null) {
    const record = recordOf(tx, job.id)
    if (record !== null) rekey(tx, record, RUNNING)
  }
  return created(job.id, token)
}

/** A repeated insert tells the lease that the first one gave, while it is still that one. */
function bornTokenOf(tx: Transaction, id: string): number | null {
  const record = recordOf(tx, id)
  return record !== null && record.born ? record.token : null
}

/** The answer when another job holds the key; null when the key is free, or when the job itself is known. */
function meetHolder(tx: Transaction, job: NewJob): Inserted | null {
  if (job.unique === null) return null
  const known = recordOf(tx, job.id)
  if (known !== null) return created(job.id, known.born ? known.token : null)
  const id = holderOf(tx, job.unique.key)
  if (id === null) return null
  const holder = recordOf(tx, id)
  if (holder === null || holder.state >= RUNNING || job.unique.onConflict !== 'replace')
    return { id, status: 'duplicate', token: null }
  replace(tx, holder, job)
  return { id, status: 'replaced', token: null }
}

/**
 * Gives a waiting job the new one's input, options and clocks, and fresh counters. Its id, parent, needs and errors stay, and its
 * place if it was due and still is, so that a job which is replaced again and again gets its turn.
 */
function replace(tx: Transaction, holder: JobRecord, job: NewJob): void {
  const { now } = tx
  const { queue, priority, keepCancelledMs, codec, options, input, startWithinMs, deadlineMs } = job
  const asked = job.runAt ?? now + job.delayMs
  const maxWaitMs = job.unique?.maxWaitMs ?? null
  const latest =
    maxWaitMs === null ? Infinity : Math.max(now, createdAtOf(tx, holder.seq) + maxWaitMs)
  const dueAt = Math.min(asked, latest)
  const isDue = dueAt <= now
  const state = holder.state === BLOCKED ? BLOCKED : isDue ? READY : SCHEDULED
  const place = isDue && holder.place < dueAt ? holder.place : dueAt
  const startBy = startWithinMs === null ? null : dueAt + startWithinMs
  const deadlineAt = deadlineMs === null ? null : now + deadlineMs
  const [key, during, until] = keyColumns(job, now)

  stepOut(tx, holder)
  unbind(tx, holder)
  const payload = [queue, priority, dueAt, place, keepCancelledMs, codec, options, input]
  const bounds = [startBy, deadlineAt, startWithinMs, deadlineMs]
  tx.run(REPLACE, ...payload, ...bounds, key, during, until, holder.seq)
  const { seq, id, task } = holder
  lineUp(tx, { seq, queue, priority, place, dueAt, suspect: false, counters: null }, state)
  bind(tx, { seq, task, startBy, deadlineAt })
  tx.moved(holder.queue, holder.state, null)
  tx.moved(queue, null, state)
  rekey(tx, { id, key, during: during ?? 0, until: until ?? 0 }, state)
}

function createdAtOf(tx: Transaction, seq: number): number {
  return tx.row(CREATED_AT, seq)?.[0] as number
}

function created(id: string, token: number | null): Inserted {
  return { id, status: 'created', token }
}

function recordOf(tx: Transaction, id: string): JobRecord | null {
  const row = tx.row(RECORD_BY_ID, id)
  return row === undefined ? null : readRecord(row)
}
