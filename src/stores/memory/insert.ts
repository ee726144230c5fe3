/** New work: `insert`, and the follow-ups of settlements, which are inserts like any other. */
import { noCounters } from '../../core/job.ts'
import type { Advance, InsertAnswer, Inserted } from '../../store/intake.ts'
import type { Hold, NewJob } from '../../store/job.ts'
import { mayReplace } from '../replacing.ts'
import { putRecords } from './locks.ts'
import { endForNeed, weighNeeds } from './needs.ts'
import { add, erase, move, type MemoryDatabase, type Row } from './state.ts'
import { holderOf } from './uniques.ts'

/**
 * Adds jobs one after the other, so that the first of a batch wins a key that several ask for. First each advance moves its record,
 * if the record is where it should be.
 */
export function insert(
  db: MemoryDatabase,
  jobs: readonly NewJob[],
  now: number,
  advances: readonly Advance[] = [],
): InsertAnswer[] {
  const late = new Set(advances.filter((one) => !moves(db, one)).flatMap((one) => one.jobs))
  return jobs.map((job) =>
    late.has(job.id) && !db.jobs.has(job.id)
      ? { id: job.id, status: 'stale', token: null }
      : insertOne(db, job, now),
  )
}

function moves(db: MemoryDatabase, { key, from, to }: Advance): boolean {
  const [answer] = putRecords(db, [{ key, text: to, if: from }])
  return answer === 'put'
}

/** Adds one job, without a record. */
export function insertOne(db: MemoryDatabase, job: NewJob, now: number): Inserted {
  const known = db.jobs.get(job.id)
  if (known !== undefined) return { id: job.id, status: 'created', token: bornTokenOf(known) }
  const isFinal = job.entry?.kind === 'failed'
  const holder = job.unique === null || isFinal ? null : holderOf(db, job.unique.key, now)
  if (holder !== null) return conflict(db, db.jobs.get(holder), holder, job, now)

  const row = newRow(db, job, now)
  if (job.entry !== null) {
    add(db, row, now)
    if (row.expiresAt !== null && row.expiresAt <= now) erase(db, row, false, now)
    return { id: job.id, status: 'created', token: bornTokenOf(row) }
  }
  const needs = weighNeeds(db, row)
  if (needs !== 'met') row.state = 'blocked'
  add(db, row, now)
  for (const one of job.holds ?? []) hold(db, row, one)
  endForNeed(db, row, needs, now)
  return { id: job.id, status: 'created', token: null }
}

/** Lets a blocked job wait for a new one as well. */
function hold(db: MemoryDatabase, row: Row, { id, onFailed, output }: Hold): void {
  const waiting = db.jobs.get(id)
  if (waiting?.state !== 'blocked' || waiting === row) return
  waiting.unmet.set(row.id, onFailed)
  const all = db.dependants.get(row.id) ?? new Set()
  db.dependants.set(row.id, all.add(waiting))
  if (output !== undefined)
    waiting.wants.push({ id: row.id, onFailed, isHanded: output === 'hand' })
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
  if (holder === undefined || !mayReplace(job, holder.queue))
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
  const { group, tags, headers, headStartMs = 0 } = job
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
    group,
    tags,
    headers,
    headStartMs,
    counters: noCounters,
    suspect: false,
  }
  const stoodFor = row.place + row.headStartMs
  const standsFor = isDue ? Math.min(stoodFor, clocks.dueAt) : clocks.dueAt
  move(db, row, state, { ...payload, ...clocks, place: standsFor - headStartMs }, now)
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
    place: dueAt - (job.headStartMs ?? 0),
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
  const { id, task, queue, priority, input, codec, options, parent, keepCancelledMs, entry } = job
  const { group, tags, headers } = job
  const clocks = clocksOf(job, now, null)
  const running = entry?.kind === 'running' ? entry : null
  const failed = entry?.kind === 'failed' ? entry : null
  const token = running === null ? 0 : db.nextToken(now)
  return {
    id,
    task,
    queue,
    state: entry !== null ? entry.kind : clocks.dueAt > now ? 'scheduled' : 'ready',
    priority,
    input,
    codec,
    options,
    parent,
    group,
    tags,
    headers,
    createdAt: now,
    ...clocks,
    counters: noCounters,
    token,
    worker: running?.worker ?? null,
    leaseUntil: running === null ? null : now + running.leaseMs,
    startedAt: running === null ? null : now,
    finishedAt: failed === null ? null : now,
    expiresAt: failed === null || failed.keepMs === null ? null : now + failed.keepMs,
    cancelAsked: false,
    progress: null,
    attempts: failed === null || failed.attempt === null ? [] : [failed.attempt],
    output: null,
    reason: failed?.reason ?? null,
    sequence: db.nextSequence(),
    keepCancelledMs,
    headStartMs: job.headStartMs ?? 0,
    unique: job.unique,
    unmet: new Map(job.needs.map((need) => [need.id, need.onFailed])),
    wants: job.needs.flatMap(({ id: need, onFailed, output }) =>
      output === undefined ? [] : [{ id: need, onFailed, isHanded: output === 'hand' }],
    ),
    suspect: false,
    overdue: false,
    bornToken: token,
    settledToken: 0,
    cancelReason: null,
    logs: [],
    recorded: new Map(),
  }
}
