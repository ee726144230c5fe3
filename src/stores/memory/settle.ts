/** `settle`: writes what a worker decided about its jobs, if the jobs are still its own. */
import { keptAttempts } from '../../core/job.ts'
import type { Requeue, SettleAnswer, Settlement } from '../../store/worker-calls.ts'
import { endForNeed, finish, release, weighNeeds } from './needs.ts'
import { insert } from './insert.ts'
import { move, type MemoryDatabase, type Row } from './state.ts'

export function settle(
  db: MemoryDatabase,
  settlements: readonly Settlement[],
  now: number,
): SettleAnswer[] {
  return settlements.map((settlement) => settleOne(db, settlement, now))
}

function settleOne(db: MemoryDatabase, settlement: Settlement, now: number): SettleAnswer {
  const row = db.jobs.get(settlement.id)
  if (row === undefined) return 'stale'
  if (row.state !== 'running' || row.token !== settlement.token) {
    // Tokens start at 1, so that a job that was never settled matches none.
    return row.settledToken !== 0 && row.settledToken === settlement.token ? 'settled' : 'stale'
  }
  if (settlement.yieldsToCancel && row.cancelAsked) return 'cancel-asked'

  row.settledToken = settlement.token
  row.counters = { ...settlement.counters }
  if (settlement.attempt !== null)
    row.attempts = [...row.attempts, settlement.attempt].slice(-keptAttempts)
  switch (settlement.kind) {
    case 'finish': {
      const reason =
        settlement.reason ?? (settlement.state === 'cancelled' ? row.cancelReason : null)
      const { startedAgoMs } = settlement
      row.startedAt ??= startedAgoMs === null ? null : now - startedAgoMs
      finish(db, row, { ...settlement, reason }, now)
      insert(db, settlement.followUps, now)
      release(db, row, now)
      break
    }
    case 'requeue':
      putBack(db, row, settlement, now)
      insert(db, settlement.followUps, now)
      // A need that failed while the job was leased as overdue is answered now.
      endForNeed(db, row, weighNeeds(db, row), now)
      break
  }
  return 'settled'
}

function putBack(db: MemoryDatabase, row: Row, requeue: Requeue, now: number): void {
  const dueAt = now + requeue.delayMs
  const state =
    weighNeeds(db, row) !== 'met' ? 'blocked' : requeue.delayMs > 0 ? 'scheduled' : 'ready'
  const change: Partial<Row> = {
    dueAt,
    place: requeue.place === 'keep' ? row.place : dueAt - row.headStartMs,
    startBy: requeue.started ? null : row.startBy,
    suspect: row.suspect || requeue.suspect,
    leaseUntil: null,
    startedAt: null,
    cancelAsked: false,
    cancelReason: null,
    overdue: false,
  }
  move(db, row, state, change, now)
}
