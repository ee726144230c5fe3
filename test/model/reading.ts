/** What readers and workers are told. */
import { isFinal } from '../../src/core/job.ts'
import type { ListQuery, QueueCount } from '../../src/store/readers.ts'
import type { StoredJob } from '../../src/store/job.ts'
import type { Tended } from '../../src/store/worker-calls.ts'
import type { WorkerRecord } from '../../src/store/registry.ts'
import { recordKeys } from './commands.ts'
import { same, type Draft } from './draft.ts'
import { isLost, isOverdue, nextDueMs, promote } from './leasing.ts'
import { isOutlived } from './operating.ts'
import type { ModelState } from './state.ts'

export function explainTend(draft: Draft, worker: WorkerRecord, answer: Tended): void {
  promote(draft)
  draft.workers.set(worker.id, { ...worker, lastSeenAt: draft.now })
  const jobs = [...draft.jobs.values()]
  const serves = (name: string): boolean =>
    !draft.paused.has(name) && (worker.queues.includes('*') || worker.queues.includes(name))
  same(
    'tend',
    { ...answer, paused: [...answer.paused].sort() },
    {
      now: draft.now,
      paused: [...draft.paused].sort(),
      nextDueMs: nextDueMs(draft),
      ready: jobs.some(({ shown }) => shown.state === 'ready' && serves(shown.queue)),
      sweepDue: jobs.some((job) => isLost(job, draft.now) || isOverdue(job, draft.now)),
      pruneDue: jobs.some((job) => isOutlived(job, draft.now)),
    },
  )
}

/** Queues that hold a job or are paused, and no others. */
export function explainQueues(
  draft: Draft,
  answer: readonly { readonly name: string; readonly paused: boolean }[],
): void {
  const names = new Set([...draft.jobs.values()].map(({ shown }) => shown.queue))
  const known = [...new Set([...names, ...draft.paused])].sort()
  same(
    'queues',
    [...answer].sort((a, b) => (a.name < b.name ? -1 : 1)),
    known.map((name) => ({ name, paused: draft.paused.has(name) })),
  )
}

export function explainWorkers(draft: Draft, answer: readonly WorkerRecord[]): void {
  const byId = (a: WorkerRecord, b: WorkerRecord): number => (a.id < b.id ? -1 : 1)
  same('workers', [...answer].sort(byId), [...draft.workers.values()].sort(byId))
}

/** All jobs of a query, newest first. */
export function explainList(draft: Draft, query: ListQuery, answer: readonly StoredJob[]): void {
  const jobs = [...draft.jobs.values()]
    .filter(({ shown }) => fits(shown, query))
    .sort((a, b) => b.order - a.order)
    .map(({ shown }) => shown)
  same(
    'list',
    answer.map(({ id }) => id),
    jobs.map(({ id }) => id),
  )
  for (const [index, job] of jobs.entries()) sameJob(job.id, answer[index] ?? null, job)
}

function fits(job: StoredJob, query: ListQuery): boolean {
  const { createdAt, finishedAt } = job
  return (
    (query.states?.includes(job.state) ?? true) &&
    (query.tasks?.includes(job.task) ?? true) &&
    (query.queue ?? job.queue) === job.queue &&
    (query.uniqueKey === undefined || query.uniqueKey === job.uniqueKey) &&
    (query.group === undefined || query.group === job.group) &&
    (query.tag === undefined || job.tags.includes(query.tag)) &&
    (query.parent === undefined || query.parent === job.parent) &&
    createdAt >= (query.createdFrom ?? 0) &&
    createdAt < (query.createdTo ?? Infinity) &&
    (query.finishedFrom === undefined ||
      (finishedAt !== null && finishedAt >= query.finishedFrom)) &&
    (query.finishedTo === undefined || (finishedAt !== null && finishedAt < query.finishedTo))
  )
}

/** Holds all that can be read to the model: every job that was ever named, the records, the counts, and their order where that was asked for. */
export function explainView(
  state: ModelState,
  ids: readonly string[],
  view: {
    readonly jobs: readonly (StoredJob | null)[]
    readonly counts: readonly QueueCount[]
    /** What the store holds under each of `recordKeys`. */
    readonly records: readonly (string | null)[]
    readonly order: readonly string[] | null
  },
): void {
  for (const [index, id] of ids.entries())
    sameJob(id, view.jobs[index] ?? null, state.jobs.get(id)?.shown ?? null)
  same(
    'records',
    view.records,
    recordKeys.map((key) => state.records.get(key) ?? null),
  )
  const newestFirst = [...state.jobs.values()].sort((a, b) => b.order - a.order)
  if (view.order !== null)
    same(
      'order of the list',
      view.order,
      newestFirst.map(({ shown }) => shown.id),
    )
  const counts = new Map<string, number>()
  for (const { shown } of state.jobs.values()) {
    const cell = `${shown.queue} ${shown.state}`
    counts.set(cell, (counts.get(cell) ?? 0) + 1)
  }
  same(
    'counts',
    view.counts.map(({ queue, state, count }) => `${queue} ${state} ${count}`).sort(),
    [...counts].map(([cell, count]) => `${cell} ${count}`).sort(),
  )
}

/** Whether an ended job still shows that a cancel was asked for is left open. */
export function sameJob(id: string, actual: StoredJob | null, expected: StoredJob | null): void {
  if (actual === null || expected === null) return same(`job ${id}`, actual, expected)
  const fields = new Set([...Object.keys(actual), ...Object.keys(expected)] as (keyof StoredJob)[])
  for (const field of fields) {
    if (actual[field] === expected[field]) continue
    if (field === 'cancelAsked' && isFinal(expected.state)) continue
    same(`${field} of the ${expected.state} job ${id}`, actual[field], expected[field])
  }
}
