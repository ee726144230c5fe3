/** Reading jobs. What is handed out is a copy. */
import { handedBytes, type LogLine } from '../../core/job.ts'
import type { KnownJob, StoredJob } from '../../store/job.ts'
import type {
  ListQuery,
  Page,
  QueueCount,
  QueueStats,
  Recorded,
  RecordedQuery,
} from '../../store/readers.ts'
import { cursorOf } from '../bounds.ts'
import { statsOf } from '../queues.ts'
import type { MemoryDatabase, Row } from './state.ts'

export function get(db: MemoryDatabase, ids: readonly string[]): (StoredJob | null)[] {
  return ids.map((id) => {
    const row = db.jobs.get(id)
    return row === undefined ? null : shown(row)
  })
}

/** Pages by insertion, newest first; the cursor is the last job's rank, so that new jobs do not shift pages. */
export function list(db: MemoryDatabase, query: ListQuery): Page {
  const before = query.after === undefined ? Infinity : cursorOf(query.after)
  const found = [...db.jobs.values()]
    .reverse()
    .filter((row) => row.sequence < before && fits(row, query))
    .slice(0, query.limit + 1)
  const page = found.slice(0, Math.min(query.limit, fitting(found)))
  const last = page.at(-1)
  return {
    jobs: page.map(shown),
    next: found.length > page.length && last !== undefined ? String(last.sequence) : null,
  }
}

/** How many of these, from the first, one page shows. */
function fitting(rows: readonly Row[]): number {
  let size = 0
  const end = rows.findIndex(({ input, output }) => {
    if (size >= handedBytes) return true
    size += input.length + (output?.length ?? 0)
    return false
  })
  return end < 0 ? rows.length : end
}

export function counts(db: MemoryDatabase): QueueCount[] {
  const found = new Map<string, { queue: string; state: QueueCount['state']; count: number }>()
  for (const { queue, state } of db.jobs.values()) {
    const cell = JSON.stringify([queue, state])
    const entry = found.get(cell)
    if (entry === undefined) found.set(cell, { queue, state, count: 1 })
    else entry.count += 1
  }
  return [...found.values()]
}

/** The queues that have jobs, with the ready job of each that has been due for longest. */
export function stats(db: MemoryDatabase): QueueStats[] {
  const oldest = new Map<string, number>()
  for (const { state, queue, dueAt } of db.jobs.values())
    if (state === 'ready') oldest.set(queue, Math.min(oldest.get(queue) ?? Infinity, dueAt))
  return statsOf(counts(db), (queue) => oldest.get(queue) ?? null)
}

export function recorded(db: MemoryDatabase, { id, after, limit }: RecordedQuery): Recorded[] {
  return [...(db.jobs.get(id)?.recorded ?? [])]
    .map(([name, text]) => ({ name, text }))
    .filter(({ name }) => after === null || name > after)
    .sort(byName)
    .slice(0, limit)
}

function byName(a: Recorded, b: Recorded): number {
  return a.name < b.name ? -1 : 1
}

export function logs(db: MemoryDatabase, id: string): LogLine[] {
  return (db.jobs.get(id)?.logs ?? []).map((line) => ({ ...line }))
}

/** What is known of a job, whoever asks. */
export function known(row: Row): KnownJob {
  return {
    id: row.id,
    task: row.task,
    queue: row.queue,
    priority: row.priority,
    input: row.input,
    codec: row.codec,
    options: row.options,
    parent: row.parent,
    group: row.group,
    tags: row.tags,
    headers: row.headers,
    uniqueKey: row.unique?.key ?? null,
    createdAt: row.createdAt,
    dueAt: row.dueAt,
    startBy: row.startBy,
    deadlineAt: row.deadlineAt,
    counters: { ...row.counters },
    token: row.token,
    startedAt: row.startedAt,
    cancelAsked: row.cancelAsked,
  }
}

/** A row as it is shown, without what only the store needs. */
export function shown(row: Row): StoredJob {
  return {
    ...known(row),
    state: row.state,
    worker: row.worker,
    leaseUntil: row.leaseUntil,
    finishedAt: row.finishedAt,
    expiresAt: row.expiresAt,
    progress: row.progress,
    attempts: [...row.attempts],
    output: row.output,
    reason: row.reason,
  }
}

/** Bounds of time include their first and exclude their last instant. */
function fits(row: Row, query: ListQuery): boolean {
  return (
    (query.states === undefined || query.states.includes(row.state)) &&
    (query.tasks?.includes(row.task) ?? true) &&
    (query.queue === undefined || query.queue === row.queue) &&
    (query.uniqueKey === undefined || query.uniqueKey === row.unique?.key) &&
    (query.parent === undefined || query.parent === row.parent) &&
    (query.group === undefined || query.group === row.group) &&
    isWithin(row.createdAt, query.createdFrom, query.createdTo) &&
    isWithin(row.finishedAt, query.finishedFrom, query.finishedTo)
  )
}

function isWithin(time: number | null, from: number | undefined, to: number | undefined): boolean {
  if (from === undefined && to === undefined) return true
  return time !== null && time >= (from ?? -Infinity) && time < (to ?? Infinity)
}
