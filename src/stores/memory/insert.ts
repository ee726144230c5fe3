/** New work: `insert`, and the follow-ups of settlements, which are inserts like any other. */
import { noCounters } from '../../core/job.ts'
import type { Inserted, NewJob } from '../../store.ts'
import { cancelForNeed, release, weighNeeds } from './needs.ts'
import { add, move, type MemoryDatabase, type Row } from './state.ts'
import { holderOf } from './uniques.ts'

/** Adds jobs one after the other, so that the first of a batch wins a key that several ask for. */
export function insert(db: MemoryDatabase, jobs: readonly NewJob[], now: number): Inserted[] {
  return jobs.map((job) => insertOne(db, job, now))
}

function insertOne(db: MemoryDatabase, job: NewJob, now: number): Inserted {
  const known = db.jobs.get(job.id)
  if (known !== undefined) return { id: job.id, status: 'created', token: bornTokenOf(known) }
  const holder = job.unique === null ? null : holderOf(db, job.unique.key, now)
  if (holder !== null) return conflict(db, db.jobs.get(holder), holder, job, now)

  const row = newRow(db, job, now)
  if (job.lease !== null) {
    add(db, row, now)
    return { id: job.id, status: 'created', token: row.token }
  }
  const needs = weighNeeds(db, row)
  if (needs !== 'met') row.state = 'blocked'
  add(db, row, now)
  if (needs === 'cancel') {
    cancelForNeed(db, row, now)
    release(db, row, now)
  }
  return { id: job.id, status: 'created', token: null }
}

/** A repeated insert tells the lease that the first one gave, while it is still that one. */
function bornTokenOf(row: Row): number | null {
  return row.state === 'running' && row.bornToken === row.token ? row.token : null
}

function conflict(
  db: MemoryDatabase,
  holder: Row | undefined,
  id: string,
  job: NewJob,
  now: number,
): Inserted {
  if (holder === undefined || job.unique?.onConflict !== 'replace')
    return { id, status: 'duplicate', token: null }
  switch (holder.state) {
    case 'blocked':
    case 'scheduled':
    case 'ready':
      replace(db, holder, job, now)
      return { id, status: 'replaced', token: null }
    case 'running':
    case 'completed':
    case 'failed':
    case 'cancelled':
    case 'discarded':
      return { id, status: 'duplicate', token: null }
  }
}

/**
 * Gives a waiting job the new one's input, options and clocks, and fresh counters. Its id, parent, needs and errors stay, and its
 * place if it was due and still is, so that a job which is replaced again and again gets its turn.
 */
function replace(db: MemoryDatabase, row: Row, job: NewJob, now: number): void {
  const { input, codec, options, priority, queue, keepCancelledMs, unique } = job
  const clocks = clocksOf(job, now, row.createdAt)
  const isDue = clocks.dueAt <= now
  const state = row.state === 'blocked' ? 'blocked' : isDue ? 'ready' : 'scheduled'
  const payload = {
    input,
    codec,
    options,
    priority,
    queue,
    keepCancelledMs,
    unique,
    counters: noCounters,
    suspect: false,
  }
  const place = isDue ? Math.min(row.place, clocks.dueAt) : clocks.dueAt
  move(db, row, state, { ...payload, ...clocks, place }, now)
}

/** `firstAt` is when the job was inserted that this one replaces. */
function clocksOf(job: NewJob, now: number, firstAt: number | null): Pick<Row, ClockField> {
  const asked = job.runAt ?? now + job.delayMs
  const maxWaitMs = job.unique?.maxWaitMs ?? null
  const dueAt =
    firstAt === null || maxWaitMs === null
      ? asked
      : Math.min(asked, Math.max(now, firstAt + maxWaitMs))
  const { startWithinMs, deadlineMs } = job
  return {
    dueAt,
    place: dueAt,
    startWithinMs,
    deadlineMs,
    startBy: startWithinMs === null ? null : dueAt + startWithinMs,
    deadlineAt: deadlineMs === null ? null : now + deadlineMs,
    keyUntil: job.unique === null || job.unique.forMs === null ? 0 : now + job.unique.forMs,
  }
}

type ClockField =
  | 'dueAt'
  | 'place'
  | 'startWithinMs'
  | 'deadlineMs'
  | 'startBy'
  | 'deadlineAt'
  | 'keyUntil'

function newRow(db: MemoryDatabase, job: NewJob, now: number): Row {
  const { id, task, queue, priority, input, codec, options, parent, keepCancelledMs, lease } = job
  const clocks = clocksOf(job, now, null)
  const token = lease === null ? 0 : db.nextToken(now)
  return {
    id,
    task,
    queue,
    state: lease !== null ? 'running' : clocks.dueAt > now ? 'scheduled' : 'ready',
    priority,
    input,
    codec,
    options,
    parent,
    createdAt: now,
    ...clocks,
    counters: noCounters,
    token,
    worker: lease?.worker ?? null,
    leaseUntil: lease === null ? null : now + lease.leaseMs,
    startedAt: lease === null ? null : now,
    finishedAt: null,
    expiresAt: null,
    cancelAsked: false,
    progress: null,
    errors: [],
    output: null,
    reason: null,
    sequence: db.nextSequence(),
    keepCancelledMs,
    unique: job.unique,
    unmet: new Map(job.needs.map((need) => [need.id, need.onFailed])),
    suspect: false,
    overdue: false,
    bornToken: token,
    settledToken: 0,
    cancelReason: null,
    logs: [],
  }
}
