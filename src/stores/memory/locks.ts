/** Named locks and records. */
import { holdOf, releasedRow } from '../lock-row.ts'
import type { HoldAnswer, Holding, HoldRequest } from '../../store/locks.ts'
import type { PutAnswer, RecordWrite, RecordsQuery, StoredRecord } from '../../store/records.ts'
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

export function putRecords(db: MemoryDatabase, writes: readonly RecordWrite[]): PutAnswer[] {
  const answers = writes.map(({ key, text, if: expected }): PutAnswer => {
    if (expected !== undefined && (db.records.get(key) ?? null) !== expected) return 'stale'
    if (text === null) db.records.delete(key)
    else db.records.set(key, text)
    return 'put'
  })
  if (answers.includes('put')) db.hints.give('record')
  return answers
}

export function listRecords(db: MemoryDatabase, query: RecordsQuery): StoredRecord[] {
  const { prefix, after, limit } = query
  return [...db.records]
    .map(([key, text]) => ({ key, text }))
    .filter(({ key }) => key.startsWith(prefix) && (after === null || key > after))
    .sort((a, b) => (a.key < b.key ? -1 : 1))
    .slice(0, limit)
}
