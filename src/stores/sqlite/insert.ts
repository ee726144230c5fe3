/** New work: `insert`, and the follow-ups of settlements, which are inserts like any other. */
import type { Advance, InsertAnswer, Inserted } from '../../store/intake.ts'
import type { Entry, Hold, NewJob } from '../../store/job.ts'
import { checkAdvances, checkJobs } from '../bounds.ts'
import { mayReplace } from '../replacing.ts'
import { nearestTime } from '../unreadable.ts'
import { appendAttempt } from './attempts.ts'
import { clocksOf } from './clocks.ts'
import { addJob, replaceJob } from './job-columns.ts'
import { bind, lineUp, stepOut, unbind } from './lines.ts'
import { addNeeds, endForNeed, erase, finish, weighNeeds, type Weighed } from './needs.ts'
import { putRecords } from './records.ts'
import { readRecord, RECORD_BY_ID, type JobRecord } from './rows.ts'
import { BLOCKED, FAILED, READY, RUNNING, SCHEDULED, type StateCode } from '../state-codes.ts'
import type { Transaction } from './transaction.ts'
import { holderOf, rekey } from './uniques.ts'

/** Adds one rowid. */
const ADD_RUNNING = `INSERT INTO errand_running (seq, token, worker, lease_until, started_at, born) VALUES (?, ?, ?, ?, ?, 1)`
/** A rowid. */
const CREATED_AT = `SELECT created_at FROM errand_jobs WHERE seq = ?`
/** Walks the unique index of ids. */
const IS_KNOWN = `SELECT 1 FROM errand_jobs WHERE id = ?`

/**
 * Adds jobs one after the other, so that the first of a batch wins a key that several ask for.
 * First each advance moves its record, if the record is where it should be.
 */
export function insert(
  tx: Transaction,
  jobs: readonly NewJob[],
  advances: readonly Advance[] = [],
): InsertAnswer[] {
  checkJobs(jobs, tx.now)
  checkAdvances(jobs, advances)
  if (advances.length === 0) return jobs.map((job) => insertOne(tx, job))
  const late = lateJobs(tx, advances)
  return jobs.map((job) =>
    late.has(job.id) && !isKnown(tx, job.id)
      ? { id: job.id, status: 'stale', token: null }
      : insertOne(tx, job),
  )
}

/** Moves the records, and returns the ids of the jobs whose record was elsewhere. */
function lateJobs(tx: Transaction, advances: readonly Advance[]): ReadonlySet<string> {
  const answers = putRecords(
    tx,
    advances.map(({ key, from, to }) => ({ key, text: to, if: from })),
  )
  return new Set(advances.flatMap(({ jobs }, n) => (answers[n] === 'stale' ? jobs : [])))
}

/** Adds one job, without a record. The caller has checked it. */
export function insertOne(tx: Transaction, job: NewJob): Inserted {
  const { entry } = job
  if (job.unique !== null && entry?.kind !== 'failed') {
    const conflict = meetHolder(tx, job, job.unique.key)
    if (conflict !== null) return conflict
  }
  const clocks = clocksOf(job, tx.now, null)
  const seq = addJob(tx, job, clocks)
  if (seq === null) return created(job.id, bornTokenOf(tx, job.id))
  switch (entry?.kind) {
    case undefined:
      enterInLine(tx, job, seq, clocks.dueAt)
      return created(job.id, null)
    case 'running':
      return created(job.id, enterRunning(tx, job, seq, entry))
    case 'failed':
      enterFailed(tx, job, seq, entry)
      return created(job.id, null)
  }
}

function enterInLine(tx: Transaction, job: NewJob, seq: number, dueAt: number): void {
  const { queue, priority, needs } = job
  addNeeds(tx, seq, needs)
  const weighed = needs.length === 0 ? 'met' : weighNeeds(tx, seq)
  const state = weighed === 'met' ? (dueAt > tx.now ? SCHEDULED : READY) : BLOCKED
  const place = dueAt - (job.headStartMs ?? 0)
  lineUp(tx, { seq, queue, priority, place, dueAt, suspect: false, counters: null }, state)
  tx.moved(queue, null, state)
  for (const one of job.holds ?? []) hold(tx, job.id, one)
  const isBound = job.startWithinMs !== null || job.deadlineMs !== null
  const hasFailed = weighed === 'cancel' || weighed === 'fail'
  if (isBound || job.unique !== null || hasFailed) settleIn(tx, job.id, state, weighed)
}

/** Lets a blocked job wait for a new one as well. */
function hold(tx: Transaction, need: string, { id, ...how }: Hold): void {
  const waiting = id === need ? null : recordOf(tx, id)
  if (waiting?.state === BLOCKED) addNeeds(tx, waiting.seq, [{ kind: 'job', id: need, ...how }])
}

/** What only some new jobs need. */
function settleIn(tx: Transaction, id: string, state: StateCode, weighed: Weighed): void {
  const record = recordOf(tx, id)
  if (record === null) return
  bind(tx, record)
  rekey(tx, record, state)
  endForNeed(tx, { ...record, state }, weighed)
}

type EntryOf<Kind extends Entry['kind']> = Extract<Entry, { readonly kind: Kind }>

/** Leases a new job to its caller, and returns the token. */
function enterRunning(
  tx: Transaction,
  job: NewJob,
  seq: number,
  { worker, leaseMs }: EntryOf<'running'>,
): number {
  const token = tx.token()
  tx.run(ADD_RUNNING, seq, token, worker, tx.now + leaseMs, tx.now)
  tx.moved(job.queue, null, RUNNING)
  if (job.unique !== null) {
    const record = recordOf(tx, job.id)
    if (record !== null) rekey(tx, record, RUNNING)
  }
  return token
}

/** Files a new job as failed. It holds no key: its retry takes it. */
function enterFailed(
  tx: Transaction,
  { id, queue }: NewJob,
  seq: number,
  { reason, attempt, keepMs }: EntryOf<'failed'>,
): void {
  if (attempt !== null) appendAttempt(tx, seq, attempt)
  const job = { id, seq, queue, key: null, during: 0, until: 0, isLinked: false }
  const ending = { output: null, token: 0, worker: null, startedAt: null, counters: null }
  finish(tx, job, null, { ...ending, state: FAILED, reason, keepMs })
  if (keepMs !== null && keepMs <= 0) erase(tx, job, FAILED, false)
}

/** A repeated insert returns the lease that the first one gave, while it is still that one. */
function bornTokenOf(tx: Transaction, id: string): number | null {
  const record = recordOf(tx, id)
  return record !== null && record.born ? record.token : null
}

/**
 * The answer when another job holds the key; null when the key is free. A job that is known is not
 * asked for it.
 */
function meetHolder(tx: Transaction, job: NewJob, key: string): Inserted | null {
  const known = recordOf(tx, job.id)
  if (known !== null) return created(job.id, known.born ? known.token : null)
  const id = holderOf(tx, key)
  if (id === null) return null
  const holder = recordOf(tx, id)
  if (holder === null || holder.state >= RUNNING || !mayReplace(job, holder.queue))
    return { id, status: 'duplicate', token: null }
  replace(tx, holder, job)
  return { id, status: 'replaced', token: null }
}

/**
 * Gives a waiting job the new one's input, options, labels and clocks, and fresh counters. Its id,
 * parent, needs and attempts stay, and its place if it was due and still is, so that a job which is
 * replaced again and again gets its turn.
 */
function replace(tx: Transaction, holder: JobRecord, job: NewJob): void {
  const clocks = clocksOf(job, tx.now, createdAtOf(tx, holder.seq))
  const { dueAt } = clocks
  const isDue = dueAt <= tx.now
  const state = holder.state === BLOCKED ? BLOCKED : isDue ? READY : SCHEDULED
  const stoodFor = nearestTime(holder.place) + holder.headStartMs
  const standsFor = isDue ? Math.min(stoodFor, dueAt) : dueAt
  const place = standsFor - (job.headStartMs ?? 0)
  stepOut(tx, holder)
  unbind(tx, holder)
  replaceJob(tx, holder.seq, job, clocks, place)
  tx.moved(holder.queue, holder.state, null)
  tx.moved(job.queue, null, state)
  const replaced = recordOf(tx, holder.id)
  if (replaced === null) return
  lineUp(tx, replaced, state)
  bind(tx, replaced)
  rekey(tx, replaced, state)
}

function createdAtOf(tx: Transaction, seq: number): number {
  return tx.row(CREATED_AT, seq)?.[0] as number
}

function created(id: string, token: number | null): Inserted {
  return { id, status: 'created', token }
}

function isKnown(tx: Transaction, id: string): boolean {
  return tx.row(IS_KNOWN, id) !== undefined
}

function recordOf(tx: Transaction, id: string): JobRecord | null {
  const row = tx.row(RECORD_BY_ID, id)
  return row === undefined ? null : readRecord(row)
}
