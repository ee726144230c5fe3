/** What changed between two looks at jobs. Pure. */
import { parseDigits } from '../../core/digits.ts'
import { isFinal } from '../../core/job.ts'
import type { StoredJob } from '../../store/job.ts'
import { isoOf } from '../job-json.ts'

/** A job as an event shows it: without input and output, which may be large. */
export interface ShownJob {
  readonly id: string
  readonly queue: string
  readonly task: string
  readonly isOpen: boolean
  /** When it last changed as far as the store knows, in ms; a run that goes on may change at any time. */
  readonly changedAt: number
  /** The data of its event, as JSON. */
  readonly text: string
}

/** What an event says of a job. */
export function shown(job: StoredJob): ShownJob {
  const { id, task, queue, state, counters, reason, worker, group, parent, tags } = job
  const text = JSON.stringify({
    id,
    task,
    queue,
    state,
    attempt: counters.attempts + (state === 'running' ? 1 : 0),
    failures: counters.failures,
    reason,
    worker,
    key: job.uniqueKey,
    group,
    parent,
    tags,
    progress: progressOf(job.progress),
    cancelAsked: job.cancelAsked,
    createdAt: isoOf(job.createdAt),
    dueAt: isoOf(job.dueAt),
    startedAt: isoOf(job.startedAt),
    finishedAt: isoOf(job.finishedAt),
  })
  return { id, queue, task, isOpen: !isFinal(state), changedAt: changedAt(job), text }
}

function progressOf(progress: string | null): unknown {
  if (progress === null) return null
  try {
    return parseDigits(progress)
  } catch {
    return null
  }
}

/** A job that runs may have reported progress just now, which has no time of its own. */
function changedAt(job: StoredJob): number {
  if (job.state === 'running') return Infinity
  const times = [job.createdAt, job.startedAt, job.finishedAt, lastEnd(job)]
  return Math.max(...times.map((time) => (Number.isFinite(time) ? Number(time) : 0)))
}

/** When its last kept attempt ended, which is plain whatever the codec. */
function lastEnd({ attempts }: StoredJob): number {
  const last = attempts.at(-1)
  if (last === undefined) return 0
  try {
    return Number((JSON.parse(last) as { readonly endedAt?: unknown }).endedAt ?? 0)
  } catch {
    return 0
  }
}

/** The latest time in a look, by the store's clock: what a caller has seen who saw all of it. */
export function latest(jobs: Iterable<ShownJob>, before: number): number {
  let most = before
  for (const { changedAt } of jobs) if (changedAt !== Infinity) most = Math.max(most, changedAt)
  return most
}

/** A change may become visible a little after its time, so that who comes back sees some twice. */
const slackMs = 5_000

/** Whether somebody who saw everything up to a time may have missed this. */
export function isNewSince({ changedAt }: ShownJob, since: number): boolean {
  return changedAt > since - slackMs
}

/**
 * The jobs that changed. One that was not there before has changed unless its last change is older
 * than what was seen: then an older job has come into view because others went.
 */
export function changed(
  before: ReadonlyMap<string, ShownJob>,
  after: ReadonlyMap<string, ShownJob>,
  seen: number,
): readonly ShownJob[] {
  return [...after.values()].filter((job) => {
    const old = before.get(job.id)
    return old === undefined ? isNewSince(job, seen) : old.text !== job.text
  })
}
