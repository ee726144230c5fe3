/** Reading jobs. */
import { handedBytes, type JobState, type LogLevel, type LogLine } from '../../core/job.ts'
import type { ListQuery, Page, QueueCount, Recorded, RecordedQuery } from '../../store/readers.ts'
import type { StoredJob } from '../../store/job.ts'
import { cursorOf } from '../bounds.ts'
import { nearestTime } from '../unreadable.ts'
import type { Connection, Row, Value } from './connection.ts'
import { readStored, stateColumn, storedColumns, storedTables } from './rows.ts'
import { codeOf, COMPLETED, RUNNING, stateOf } from '../state-codes.ts'

/** How many jobs one page looks at, at most. */
const scannedPerPage = 5_000

/** Walks the unique index of ids, then rowids. */
const GET = `SELECT ${storedColumns} FROM ${storedTables} WHERE j.id = ?`
/** Rowids. */
const GET_BY_SEQ = `SELECT ${storedColumns} FROM ${storedTables} WHERE j.seq = ?`
/** Walks errand_tally, which holds a few rows for each queue. */
const COUNTS = `SELECT queue, state, count FROM errand_tally WHERE count <> 0 ORDER BY queue, state`
/** These two walk the unique index of ids, then a range of a primary key. */
const LOGS = `SELECT at, level, text FROM errand_log WHERE seq = (SELECT seq FROM errand_jobs WHERE id = ?) ORDER BY line`
const RECORDED = `SELECT name, text FROM errand_recorded
  WHERE seq = (SELECT seq FROM errand_jobs WHERE id = ?1) AND name >= coalesce(?2, '') AND name IS NOT ?2 ORDER BY name LIMIT ?3`

export function get(connection: Connection, ids: readonly string[]): (StoredJob | null)[] {
  return ids.map((id) => {
    const row = connection.row(GET, id)
    return row === undefined ? null : readStored(row)
  })
}

export function counts(connection: Connection): QueueCount[] {
  return connection.rows(COUNTS).map(([queue, state, count]) => ({
    queue: queue as string,
    state: stateOf(state as number),
    count: count as number,
  }))
}

export function logs(connection: Connection, id: string): LogLine[] {
  return connection.rows(LOGS, id).map(([at, level, text]) => ({
    at: nearestTime(at),
    level: level as LogLevel,
    text: text as string,
  }))
}

export function recorded(connection: Connection, query: RecordedQuery): Recorded[] {
  return connection
    .rows(RECORDED, query.id, query.after, query.limit)
    .map(([name, text]) => ({ name: name as string, text: text as string }))
}

/**
 * Pages by insertion, newest first; the cursor is a rowid, so that new jobs do not shift pages.
 * Looks at a bounded stretch of the narrowest index that holds all answers, and reads payloads of
 * the answers only.
 */
export function list(connection: Connection, query: ListQuery): Page {
  const before = query.after === undefined ? Number.MAX_SAFE_INTEGER : cursorOf(query.after)
  const [candidates, values] = candidatesOf(query, before)
  const edge = connection.once(
    `${candidates} ORDER BY seq DESC LIMIT 1 OFFSET ${scannedPerPage - 1}`,
    ...values,
  )
  const lowest = (edge[0]?.[0] as number | undefined) ?? null
  const [conditions, wanted] = conditionsOf(query)
  if (lowest !== null) conditions.push(`j.seq >= ${lowest}`)
  const where = conditions.length === 0 ? '' : `WHERE ${conditions.join(' AND ')}`
  const found = connection.once(
    `SELECT c.seq FROM (${candidates}) c CROSS JOIN errand_jobs j ON j.seq = c.seq
     LEFT JOIN errand_running r ON r.seq = j.seq LEFT JOIN errand_finished f ON f.seq = j.seq
     ${where} ORDER BY c.seq DESC LIMIT ${query.limit + 1}`,
    ...values,
    ...wanted,
  )
  const jobs: StoredJob[] = []
  let size = 0
  for (const [seq] of found.slice(0, query.limit)) {
    if (size >= handedBytes) break
    const job = readStored(connection.row(GET_BY_SEQ, seq as number) as Row)
    size += job.input.length + (job.output?.length ?? 0)
    jobs.push(job)
  }
  const next = found.length > jobs.length ? (found[jobs.length - 1]?.[0] ?? null) : lowest
  return { jobs, next: next === null ? null : String(next) }
}

/** The rowids among which all answers lie, as a statement without order, with its values. */
function candidatesOf(query: ListQuery, before: number): [string, Value[]] {
  if (query.parent !== undefined)
    return [`SELECT seq FROM errand_jobs WHERE parent = ? AND seq < ?`, [query.parent, before]]
  if (query.group !== undefined)
    return [`SELECT seq FROM errand_jobs WHERE group_id = ? AND seq < ?`, [query.group, before]]
  if (query.uniqueKey !== undefined)
    return [
      `SELECT seq FROM errand_jobs WHERE unique_key = ? AND seq < ?`,
      [query.uniqueKey, before],
    ]
  const states = (query.states ?? []).map((state: JobState) => codeOf(state))
  if (states.length > 0 && states.every((state) => state >= RUNNING && state !== COMPLETED)) {
    const parts = states.map((state) =>
      state === RUNNING
        ? `SELECT seq FROM errand_running WHERE seq < ?`
        : `SELECT seq FROM errand_finished WHERE state = ${state} AND state > ${COMPLETED} AND seq < ?`,
    )
    return [parts.join(' UNION ALL '), parts.map(() => before)]
  }
  return [`SELECT seq FROM errand_jobs WHERE seq < ?`, [before]]
}

/** Bounds of time include their first and exclude their last instant. */
function conditionsOf(query: ListQuery): [string[], Value[]] {
  const conditions: string[] = []
  const values: Value[] = []
  const add = (condition: string, value: Value | undefined): void => {
    if (value === undefined) return
    conditions.push(condition)
    values.push(value)
  }
  if (query.states !== undefined)
    conditions.push(
      `(${stateColumn}) IN (${query.states.map((state) => codeOf(state)).join(', ')})`,
    )
  if (query.tasks !== undefined) {
    conditions.push(`j.task IN (${query.tasks.map(() => '?').join(', ')})`)
    values.push(...query.tasks)
  }
  add('j.queue = ?', query.queue)
  add('j.unique_key = ?', query.uniqueKey)
  add('j.parent = ?', query.parent)
  add('j.group_id = ?', query.group)
  add('j.created_at >= ?', query.createdFrom)
  add('j.created_at < ?', query.createdTo)
  add('f.finished_at >= ?', query.finishedFrom)
  add('f.finished_at < ?', query.finishedTo)
  return [conditions, values]
}
