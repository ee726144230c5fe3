/** Small texts by key: cursors, offsets, definitions, beats of liveness. `Advance` moves one together with jobs. */

export interface Records {
  getRecords(keys: readonly string[]): Promise<readonly (string | null)[]>
  /** Records whose key begins with `prefix`, in the order of their keys (by code unit or by code point); at most `limit` after `after`. */
  listRecords(query: RecordsQuery): Promise<readonly StoredRecord[]>
  /** Keeps texts under keys, each in place of what was there. The hint `record` says that something was written. */
  putRecords(writes: readonly RecordWrite[]): Promise<readonly PutAnswer[]>
}

export interface RecordsQuery {
  readonly prefix: string
  /** The last key of the page before; null from the first. */
  readonly after: string | null
  readonly limit: number
}

export interface StoredRecord {
  readonly key: string
  readonly text: string
}

export interface RecordWrite {
  readonly key: string
  /** Null removes the record. */
  readonly text: string | null
  /** What the record must hold now, null for none, else the write is `stale`. Left out, it is written in any case. */
  readonly if?: string | null
}

export type PutAnswer = 'put' | 'stale'
