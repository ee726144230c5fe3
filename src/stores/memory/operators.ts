/** What people do to jobs: cancel, retry, remove, take, prune. */
import { isFinal, noCounters } from '../../core/job.ts'
import type { CancelAnswer, RemoveAnswer, RetryAnswer } from '../../store/operators.ts'
import type { StoredJob } from '../../store/job.ts'
import { workerRecordKeptMs } from '../bounds.ts'
import { finish, release } from './needs.ts'
import { keepOutput, pruneOutputs } from './outputs.ts'
import { shown } from './readers.ts'
import { erase, move, type MemoryDatabase, type Row } from './state.ts'
import { holderOf, pruneKeys } from './uniques.ts'

export function cancel(
  db: MemoryDatabase,
  ids: readonly string[],
  reason: string | null,
  now: number,
): CancelAnswer[] {
  return ids.map((id) => {
    const row = db.jobs.get(id)
    if (row === undefined) return 'missing'
    if (isFinal(row.state)) return 'final'
    if (row.state === 'running') {
      if (!row.cancelAsked) {
        row.cancelAsked = true
        row.cancelReason = reason
        db.hints.give('cancel')
      }
      return 'asked'
    }
    finish(db, row, { state: 'cancelled', output: null, reason, keepMs: row.keepCancelledMs }, now)
    release(db, row, now)
    return 'cancelled'
  })
}

export function retry(db: MemoryDatabase, ids: readonly string[], now: number): RetryAnswer[] {
  const retried: Row[] = []
  const answers = ids.map((id): RetryAnswer => {
    const row = db.jobs.get(id)
    if (row === undefined) return 'missing'
    if (!isFinal(row.state) || row.state === 'completed') return 'unfit'
    if (row.unique?.during.includes('ready')) {
      const holder = holderOf(db, row.unique.key, now)
      if (holder !== null && holder !== id) return 'duplicate'
    }
    restart(db, row, now)
    retried.push(row)
    return 'retried'
  })
  for (const row of retried) waitAgain(db, row, now)
  return answers
}

/** Lets a retried job wait for those of its needs that have not ended, of which some may just have been retried. */
function waitAgain(db: MemoryDatabase, row: Row, now: number): void {
  for (const { id, onFailed } of row.wants) {
    const needed = db.jobs.get(id)
    if (needed !== undefined && !isFinal(needed.state)) row.unmet.set(id, onFailed)
    else keepOutput(db, row, id, needed)
  }
  if (row.unmet.size > 0) move(db, row, 'blocked', {}, now)
}

function restart(db: MemoryDatabase, row: Row, now: number): void {
  const change: Partial<Row> = {
    dueAt: now,
    place: now - row.headStartMs,
    startBy: row.startWithinMs === null ? null : now + row.startWithinMs,
    deadlineAt: row.deadlineMs === null ? null : now + row.deadlineMs,
    counters: noCounters,
    startedAt: null,
    finishedAt: null,
    expiresAt: null,
    cancelReason: null,
    progress: null,
    output: null,
    reason: null,
  }
  move(db, row, 'ready', change, now)
}

export function remove(db: MemoryDatabase, ids: readonly string[], now: number): RemoveAnswer[] {
  return ids.map((id) => {
    const row = db.jobs.get(id)
    if (row === undefined) return 'missing'
    if (row.state === 'running') return 'running'
    erase(db, row, false, now)
    release(db, row, now)
    return 'removed'
  })
}

export function take(
  db: MemoryDatabase,
  ids: readonly string[],
  now: number,
): (StoredJob | null)[] {
  return ids.map((id) => {
    const row = db.jobs.get(id)
    if (row === undefined) return null
    if (isFinal(row.state)) erase(db, row, true, now)
    return shown(row)
  })
}

/** Removes finished jobs: first those beyond their retention, then the oldest beyond the newest `cap`. */
export function prune(
  db: MemoryDatabase,
  request: { readonly limit: number; readonly cap: number },
  now: number,
): { removed: number; more: boolean } {
  let removed = 0
  while (removed < request.limit) {
    const expired = db.expiring.first()
    const [oldest] = db.finished
    if (expired !== undefined && isExpired(expired, now)) erase(db, expired, true, now)
    else if (oldest !== undefined && db.finished.size > request.cap) erase(db, oldest, true, now)
    else break
    removed += 1
  }
  for (const worker of db.workers.values()) {
    if (worker.lastSeenAt < now - workerRecordKeptMs) db.workers.delete(worker.id)
  }
  pruneKeys(db, now)
  pruneOutputs(db)
  return { removed, more: removed === request.limit }
}

/** Whether finished jobs have outlived their retention. */
export function needsPrune(db: MemoryDatabase, now: number): boolean {
  const first = db.expiring.first()
  return first !== undefined && isExpired(first, now)
}

function isExpired(row: Row, now: number): boolean {
  return row.expiresAt !== null && row.expiresAt <= now
}
