/** How a job ends, and what that means for the jobs that need it. */
import { keepOutput, keptState } from './outputs.ts'
import type { FinalState } from '../../core/job.ts'
import { isFinal } from '../../core/job.ts'
import type { Keep } from '../../store/job.ts'
import { erase, move, type MemoryDatabase, type Row } from './state.ts'

/** Brings a job into a final state. `release` must follow in the same step. */
export function finish(
  db: MemoryDatabase,
  row: Row,
  ending: {
    readonly state: FinalState
    readonly output: string | null
    readonly reason: string | null
    readonly keepMs: Keep
  },
  now: number,
): void {
  const { state, output, reason, keepMs } = ending
  const ended = {
    output,
    reason,
    finishedAt: now,
    expiresAt: keepMs === null ? null : now + keepMs,
    leaseUntil: null,
  }
  move(db, row, state, { ...ended, cancelAsked: false, overdue: false, suspect: false }, now)
  row.unmet.clear()
}

/**
 * Settles the needs of the jobs that waited for an ended one, then of those that ended for it, and so on.
 * Jobs that are not to be kept go.
 */
export function release(db: MemoryDatabase, ended: Row, now: number): void {
  const endings = [ended]
  for (let row = endings.pop(); row !== undefined; row = endings.pop()) {
    for (const dependant of db.dependants.get(row.id) ?? []) {
      keepOutput(db, dependant, row.id, row)
      const verdict = answerNeed(db, dependant, row.id, row.state === 'completed')
      if (verdict !== 'go on') {
        finishForNeed(db, dependant, verdict, now)
        endings.push(dependant)
      } else if (dependant.state === 'blocked' && dependant.unmet.size === 0) {
        unblock(db, dependant, now)
      }
    }
    if (row.expiresAt !== null && row.expiresAt <= now) erase(db, row, true, now)
  }
}

/** What becomes of a job by its needs: they are met, some are open, or one failed that the job does not survive. */
export type Weighed = 'met' | 'open' | 'cancel' | 'fail'

/** Weighs a job's unmet needs by what the store knows now: strikes those that are met, or failed and may fail. */
export function weighNeeds(db: MemoryDatabase, row: Row): Weighed {
  for (const [need, onFailed] of row.unmet) {
    const needed = db.jobs.get(need)
    if (needed !== undefined && !isFinal(needed.state)) continue
    keepOutput(db, row, need, needed)
    const state = needed?.state ?? keptState(db, row, need)
    if (state !== 'completed' && onFailed !== 'run') return onFailed
    strike(db, row, need)
  }
  return row.unmet.size === 0 ? 'met' : 'open'
}

/** Ends a job whose need failed, with the jobs that need it in turn. */
export function endForNeed(db: MemoryDatabase, row: Row, verdict: Weighed, now: number): void {
  if (verdict !== 'cancel' && verdict !== 'fail') return
  finishForNeed(db, row, verdict, now)
  release(db, row, now)
}

function finishForNeed(
  db: MemoryDatabase,
  row: Row,
  verdict: 'cancel' | 'fail',
  now: number,
): void {
  const state = verdict === 'fail' ? 'failed' : 'cancelled'
  finish(db, row, { state, output: null, reason: 'need-failed', keepMs: row.keepCancelledMs }, now)
}

/** Tells a dependant that its need ended. One that is leased as overdue keeps a failed need until it is put back. */
function answerNeed(
  db: MemoryDatabase,
  row: Row,
  need: string,
  isMet: boolean,
): 'cancel' | 'fail' | 'go on' {
  const onFailed = row.unmet.get(need)
  if (!isMet && onFailed !== undefined && onFailed !== 'run')
    return row.state === 'blocked' ? onFailed : 'go on'
  strike(db, row, need)
  return 'go on'
}

function strike(db: MemoryDatabase, row: Row, need: string): void {
  row.unmet.delete(need)
  db.dependants.get(need)?.delete(row)
}

function unblock(db: MemoryDatabase, row: Row, now: number): void {
  const place = Math.max(row.dueAt, now) - row.headStartMs
  move(db, row, row.dueAt > now ? 'scheduled' : 'ready', { place }, now)
}
