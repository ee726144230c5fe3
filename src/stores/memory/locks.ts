/** Named locks and records. */
import {
  holdOf,
  releasedRow,
  type HoldAnswer,
  type Holding,
  type HoldRequest,
} from '../../core/lock.ts'
import type { MemoryDatabase } from './state.ts'

export function hold(db: MemoryDatabase, request: HoldRequest, now: number): HoldAnswer {
  const { answer, row } = holdOf(db.locks.get(request.name) ?? null, request, now)
  if (row !== null) db.locks.set(request.name, row)
  return answer
}

export function release(db: MemoryDatabase, holding: Holding): 'released' | 'stale' {
  const row = releasedRow(db.locks.get(holding.name) ?? null, holding)
  if (row === null) return 'stale'
  db.locks.set(holding.name, row)
  db.hints.give('lock')
  return 'released'
}

export function putRecord(db: MemoryDatabase, key: string, text: string | null): void {
  if (text === null) db.records.delete(key)
  else db.records.set(key, text)
  db.hints.give('record')
}
