/** From rows of the server to values, and back. */
import { isJobId } from '../../core/id.ts'
import { noCounters } from '../../core/job.ts'
import type { Counters } from '../../core/job.ts'
import type { ClaimedJob, StoredJob } from '../../store/job.ts'
import { handedOut, lastTime, shown } from '../unreadable.ts'
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

/** What stands between joined texts: JSON never holds it as it is. */
export const joint = { text: '\u001f', sql: 'chr(31)' } as const

/** Texts in one; null when one of them holds what stands between them, or there is nothing to take apart. */
export function joined(values: readonly string[]): string | null {
  if (values.some((value) => value.includes(joint.text))) return null
  return values.join(joint.text) || null
}

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

/**
 * Columns of `errand.handed`. What neighbours mostly have in common comes as one text, which is read only where it changes: taking a row's
 * columns apart is most of what a claim costs the client.
 */
export const handedColumns = `seq, id, task, concat_ws(' ', token, priority, created_at, due_at, queue), input, codec, options, parent,
  unique_key, start_by, deadline_at, counters, started_at, nullif(cancel_asked, false), why`

interface Common {
  readonly token: number
  readonly priority: number
  readonly createdAt: number
  readonly dueAt: number
  readonly queue: string
}

/** Reads rows of `handedColumns`. */
export function readClaimed(rows: readonly Row[]): ClaimedJob[] {
  let text = ''
  let common: Common = { token: 0, priority: 0, createdAt: 0, dueAt: 0, queue: '' }
  return rows.map((row) => {
    if (row[3] !== text) {
      text = row[3] as string
      common = readCommon(text)
    }
    return handedOut({
      id: row[1] as string,
      token: common.token,
      task: row[2] as string,
      queue: common.queue,
      priority: common.priority,
      input: row[4] as string,
      codec: row[5] as string | null,
      options: row[6] as string | null,
      parent: row[7] as string | null,
      uniqueKey: row[8] as string | null,
      createdAt: common.createdAt,
      dueAt: common.dueAt,
      startBy: row[9] as number | null,
      deadlineAt: row[10] as number | null,
      counters: readCounters(row[11] as string | null),
      startedAt: row[12] as number | null,
      cancelAsked: row[13] === true,
      why: (row[14] ?? 'ready') as ClaimedJob['why'],
    })
  })
}

/** The queue stands at the end, since its name may hold anything. */
function readCommon(text: string): Common {
  const numbers = text.split(' ', 4)
  const [token = 0, priority = 0, createdAt = 0, dueAt = 0] = numbers.map(Number)
  const queue = text.slice(numbers.join(' ').length + 1)
  return { token, priority, createdAt, dueAt, queue }
}

/** What the first row of an answer tells, which is no job. */
export interface Header {
  readonly now: number
  /** When the next job is due; null for none, and for a time that cannot be read. */
  readonly dueAt: number | null
  /** How many dead rows a claim stepped over, where it ended in each queue, and whether it passed by work that others held. */
  readonly dead: number
  readonly ends: string
  readonly passed: boolean
  /** Whether it stopped for the size of its inputs. */
  readonly cut: boolean
}

export function readHeader(row: Row): Header {
  const { token, priority, createdAt, dueAt } = readCommon(row[3] as string)
  return {
    now: createdAt,
    dueAt: dueAt < 0 || dueAt > lastTime ? null : dueAt,
    dead: token,
    ends: row[2] as string,
    passed: (priority & 1) === 1,
    cut: priority >= 2,
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
  return shown({
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
    attempts: row[23] === null ? [] : (JSON.parse(row[23] as string) as string[]),
    output: row[24] as string | null,
    reason: row[25] as string | null,
  })
}
