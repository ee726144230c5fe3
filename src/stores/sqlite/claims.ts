/** Handing jobs out: `claim` for those that are ready, `expired` for those that were lost or waited too long. */
import type { Claimed, ClaimedJob, ClaimRequest, ExpiredRequest, NextDue } from '../../store.ts'
import type { Connection, Row } from './connection.ts'
import { nextDueMs, promote, stepOut, unbind, type Bounded } from './lines.ts'
import {
  claimedColumns,
  claimedWidth,
  readClaimed,
  readRecord,
  RECORD_BY_SEQ,
  type Keyed,
} from './rows.ts'
import { READY, RUNNING } from './states.ts'
import type { Transaction } from './transaction.ts'
import { rekey } from './uniques.ts'

/** The head of a queue with its jobs: walks the primary key of errand_ready, then rowids. */
const HEAD = `SELECT ${claimedColumns}, r.place FROM errand_ready r CROSS JOIN errand_jobs j ON j.seq = r.seq
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
const LOST = `SELECT ${claimedColumns}, r.started_at, r.cancel_asked, r.overdue
  FROM errand_running r CROSS JOIN errand_jobs j ON j.seq = r.seq
  WHERE r.lease_until <= ? AND j.task IN (SELECT value FROM json_each(?)) ORDER BY r.lease_until, r.seq LIMIT ?`
const RELEASE_LEASE = `UPDATE errand_running SET token = ?, worker = ?, lease_until = ?, born = 0 WHERE seq = ?`
/** Waiting jobs that waited too long, in the order of their insertion: walks a range of the primary key of errand_overdue. */
const OVERDUE = `SELECT seq FROM errand_overdue
  WHERE at <= ? AND task IN (SELECT value FROM json_each(?)) ORDER BY seq LIMIT ?`
const NEEDS_SWEEP = `SELECT EXISTS (SELECT 1 FROM errand_overdue WHERE at <= ?)
  OR EXISTS (SELECT 1 FROM errand_running WHERE lease_until <= ?)`

const PRIORITY = 4
const KEY = 9
const START_BY = 12
const DEADLINE_AT = 13

/**
 * Leases ready jobs in order. A suspect is leased alone: it comes only as the first job of a call, and then it is the
 * only one; otherwise ordinary jobs go on as if suspects were not there.
 */
export function claim(tx: Transaction, request: ClaimRequest): Claimed & NextDue {
  promote(tx)
  const jobs: ClaimedJob[] = []
  const paused = new Set(pausedOf(tx.connection))
  const hasSuspects = request.suspects >= 0 && tx.row(ANY_SUSPECTS)?.[0] === 1
  for (const { name, limit } of asked(tx, request)) {
    const most = Math.min(limit, request.limit - jobs.length)
    if (request.limit <= jobs.length) break
    if (most <= 0 || paused.has(name)) continue
    if (hasSuspects && jobs.length === 0) {
      const seq = suspectBeforeOthers(tx, name, request.suspects)
      if (seq !== null) {
        return {
          now: tx.now,
          jobs: [leaseSuspect(tx, seq, request)],
          nextDueMs: nextDueMs(tx),
        }
      }
    }
    leaseHead(tx, name, most, request, jobs)
  }
  return { now: tx.now, jobs, nextDueMs: nextDueMs(tx) }
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

function leaseHead(
  tx: Transaction,
  queue: string,
  most: number,
  request: ClaimRequest,
  jobs: ClaimedJob[],
): void {
  const rows = tx.rows(HEAD, queue, most)
  const last = rows.at(-1)
  if (last === undefined) return
  const token = tx.token()
  tx.run(LEASE_HEAD, token, request.worker, tx.now + request.leaseMs, queue, rows.length)
  tx.run(
    DROP_HEAD,
    queue,
    last[PRIORITY] as number,
    last[claimedWidth] as number,
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
    startBy: row[START_BY] as number | null,
    deadlineAt: row[DEADLINE_AT] as number | null,
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

type Place = readonly [priority: number, place: number, seq: number]

function compare(a: Place, b: Place): number {
  return a[0] - b[0] || a[1] - b[1] || a[2] - b[2]
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

/** Leases to the caller what other workers lost, oldest lease first, then what waited too long. */
export function expired(tx: Transaction, request: ExpiredRequest): Claimed {
  const tasks = JSON.stringify(request.tasks)
  const lost = tx.rows(LOST, tx.now, tasks, request.limit)
  const jobs = lost.map((row) => {
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
  const room = request.limit - jobs.length
  if (room <= 0) return { now: tx.now, jobs }
  for (const [seq] of tx.rows(OVERDUE, tx.now, tasks, room)) {
    jobs.push(leaseWaiting(tx, seq as number, { ...request, why: 'overdue' }))
  }
  return { now: tx.now, jobs }
}

/** Whether `expired` would find anything, were all tasks asked for. */
export function needsSweep(tx: Transaction): boolean {
  return tx.row(NEEDS_SWEEP, tx.now, tx.now)?.[0] === 1
}
