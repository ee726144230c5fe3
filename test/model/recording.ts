/** Small texts by key. */
import type { PutAnswer, RecordsQuery, RecordWrite, StoredRecord } from '../../src/store/records.ts'
import { same, type Draft } from './draft.ts'

export function putRecord(draft: Draft, { key, text, if: expected }: RecordWrite): PutAnswer {
  if (expected !== undefined && expected !== (draft.records.get(key) ?? null)) return 'stale'
  if (text === null) draft.records.delete(key)
  else draft.records.set(key, text)
  return 'put'
}

/** A page of the records, in the order of their keys. */
export function explainRecords(
  draft: Draft,
  { prefix, after, limit }: RecordsQuery,
  answer: readonly StoredRecord[],
): void {
  const fit = [...draft.records]
    .filter(([key]) => key.startsWith(prefix) && (after === null || key > after))
    .map(([key, text]) => ({ key, text }))
    .sort((a, b) => (a.key < b.key ? -1 : 1))
  same('records', answer, fit.slice(0, limit))
}
