/** What people do to jobs: cancel, retry, remove, take. */
import type { CancelAnswer, RemoveAnswer, RetryAnswer } from '../../store/operators.ts'
import type { StoredJob } from '../../store/job.ts'
import { dropProgress, endWaiting, erase, release, unfinish, waitAgain } from './needs.ts'
import { bind, lineUp, stepOut, unbind } from './lines.ts'
import { get } from './readers.ts'
import { readRecord, RECORD_BY_ID, type JobRecord } from './rows.ts'
import {
  BLOCKED,
  CANCELLED,
  COMPLETED,
  lists,
  READY,
  RUNNING,
  type StateCode,
} from '../state-codes.ts'
import type { Transaction } from './transaction.ts'
import { holderOf, rekey } from './uniques.ts'

/** A rowid. */
const ASK_TO_CANCEL = `UPDATE errand_running SET cancel_asked = 1, cancel_reason = ? WHERE seq = ? AND cancel_asked = 0`
/** For watchers in other processes: one step in the primary key of errand_meta. */
const SIGNAL_CANCEL = `UPDATE errand_meta SET value = value + 1 WHERE name = 'cancels'`
/** A rowid. */
const RESTART = `UPDATE errand_jobs SET due_at = ?, place = ?, start_by = ?, deadline_at = ?, counters = NULL, suspect = 0,
  token = ?, worker = ? WHERE seq = ?`

export function cancel(
  tx: Transaction,
  ids: readonly string[],
  reason: string | null,
): CancelAnswer[] {
  const answers = ids.map((id) => cancelOne(tx, id, reason))
  if (tx.hints.has('cancel')) tx.run(SIGNAL_CANCEL)
  return answers
}

function cancelOne(tx: Transaction, id: string, reason: string | null): CancelAnswer {
  const job = recordOf(tx, id)
  if (job === null) return 'missing'
  if (job.state > RUNNING) return 'final'
  if (job.state === RUNNING) {
    if (tx.run(ASK_TO_CANCEL, reason, job.seq) > 0) tx.hints.add('cancel')
    return 'asked'
  }
  endWaiting(tx, job, { state: CANCELLED, reason })
  release(tx, job, CANCELLED, job.keepCancelledMs)
  return 'cancelled'
}

export function retry(tx: Transaction, ids: readonly string[]): RetryAnswer[] {
  const restarted: JobRecord[] = []
  const answers = ids.map((id): RetryAnswer => {
    const job = recordOf(tx, id)
    if (job === null) return 'missing'
    if (job.state <= COMPLETED) return 'unfit'
    if (job.key !== null && lists(job.during, READY)) {
      const holder = holderOf(tx, job.key)
      if (holder !== null && holder !== id) return 'duplicate'
    }
    const again = restart(tx, job)
    // The next may want the same key.
    if (job.key !== null) lineUpAgain(tx, again, job.state)
    else restarted.push({ ...again, state: job.state })
    return 'retried'
  })
  // What they need may be among them.
  for (const job of restarted) lineUpAgain(tx, job, job.state)
  return answers
}

function restart(tx: Transaction, old: JobRecord): JobRecord {
  const { now } = tx
  const job = {
    ...old,
    dueAt: now,
    place: now - old.headStartMs,
    startBy: old.startWithinMs === null ? null : now + old.startWithinMs,
    deadlineAt: old.deadlineMs === null ? null : now + old.deadlineMs,
    suspect: false,
    counters: null,
  }
  unfinish(tx, job.seq)
  dropProgress(tx, job.seq)
  const { place, startBy, deadlineAt, settledToken, lastWorker, seq } = job
  tx.run(RESTART, now, place, startBy, deadlineAt, settledToken, lastWorker, seq)
  return job
}

function lineUpAgain(tx: Transaction, job: JobRecord, from: StateCode): void {
  const state = waitAgain(tx, job.seq) ? BLOCKED : READY
  lineUp(tx, job, state)
  bind(tx, job)
  tx.moved(job.queue, from, state)
  rekey(tx, job, state)
}

export function remove(tx: Transaction, ids: readonly string[]): RemoveAnswer[] {
  return ids.map((id) => {
    const job = recordOf(tx, id)
    if (job === null) return 'missing'
    if (job.state === RUNNING) return 'running'
    if (job.state < RUNNING) {
      stepOut(tx, job)
      unbind(tx, job)
    }
    erase(tx, job, job.state, false)
    release(tx, job, null, null)
    return 'removed'
  })
}

export function take(tx: Transaction, ids: readonly string[]): (StoredJob | null)[] {
  return ids.map((id) => {
    const [found = null] = get(tx.connection, [id])
    const job = found === null || found.finishedAt === null ? null : recordOf(tx, id)
    if (job !== null) erase(tx, job, job.state, true)
    return found
  })
}

function recordOf(tx: Transaction, id: string): JobRecord | null {
  const row = tx.row(RECORD_BY_ID, id)
  return row === undefined ? null : readRecord(row)
}
