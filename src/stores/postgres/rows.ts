/** From rows of the server to values, and back. */
import { isJobId } from '../../core/id.ts'
import { noCounters } from '../../core/job.ts'
import type { Counters } from '../../core/job.ts'
import type { ClaimedJob, StoredJob } from '../../store.ts'
import { stateOf, type StateCode } from './states.ts'

export type Value = string | number | boolean | null
export type Row = readonly Value[]

// ───────────────────────────── arrays ─────────────────────────────

/** An array of numbers in PostgreSQL's own writing, nulls as they are. */
export function numbers(values: readonly (number | null)[]): string {
  return `{${values.map((value) => (value === null ? 'NULL' : value)).join()}}`
}

/** A count as the server takes it; what is more is as good as no limit. */
export function bounded(count: number): number {
  return Math.min(count, 1_000_000_000)
}

/** An array of texts. */
export function texts(values: readonly (string | null)[]): string {
  let all = ''
  for (const value of values) {
    const one =
      value === null ? 'NULL' : `"${quotes.test(value) ? value.replace(/["\\]/g, '\\$&') : value}"`
    all = all === '' ? one : `${all},${one}`
  }
  return `{${all}}`
}

const quotes = /["\\]/

/** A set of numbers, which come in order, as ranges. */
export function ranges(values: readonly number[]): string {
  let text = ''
  let first = NaN
  let next = NaN
  for (const value of values) {
    if (value !== next) {
      if (first < next) text += `[${first},${next}),`
      first = value
    }
    next = value + 1
  }
  return first < next ? `{${text}[${first},${next})}` : '{}'
}

/** An array of ids; one that is no id becomes null, which matches no job. */
export function uuids(values: readonly (string | null)[]): string {
  return `{${values.map((id) => (id !== null && isJobId(id) ? id : 'NULL')).join()}}`
}

/** A column of a batch, or null when all its values are. */
export function column<T>(
  values: readonly (T | null)[],
  write: (values: readonly (T | null)[]) => string,
): string | null {
  return values.some((value) => value !== null) ? write(values) : null
}

// ───────────────────────────── counters ─────────────────────────────

const decoded = new Map<string, Counters>()
const mostDecoded = 1_000

/** Counters as text, null when all are zero: attempts, failures, postpones, losses, interruptions, deferrals. */
export function packCounters(counters: Counters): string | null {
  const { attempts, failures, postpones, losses, interruptions, deferrals } = counters
  if (failures + postpones + losses + interruptions + deferrals > 0)
    return `${attempts},${failures},${postpones},${losses},${interruptions},${deferrals}`
  return attempts === 0 ? null : String(attempts)
}

/** Reads packed counters. The same few occur again and again, so they are kept. */
function readCounters(packed: string | null): Counters {
  if (packed === null) return { ...noCounters }
  let counters = decoded.get(packed)
  if (counters === undefined) {
    const [
      attempts = 0,
      failures = 0,
      postpones = 0,
      losses = 0,
      interruptions = 0,
      deferrals = 0,
    ] = packed.split(',').map(Number)
    counters = { attempts, failures, postpones, losses, interruptions, deferrals }
    if (decoded.size >= mostDecoded) decoded.clear()
    decoded.set(packed, counters)
  }
  return { ...counters }
}

// ───────────────────────────── jobs ─────────────────────────────

/** Columns of `errand.handed`, in their order. */
export const handedColumns = `seq, id, token, task, queue, priority, input, codec, options, parent, unique_key, created_at, due_at,
  start_by, deadline_at, counters, started_at, cancel_asked, why`

/** Reads a row of `handedColumns`. */
export function readClaimed(row: Row): ClaimedJob {
  return {
    id: row[1] as string,
    token: row[2] as number,
    task: row[3] as string,
    queue: row[4] as string,
    priority: row[5] as number,
    input: row[6] as string,
    codec: row[7] as string | null,
    options: row[8] as string | null,
    parent: row[9] as string | null,
    uniqueKey: row[10] as string | null,
    createdAt: row[11] as number,
    dueAt: row[12] as number,
    startBy: row[13] as number | null,
    deadlineAt: row[14] as number | null,
    counters: readCounters(row[15] as string | null),
    startedAt: row[16] as number | null,
    cancelAsked: row[17] as boolean,
    why: (row[18] ?? 'ready') as ClaimedJob['why'],
  }
}

/** Columns of the view `errand.stored` as readers show them, with the number of the job at the end. */
export const storedColumns = `id, task, queue, state, priority, input, codec, options, parent, unique_key, created_at, due_at, start_by,
  deadline_at, counters, token, worker, lease_until, started_at, finished_at, keep_ms, cancel_asked, progress, errors, output, reason, seq`

/** Where `storedColumns` hold the number. */
export const storedSeq = 26

/** Reads a row of `storedColumns`. */
export function readStored(row: Row): StoredJob {
  const finishedAt = row[19] as number | null
  const keepMs = row[20] as number | null
  return {
    id: row[0] as string,
    task: row[1] as string,
    queue: row[2] as string,
    state: stateOf(row[3] as StateCode),
    priority: row[4] as number,
    input: row[5] as string,
    codec: row[6] as string | null,
    options: row[7] as string | null,
    parent: row[8] as string | null,
    uniqueKey: row[9] as string | null,
    createdAt: row[10] as number,
    dueAt: row[11] as number,
    startBy: row[12] as number | null,
    deadlineAt: row[13] as number | null,
    counters: readCounters(row[14] as string | null),
    token: row[15] as number,
    worker: row[16] as string | null,
    leaseUntil: row[17] as number | null,
    startedAt: row[18] as number | null,
    finishedAt,
    expiresAt: finishedAt === null || keepMs === null ? null : finishedAt + keepMs,
    cancelAsked: row[21] as boolean,
    progress: row[22] as string | null,
    errors: row[23] === null ? [] : (JSON.parse(row[23] as string) as string[]),
    output: row[24] as string | null,
    reason: row[25] as string | null,
  }
}
