/** Reading jobs. What is handed out is a copy. */
import { handedBytes, type LogLine } from '../../core/job.ts'
import type { ListQuery, Page, QueueCount, StoredJob } from '../../store.ts'
import type { MemoryDatabase, Row } from './state.ts'

export function get(db: MemoryDatabase, ids: readonly string[]): (StoredJob | null)[] {
  return ids.map((id) => {
    const row = db.jobs.get(id)
    return row === undefined ? null : shown(row)
  })
}

/** Pages by insertion, newest first; the cursor is the last job's rank, so that new jobs do not shift pages. */
export function list(db: MemoryDatabase, query: ListQuery): Page {
  const before = query.after === undefined ? Infinity : Number(query.after)
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

export function logs(db: MemoryDatabase, id: string): LogLine[] {
  return (db.jobs.get(id)?.logs ?? []).map((line) => ({ ...line }))
}

/** A row as it is shown, without what only the store needs. */
export function shown(row: Row): StoredJob {
  return {
    id: row.id,
    task: row.task,
    queue: row.queue,
    state: row.state,
    priority: row.priority,
    input: row.input,
    codec: row.codec,
    options: row.options,
    parent: row.parent,
    uniqueKey: row.unique?.key ?? null,
    createdAt: row.createdAt,
    dueAt: row.dueAt,
    startBy: row.startBy,
    deadlineAt: row.deadlineAt,
    counters: { ...row.counters },
    token: row.token,
    worker: row.worker,
    leaseUntil: row.leaseUntil,
    startedAt: row.startedAt,
    finishedAt: row.finishedAt,
    expiresAt: row.expiresAt,
    cancelAsked: row.cancelAsked,
    progress: row.progress,
    errors: [...row.errors],
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
    isWithin(row.createdAt, query.createdFrom, query.createdTo) &&
    isWithin(row.finishedAt, query.finishedFrom, query.finishedTo)
  )
}

function isWithin(time: number | null, from: number | undefined, to: number | undefined): boolean {
  if (from === undefined && to === undefined) return true
  return time !== null && time >= (from ?? -Infinity) && time < (to ?? Infinity)
}
