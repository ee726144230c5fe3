/** How jobs come under a lease: `claim` for ready ones, `rescue` for those that were lost or waited too long. */
import { handedBytes } from '../../core/job.ts'
import type { Claimed, ClaimRequest, RescueRequest, NextDue } from '../../store/worker-calls.ts'
import type { ClaimedJob } from '../../store/job.ts'
import { neededBy, sizeOf } from './outputs.ts'
import { known } from './readers.ts'
import {
  inLine,
  isOverdue,
  move,
  nextDueMs,
  promote,
  type MemoryDatabase,
  type Queue,
  type Row,
} from './state.ts'

interface Lease {
  readonly worker: string
  readonly leaseUntil: number
  readonly token: number
}

/**
 * Leases ready jobs in order. A suspect is leased alone: it comes only as the first job of a call, and then it is the
 * only one; otherwise ordinary jobs go on as if suspects were not there.
 */
export function claim(db: MemoryDatabase, request: ClaimRequest, now: number): Claimed & NextDue {
  promote(db, now)
  const next = nextDueMs(db, now)
  const first = request.id === null ? undefined : claimOf(db, request.id, now)
  if (first !== undefined) return { now, jobs: under(db, first.token), cut: false, nextDueMs: next }
  const lease = {
    worker: request.worker,
    leaseUntil: now + request.leaseMs,
    token: db.nextToken(now),
  }
  if (request.id !== null)
    db.claims.set(request.id, { token: lease.token, until: lease.leaseUntil })
  const jobs: ClaimedJob[] = []
  let size = 0
  for (const { name, limit } of asked(db, request)) {
    const queue = db.queues.get(name)
    if (queue === undefined || db.paused.has(name)) continue
    const most = Math.min(limit, request.limit - jobs.length)
    if (most <= 0) continue
    const { maxLosses } = request
    const suspect =
      jobs.length === 0 && maxLosses !== null ? suspectBeforeOthers(queue, maxLosses) : null
    if (suspect !== null)
      return {
        now,
        jobs: [run(db, suspect, lease, { startedAt: now }, 'ready', now)],
        cut: false,
        nextDueMs: next,
      }
    for (let count = 0; count < most; count += 1) {
      const row = queue.ready.first()
      if (row === undefined) break
      if (size >= handedBytes) return { now, jobs, cut: true, nextDueMs: next }
      const job = run(db, row, lease, { startedAt: null }, 'ready', now)
      size += row.input.length
      jobs.push(fitted(job, size, jobs.length))
      size += sizeOf(job.needed)
    }
  }
  return { now, jobs, cut: false, nextDueMs: next }
}

/** The first call of an id, while it is remembered. */
function claimOf(db: MemoryDatabase, id: string, now: number): { token: number } | undefined {
  for (const [old, { until }] of db.claims) if (until <= now) db.claims.delete(old)
  return db.claims.get(id)
}

/** The jobs that are still under a lease. */
function under(db: MemoryDatabase, token: number): ClaimedJob[] {
  return [...db.running]
    .filter((row) => row.token === token)
    .map((row) => handed(db, row, 'ready', null))
}

/** The queues of a request with their limits: the named ones in their order, then the others by name. */
function asked(db: MemoryDatabase, request: ClaimRequest): ClaimRequest['queues'] {
  if (request.others <= 0) return request.queues
  const named = new Set(request.queues.map((queue) => queue.name))
  const others = [...db.queues.keys()].filter((name) => !named.has(name)).sort()
  return [...request.queues, ...others.map((name) => ({ name, limit: request.others }))]
}

function suspectBeforeOthers(queue: Queue, mostLosses: number): Row | null {
  let first: Row | null = null
  for (const row of queue.suspects) {
    if (row.counters.losses <= mostLosses && (first === null || inLine(row, first) < 0)) first = row
  }
  const ordinary = queue.ready.first()
  return first !== null && (ordinary === undefined || inLine(first, ordinary) < 0) ? first : null
}

/** Leases to the caller what other workers lost, oldest lease first, then what waited too long. */
export function rescue(db: MemoryDatabase, request: RescueRequest, now: number): Claimed {
  const tasks = new Set(request.tasks)
  const lease = {
    worker: request.worker,
    leaseUntil: now + request.leaseMs,
    token: db.nextToken(now),
  }
  const lost = [...db.running]
    .filter((row) => isLost(row, now) && tasks.has(row.task))
    .sort((a, b) => (a.leaseUntil ?? 0) - (b.leaseUntil ?? 0) || a.sequence - b.sequence)
  const overdue = [...db.bounded]
    .filter((row) => isOverdue(row, now) && tasks.has(row.task))
    .sort((a, b) => a.sequence - b.sequence)
  const asked = [...lost, ...overdue].slice(0, request.limit)
  const rows = asked.slice(0, fitting(asked))
  const jobs = rows.map((row) =>
    row.leaseUntil === null
      ? run(db, row, lease, { overdue: true, startedAt: null }, 'overdue', now)
      : run(db, row, lease, {}, row.overdue ? 'overdue' : 'lost', now),
  )
  return { now, jobs, cut: jobs.length < asked.length }
}

/** How many of these, from the first, one call hands out. */
function fitting(rows: readonly Row[]): number {
  let size = 0
  const end = rows.findIndex(({ input }) => {
    if (size >= handedBytes) return true
    size += input.length
    return false
  })
  return end < 0 ? rows.length : end
}

/** Whether `rescue` would find anything, were all tasks asked for. */
export function needsSweep(db: MemoryDatabase, now: number): boolean {
  for (const row of db.running) if (isLost(row, now)) return true
  for (const row of db.bounded) if (isOverdue(row, now)) return true
  return false
}

function isLost(row: Row, now: number): boolean {
  return row.leaseUntil !== null && row.leaseUntil <= now
}

function run(
  db: MemoryDatabase,
  row: Row,
  lease: Lease,
  change: Partial<Row>,
  why: ClaimedJob['why'],
  now: number,
): ClaimedJob {
  const lostBy = why === 'lost' ? { worker: row.worker ?? '', token: row.token } : null
  move(db, row, 'running', { ...lease, ...change }, now)
  return handed(db, row, why, lostBy)
}

function handed(
  db: MemoryDatabase,
  row: Row,
  why: ClaimedJob['why'],
  lostBy: ClaimedJob['lostBy'],
): ClaimedJob {
  return { ...known(row), why, lostBy, needed: why === 'ready' ? neededBy(db, row) : [] }
}

/** A job whose outputs do not fit a claim any more goes without them; the first one always has them. */
function fitted(job: ClaimedJob, before: number, place: number): ClaimedJob {
  if (place === 0 || before + sizeOf(job.needed) <= handedBytes) return job
  return { ...job, needed: 'later' }
}
