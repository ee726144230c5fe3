/** Named locks. */
import { holdOf, releasedRow, type LockRow } from '../lock-row.ts'
import type { HoldAnswer, Holding, HoldRequest } from '../../store/locks.ts'
import { checkHold } from '../bounds.ts'
import { nearestTime } from '../unreadable.ts'
import type { Connection } from './connection.ts'
import type { StoredTime } from './rows.ts'
import type { Transaction } from './transaction.ts'

/** These two walk the primary key of errand_locks. */
const READ_LOCK = `SELECT token, holder, until, host, pid, since FROM errand_locks WHERE name = ?`
const WRITE_LOCK = `INSERT OR REPLACE INTO errand_locks (name, token, holder, until, host, pid, since) VALUES (?, ?, ?, ?, ?, ?, ?)`
/** For watchers in other processes: one step in the primary key of errand_meta. */
const SIGNAL_LOCK = `UPDATE errand_meta SET value = value + 1 WHERE name = 'locks'`

export function hold(tx: Transaction, request: HoldRequest): HoldAnswer {
  checkHold(request)
  const { answer, row } = holdOf(readLock(tx.connection, request.name), request, tx.now)
  if (row !== null) writeLock(tx, request.name, row)
  return answer
}

export function release(tx: Transaction, holding: Holding): 'released' | 'stale' {
  const row = releasedRow(readLock(tx.connection, holding.name), holding)
  if (row === null) return 'stale'
  writeLock(tx, holding.name, row)
  tx.run(SIGNAL_LOCK)
  tx.hints.add('lock')
  return 'released'
}

export function readLock(connection: Connection, name: string): LockRow | null {
  const row = connection.row(READ_LOCK, name)
  if (row === undefined) return null
  const [token, holder, until, host, pid, since] = row as [
    number,
    string,
    StoredTime,
    string,
    number,
    StoredTime,
  ]
  return { token, holder, until: nearestTime(until), host, pid, since: nearestTime(since) }
}

function writeLock(tx: Transaction, name: string, row: LockRow): void {
  const { token, holder, until, host, pid, since } = row
  tx.run(WRITE_LOCK, name, token, holder, until, host, pid, since)
}
