/** Handing out jobs that are ready. */
import { smallInputBytes } from '../../core/job.ts'
import type { Claimed, ClaimRequest, NextDue } from '../../store/worker-calls.ts'
import type { ClaimedJob } from '../../store/job.ts'
import { checkLease } from '../bounds.ts'
import type { Connection, Row } from './connection.ts'
import { fittingOf, leaseWaiting, sizeOf, withNeeded } from './hand-out.ts'
import { nextDueMs, promote, unbind } from './lines.ts'
import {
  boundsOf,
  claimedColumns,
  claimedWidth,
  keyedOf,
  priorityOf,
  readClaimed,
  seqOf,
  type StoredTime,
} from './rows.ts'
import { READY, RUNNING } from '../state-codes.ts'
import type { Transaction } from './transaction.ts'
import { rekey } from './uniques.ts'

/** The head of a queue with its jobs: walks the primary key of errand_ready, then rowids. */
const HEAD = `SELECT ${claimedColumns}, r.place FROM errand_ready r CROSS JOIN errand_jobs j ON j.seq = r.seq
  WHERE r.queue = ? ORDER BY r.priority, r.place, r.seq LIMIT ?`
/**
 * Whether a queue has, or had, jobs whose inputs must be counted: one step in an index that holds
 * no others.
 */
const HAS_LARGE = `SELECT 1 FROM errand_jobs WHERE queue = ? AND octet_length(input) > ${smallInputBytes} LIMIT 1`
/** How large the inputs of the head are, which reads none of them. */
const SIZES = `SELECT octet_length(j.input) FROM errand_ready r CROSS JOIN errand_jobs j ON j.seq = r.seq
  WHERE r.queue = ? ORDER BY r.priority, r.place, r.seq LIMIT ?`
/** Leases the same head. */
const LEASE_HEAD = `INSERT INTO errand_running (seq, token, worker, lease_until)
  SELECT seq, ?, ?, ? FROM errand_ready WHERE queue = ? ORDER BY priority, place, seq LIMIT ?`
/** Drops it from the line: one range of the primary key. */
const DROP_HEAD = `DELETE FROM errand_ready WHERE queue = ? AND (priority, place, seq) <= (?, ?, ?)`
/** The first step of the queue's range in the primary key. */
const FIRST_READY = `SELECT priority, place, seq FROM errand_ready WHERE queue = ? ORDER BY priority, place, seq LIMIT 1`
/** Looks whether the table is empty. */
const ANY_SUSPECTS = `SELECT EXISTS (SELECT 1 FROM errand_suspects)`
/** Walks the queue's range in the primary key of errand_suspects. */
const FIRST_SUSPECT = `SELECT priority, place, seq FROM errand_suspects WHERE queue = ? AND losses <= ?
  ORDER BY priority, place, seq LIMIT 1`
/** Scans errand_paused. */
const PAUSED = `SELECT queue FROM errand_paused`
/** The next queue by name that has work: one step in each primary key. */
const NEXT_QUEUE = `SELECT min(queue) FROM (
  SELECT queue FROM (SELECT queue FROM errand_ready WHERE queue > ? ORDER BY queue LIMIT 1)
  UNION ALL SELECT queue FROM (SELECT queue FROM errand_suspects WHERE queue > ? ORDER BY queue LIMIT 1))`
/** The first call of an id: walks the primary key of errand_claims. */
const FIRST_CALL = `SELECT token FROM errand_claims WHERE id = ? AND until > ?`
const REMEMBER = `INSERT OR REPLACE INTO errand_claims (id, token, until) VALUES (?, ?, ?)`
/**
 * What is still under a lease of that call: scans errand_running, which holds only what runs now.
 */
const STILL_LEASED = `SELECT ${claimedColumns}, r.started_at, r.cancel_asked
  FROM errand_running r CROSS JOIN errand_jobs j ON j.seq = r.seq WHERE r.token = ? ORDER BY r.seq`
/** Scans errand_claims, which holds as many calls as were made with an id within a lease's time. */
const PRUNE_CALLS = `DELETE FROM errand_claims WHERE until <= ?`

/**
 * Leases ready jobs in order. A suspect is leased alone: it comes only as the first job of a call,
 * and then it is the only one; otherwise ordinary jobs go on as if suspects were not there.
 */
export function claim(tx: Transaction, request: ClaimRequest): Claimed & NextDue {
  checkLease(request.leaseMs)
  promote(tx)
  if (request.id !== null) {
    const token = tx.row(FIRST_CALL, request.id, tx.now)?.[0] as number | undefined
    if (token !== undefined) return answerOf(tx, stillLeased(tx, token), false)
    tx.run(REMEMBER, request.id, tx.token(), tx.now + request.leaseMs)
  }
  const jobs: ClaimedJob[] = []
  const seqs: number[] = []
  const paused = new Set(pausedOf(tx.connection))
  const { maxLosses } = request
  const mostLosses = maxLosses !== null && tx.row(ANY_SUSPECTS)?.[0] === 1 ? maxLosses : null
  for (const { name, limit } of asked(tx, request)) {
    const most = Math.min(limit, request.limit - jobs.length)
    if (request.limit <= jobs.length) break
    if (most <= 0 || paused.has(name)) continue
    if (mostLosses !== null && jobs.length === 0) {
      const seq = suspectBeforeOthers(tx, name, mostLosses)
      if (seq !== null)
        return answerOf(
          tx,
          withNeeded(tx, [leaseWaiting(tx, seq, { ...request, why: 'ready' })], [seq]),
          false,
        )
    }
    const fits = fitting(tx, name, most, jobs)
    for (const row of leaseHead(tx, name, fits, request, jobs)) seqs.push(seqOf(row))
    if (fits < most) return answerOf(tx, withNeeded(tx, jobs, seqs), true)
  }
  return answerOf(tx, withNeeded(tx, jobs, seqs), false)
}

function answerOf(tx: Transaction, jobs: readonly ClaimedJob[], cut: boolean): Claimed & NextDue {
  return { now: tx.now, jobs, cut, nextDueMs: nextDueMs(tx) }
}

/** The jobs of an earlier call that are still under its lease. */
function stillLeased(tx: Transaction, token: number): readonly ClaimedJob[] {
  const rows = tx.rows(STILL_LEASED, token)
  const jobs = rows.map((row) => {
    const startedAt = row[claimedWidth] as number | null
    const cancelAsked = row[claimedWidth + 1] === 1
    return readClaimed(row, { token, why: 'ready', lostBy: null, startedAt, cancelAsked })
  })
  return withNeeded(tx, jobs, rows.map(seqOf))
}

/** Forgets calls whose leases have ended. */
export function pruneCalls(tx: Transaction): void {
  tx.run(PRUNE_CALLS, tx.now)
}

/**
 * The queues of a request with their limits: the named ones in their order, then the others that
 * have work, by name.
 */
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

/**
 * How many jobs of the head may go with those of a claim for their size; `most` when the queue ends
 * before.
 */
function fitting(
  tx: Transaction,
  queue: string,
  most: number,
  jobs: readonly ClaimedJob[],
): number {
  if (most === 1 && jobs.length === 0) return most
  if (tx.row(HAS_LARGE, queue) === undefined) return most
  return fittingOf(tx.rows(SIZES, queue, most), sizeOf(jobs)) ?? most
}

function leaseHead(
  tx: Transaction,
  queue: string,
  most: number,
  request: ClaimRequest,
  jobs: ClaimedJob[],
): readonly Row[] {
  if (most === 0) return []
  const rows = tx.rows(HEAD, queue, most)
  const last = rows.at(-1)
  if (last === undefined) return []
  const token = tx.token()
  tx.run(LEASE_HEAD, token, request.worker, tx.now + request.leaseMs, queue, rows.length)
  tx.run(DROP_HEAD, queue, priorityOf(last), last[claimedWidth] as StoredTime, seqOf(last))
  tx.moved(queue, READY, RUNNING, rows.length)
  const handing = {
    token,
    why: 'ready',
    lostBy: null,
    startedAt: null,
    cancelAsked: false,
  } as const
  for (const row of rows) {
    jobs.push(readClaimed(row, handing))
    const bounds = boundsOf(row)
    if (bounds !== null) unbind(tx, bounds)
    const keyed = keyedOf(row)
    if (keyed !== null) rekey(tx, keyed, RUNNING)
  }
  return rows
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
