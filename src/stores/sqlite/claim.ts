/** Handing jobs out: `claim` for those that are ready, `expired` for those that were lost or waited too long. */
import { handedBytes, smallInputBytes } from '../../core/job.ts'
import type { Claimed, ClaimRequest, RescueRequest, NextDue } from '../../store/worker-calls.ts'
import type { ClaimedJob } from '../../store/job.ts'
import { checkLease } from '../bounds.ts'
import { lastTime } from '../unreadable.ts'
import type { Connection, Row } from './connection.ts'
import { nextDueMs, promote, stepOut, unbind, type Bounded } from './lines.ts'
import {
  claimedColumns,
  claimedWidth,
  readClaimed,
  readRecord,
  RECORD_BY_SEQ,
  type Keyed,
  type StoredTime,
} from './rows.ts'
import { READY, RUNNING } from './states.ts'
import type { Transaction } from './transaction.ts'
import { rekey } from './uniques.ts'

/** The head of a queue with its jobs: walks the primary key of errand_ready, then rowids. */
const HEAD = `SELECT ${claimedColumns}, r.place FROM errand_ready r CROSS JOIN errand_jobs j ON j.seq = r.seq
  WHERE r.queue = ? ORDER BY r.priority, r.place, r.seq LIMIT ?`
/** Whether a queue has, or had, jobs whose inputs must be counted: one step in an index that holds no others. */
const HAS_LARGE = `SELECT 1 FROM errand_jobs WHERE queue = ? AND octet_length(input) > ${smallInputBytes} LIMIT 1`
/** How large the inputs of the head are, which reads none of them. */
const SIZES = `SELECT octet_length(j.input) FROM errand_ready r CROSS JOIN errand_jobs j ON j.seq = r.seq
  WHERE r.queue = ? ORDER BY r.priority, r.place, r.seq LIMIT ?`
/** Leases the same head. */
const LEASE_HEAD = `INSERT INTO errand_running (seq, token, worker, lease_until)
  SELECT seq, ?, ?, ? FROM errand_ready WHERE queue = ? ORDER BY priority, place, seq LIMIT ?`
/** Drops it from the line: one range of the primary key. */
const DROP_HEAD = `DELETE FROM errand_ready WHERE queue = ? AND (priority, place, seq) <= (?, ?, ?)`
const FIRST_READY = `SELECT priority, place, seq FROM errand_ready WHERE queue = ? ORDER BY priority, place, seq LIMIT 1`
const ANY_SUSPECTS = `SELECT EXISTS (SELECT 1 FROM errand_suspects)`
const FIRST_SUSPECT = `SELECT priority, place, seq FROM errand_suspects WHERE queue = ? AND losses <= ?
  ORDER BY priority, place, seq LIMIT 1`
const PAUSED = `SELECT queue FROM errand_paused`
/** The next queue by name that has work: one step in each primary key. */
const NEXT_QUEUE = `SELECT min(queue) FROM (
  SELECT queue FROM (SELECT queue FROM errand_ready WHERE queue > ? ORDER BY queue LIMIT 1)
  UNION ALL SELECT queue FROM (SELECT queue FROM errand_suspects WHERE queue > ? ORDER BY queue LIMIT 1))`
const ADD_RUNNING = `INSERT INTO errand_running (seq, token, worker, lease_until, started_at, overdue) VALUES (?, ?, ?, ?, ?, ?)`
const CLAIMED_BY_SEQ = `SELECT ${claimedColumns} FROM errand_jobs j WHERE j.seq = ?`

/** Expired leases of known tasks: scans errand_running, which holds only what runs now. */
const lost = (
  columns: string,
): string => `SELECT ${columns} FROM errand_running r CROSS JOIN errand_jobs j ON j.seq = r.seq
  WHERE (r.lease_until <= ? OR r.lease_until > ${lastTime}) AND j.task IN (SELECT value FROM json_each(?)) ORDER BY r.lease_until, r.seq LIMIT ?`
const LOST = lost(`${claimedColumns}, r.started_at, r.cancel_asked, r.overdue`)
const LOST_SIZES = lost('octet_length(j.input)')
const RELEASE_LEASE = `UPDATE errand_running SET token = ?, worker = ?, lease_until = ?, born = 0 WHERE seq = ?`
/** Waiting jobs that waited too long, in the order of their insertion: walks a range of the primary key of errand_overdue. */
const OVERDUE = `SELECT seq FROM errand_overdue
  WHERE at <= ? AND task IN (SELECT value FROM json_each(?)) ORDER BY seq LIMIT ?`
/** Jobs that are scheduled for a time that cannot be read: walks the end of the primary key of errand_scheduled. */
const NEVER_DUE = `SELECT s.seq FROM errand_scheduled s CROSS JOIN errand_jobs j ON j.seq = s.seq
  WHERE s.due_at > ${lastTime} AND j.task IN (SELECT value FROM json_each(?)) ORDER BY s.due_at, s.seq LIMIT ?`
const NEEDS_SWEEP = `SELECT EXISTS (SELECT 1 FROM errand_overdue WHERE at <= ?)
  OR EXISTS (SELECT 1 FROM errand_running WHERE lease_until <= ? OR lease_until > ${lastTime})
  OR EXISTS (SELECT 1 FROM errand_scheduled WHERE due_at > ${lastTime})`

const PRIORITY = 4
const KEY = 9
const START_BY = 12
const DEADLINE_AT = 13

/**
 * Leases ready jobs in order. A suspect is leased alone: it comes only as the first job of a call, and then it is the
 * only one; otherwise ordinary jobs go on as if suspects were not there.
 */
export function claim(tx: Transaction, request: ClaimRequest): Claimed & NextDue {
  checkLease(request.leaseMs)
  promote(tx)
  const jobs: ClaimedJob[] = []
  const paused = new Set(pausedOf(tx.connection))
  const hasSuspects = request.maxLosses >= 0 && tx.row(ANY_SUSPECTS)?.[0] === 1
  for (const { name, limit } of asked(tx, request)) {
    const most = Math.min(limit, request.limit - jobs.length)
    if (request.limit <= jobs.length) break
    if (most <= 0 || paused.has(name)) continue
    if (hasSuspects && jobs.length === 0) {
      const seq = suspectBeforeOthers(tx, name, request.maxLosses)
      if (seq !== null) {
        return {
          now: tx.now,
          jobs: [leaseSuspect(tx, seq, request)],
          cut: false,
          nextDueMs: nextDueMs(tx),
        }
      }
    }
    const fits = fitting(tx, name, most, jobs)
    leaseHead(tx, name, fits, request, jobs)
    if (fits < most) return { now: tx.now, jobs, cut: true, nextDueMs: nextDueMs(tx) }
  }
  return { now: tx.now, jobs, cut: false, nextDueMs: nextDueMs(tx) }
}

/** The queues of a request with their limits: the named ones in their order, then the others that have work, by name. */
function* asked(tx: Transaction, request: ClaimRequest): Generator<ClaimRequest['queues'][number]> {
  yield* request.queues
  if (request.others <= 0) return
  const named = new Set(request.queues.map((queue) => queue.name))
  for (const name of busyQueues(tx)) {
    if (!named.has(name)) yield { name, limit: request.others }
  }
}

/** Queues that have work, by name. */
export function* busyQueues(tx: Transaction): Generator<string> {
  for (let name = ''; ;) {
    const next = tx.row(NEXT_QUEUE, name, name)?.[0]
    if (typeof next !== 'string') return
    name = next
    yield name
  }
}

/** Names of the paused queues. */
export function pausedOf(connection: Connection): string[] {
  return connection.rows(PAUSED).map(([queue]) => queue as string)
}

/** How many jobs of the head may go with those of a claim for their size; `most` when the queue ends before. */
function fitting(
  tx: Transaction,
  queue: string,
  most: number,
  jobs: readonly ClaimedJob[],
): number {
  if (most === 1 && jobs.length === 0) return most
  if (tx.row(HAS_LARGE, queue) === undefined) return most
  return countOf(tx.rows(SIZES, queue, most), sizeOf(jobs)) ?? most
}

/** How many of these sizes go before it is enough; null for all. */
function countOf(sizes: readonly Row[], before: number): number | null {
  let size = before
  const end = sizes.findIndex(([one]) => {
    if (size >= handedBytes) return true
    size += one as number
    return false
  })
  return end < 0 ? null : end
}

function sizeOf(jobs: readonly ClaimedJob[]): number {
  return jobs.reduce((size, { input }) => size + input.length, 0)
}

function leaseHead(
  tx: Transaction,
  queue: string,
  most: number,
  request: ClaimRequest,
  jobs: ClaimedJob[],
): void {
  if (most === 0) return
  const rows = tx.rows(HEAD, queue, most)
  const last = rows.at(-1)
  if (last === undefined) return
  const token = tx.token()
  tx.run(LEASE_HEAD, token, request.worker, tx.now + request.leaseMs, queue, rows.length)
  tx.run(
    DROP_HEAD,
    queue,
    last[PRIORITY] as number,
    last[claimedWidth] as StoredTime,
    last[0] as number,
  )
  tx.moved(queue, READY, RUNNING, rows.length)
  for (const row of rows) {
    jobs.push(readClaimed(row, token, 'ready', null, false))
    if (row[START_BY] !== null || row[DEADLINE_AT] !== null) unbind(tx, boundsOf(row))
    if (row[KEY] !== null) rekey(tx, keyOf(row), RUNNING)
  }
}

function boundsOf(row: Row): Omit<Bounded, 'task'> {
  return {
    seq: row[0] as number,
    startBy: row[START_BY] as StoredTime | null,
    deadlineAt: row[DEADLINE_AT] as StoredTime | null,
  }
}

function keyOf(row: Row): Keyed {
  return {
    id: row[1] as string,
    key: row[KEY] as string | null,
    during: (row[15] as number | null) ?? 0,
    until: (row[16] as number | null) ?? 0,
  }
}

/** The rowid of the queue's first suspect that may run, if no ordinary job comes before it. */
function suspectBeforeOthers(tx: Transaction, queue: string, mostLosses: number): number | null {
  const suspect = tx.row(FIRST_SUSPECT, queue, mostLosses) as Place | undefined
  if (suspect === undefined) return null
  const ordinary = tx.row(FIRST_READY, queue) as Place | undefined
  return ordinary === undefined || compare(suspect, ordinary) < 0 ? suspect[2] : null
}

type Place = readonly [priority: number, place: StoredTime, seq: number]

function compare(a: Place, b: Place): number {
  if (a[0] !== b[0]) return a[0] < b[0] ? -1 : 1
  if (a[1] !== b[1]) return a[1] < b[1] ? -1 : 1
  return a[2] - b[2]
}

function leaseSuspect(tx: Transaction, seq: number, request: ClaimRequest): ClaimedJob {
  return leaseWaiting(tx, seq, { worker: request.worker, leaseMs: request.leaseMs, why: 'ready' })
}

/** Leases one job out of wherever it waits: a suspect as started, an overdue one as not. */
function leaseWaiting(
  tx: Transaction,
  seq: number,
  lease: { readonly worker: string; readonly leaseMs: number; readonly why: 'ready' | 'overdue' },
): ClaimedJob {
  const record = readRecord(tx.row(RECORD_BY_SEQ, seq) as Row)
  const row = tx.row(CLAIMED_BY_SEQ, seq) as Row
  const token = tx.token()
  const startedAt = lease.why === 'ready' ? tx.now : null
  stepOut(tx, record)
  tx.run(
    ADD_RUNNING,
    seq,
    token,
    lease.worker,
    tx.now + lease.leaseMs,
    startedAt,
    lease.why === 'overdue' ? 1 : 0,
  )
  tx.moved(record.queue, record.state, RUNNING)
  unbind(tx, boundsOf(row))
  rekey(tx, keyOf(row), RUNNING)
  return readClaimed(row, token, lease.why, startedAt, false)
}

/** Leases to the caller what other workers lost, oldest lease first, then what waited too long, then what would wait for ever. */
export function rescue(tx: Transaction, request: RescueRequest): Claimed {
  checkLease(request.leaseMs)
  const tasks = JSON.stringify(request.tasks)
  const fits = countOf(tx.rows(LOST_SIZES, tx.now, tasks, request.limit), 0)
  const found = tx.rows(LOST, tx.now, tasks, fits ?? request.limit)
  const jobs = found.map((row) => {
    const token = tx.token()
    tx.run(RELEASE_LEASE, token, request.worker, tx.now + request.leaseMs, row[0] as number)
    rekey(tx, keyOf(row), RUNNING)
    const why = row[claimedWidth + 2] === 1 ? 'overdue' : 'lost'
    return readClaimed(
      row,
      token,
      why,
      row[claimedWidth] as number | null,
      row[claimedWidth + 1] === 1,
    )
  })
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

/** Whether `expired` would find anything, were all tasks asked for. */
export function needsSweep(tx: Transaction): boolean {
  return tx.row(NEEDS_SWEEP, tx.now, tx.now)?.[0] === 1
}
