/** Small texts by key. */
import type { PutAnswer, RecordsQuery, RecordWrite, StoredRecord } from '../../store/records.ts'
import type { Connection, Value } from './connection.ts'
import type { Transaction } from './transaction.ts'

/** These three walk the primary key of errand_records. */
const READ = `SELECT text FROM errand_records WHERE key = ?`
const WRITE = `INSERT OR REPLACE INTO errand_records (key, text) VALUES (?, ?)`
const REMOVE = `DELETE FROM errand_records WHERE key = ?`
/**
 * Keys from the first on, but for that of the page before, and below the end: walks a range of the
 * primary key.
 */
const LIST = `SELECT key, text FROM errand_records WHERE key >= ?1 AND key < ?2 AND key IS NOT ?3 ORDER BY key LIMIT ?4`
/** For watchers in other processes: one step in the primary key of errand_meta. */
const SIGNAL = `UPDATE errand_meta SET value = value + 1 WHERE name = 'records'`

export function getRecords(connection: Connection, keys: readonly string[]): (string | null)[] {
  return keys.map((key) => readRecord(connection, key))
}

/** Keys are compared byte by byte in UTF-8, which is their order by code point. */
export function listRecords(connection: Connection, query: RecordsQuery): StoredRecord[] {
  const { prefix, after, limit } = query
  const isWithin = after !== null && Buffer.compare(Buffer.from(after), Buffer.from(prefix)) > 0
  const first = isWithin ? after : prefix
  return connection
    .rows(LIST, first, endOf(prefix), after, limit)
    .map(([key, text]) => ({ key: key as string, text: text as string }))
}

export function putRecords(tx: Transaction, writes: readonly RecordWrite[]): PutAnswer[] {
  const answers = writes.map((write) => put(tx, write))
  if (answers.includes('put')) {
    tx.run(SIGNAL)
    tx.hints.add('record')
  }
  return answers
}

function put(tx: Transaction, { key, text, if: expected }: RecordWrite): PutAnswer {
  if (expected !== undefined && readRecord(tx.connection, key) !== expected) return 'stale'
  if (text === null) tx.run(REMOVE, key)
  else tx.run(WRITE, key, text)
  return 'put'
}

function readRecord(connection: Connection, key: string): string | null {
  return (connection.row(READ, key)?.[0] as string | undefined) ?? null
}

const lastCodePoint = 0x10_ff_ff
/** SQLite orders every blob after every text. */
const afterAllTexts = new Uint8Array(1)

/**
 * The least value that comes after every text with this prefix: the prefix with its last code point
 * that has a next one raised.
 */
function endOf(prefix: string): Value {
  const characters = Array.from(prefix)
  while (characters.at(-1)?.codePointAt(0) === lastCodePoint) characters.pop()
  const last = characters.pop()?.codePointAt(0)
  if (last === undefined) return afterAllTexts
  // Between the two lie the surrogates, which are no text of their own.
  const next = last === 0xd7_ff ? 0xe0_00 : last + 1
  return characters.join('') + String.fromCodePoint(next)
}
