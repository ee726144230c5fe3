/** From jobs as they lie in a store to jobs as people read them. */
import {
  keptAttempts,
  type KeptError,
  type AttemptOutcome,
  type Counters,
  type JobState,
} from '../core/job.ts'
import { fromJson, type ReadJson } from '../core/json.ts'
import type { StoredJob } from '../store/job.ts'
import type { App } from '../app/app.ts'
import { decodeAttempts } from '../app/attempts.ts'
import { priorityOf, readTick } from '../app/new-job.ts'
import { decodePayload } from '../app/payload.ts'

export interface JobRecord extends Counters {
  readonly id: string
  readonly task: string
  readonly queue: string
  readonly state: JobState
  readonly priority: number
  /** Decoded; undefined when its codec is not known here. */
  readonly input: unknown
  /** Decoded output of a completed job. */
  readonly output: unknown
  readonly errors: readonly KeptError[]
  /** Its last runs, oldest first, at most 10. */
  readonly runs: readonly JobRun[]
  /** Why it failed, was cancelled or discarded. */
  readonly reason: string | null
  /** The number of its current or last attempt; 0 before the first. */
  readonly attempt: number
  readonly token: number
  readonly key: string | null
  readonly parent: string | null
  readonly group: string | null
  readonly tags: readonly string[]
  readonly headers: Readonly<Record<string, string>>
  /** The schedule that it is a tick of, and the planned time of that. */
  readonly schedule: string | null
  readonly plannedAt: Date | null
  readonly worker: string | null
  readonly progress: unknown
  readonly cancelAsked: boolean
  readonly createdAt: Date
  readonly dueAt: Date
  readonly startBy: Date | null
  readonly deadlineAt: Date | null
  readonly startedAt: Date | null
  readonly finishedAt: Date | null
  readonly expiresAt: Date | null
  readonly leaseUntil: Date | null
  readonly codec: string | null
}

export interface JobRun {
  /** The number of the attempt, from 1; a run that was postponed or interrupted shares it with the next. */
  readonly attempt: number
  readonly token: number
  readonly worker: string
  /** Null when it ended before its start was written. */
  readonly startedAt: Date | null
  readonly endedAt: Date
  readonly outcome: AttemptOutcome
  readonly error: KeptError | null
}

/** Decodes a job; `json` reads its payloads. Never throws: what cannot be decoded here is left undefined, or left out. */
export function toRecord(app: App, job: StoredJob, json: ReadJson = fromJson): JobRecord {
  const { counters, codec } = job
  const tick = readTick(job.options)
  return {
    id: job.id,
    task: job.task,
    queue: job.queue,
    state: job.state,
    priority: priorityOf(job),
    input: decodeOrNot(app, job.input, codec, json),
    output: job.output === null ? undefined : decodeOrNot(app, job.output, codec, json),
    errors: decodeErrors(app, job),
    runs: runsOf(app, job),
    reason: job.reason,
    attempt: counters.attempts + (job.state === 'running' ? 1 : 0),
    attempts: counters.attempts,
    failures: counters.failures,
    postpones: counters.postpones,
    losses: counters.losses,
    interruptions: counters.interruptions,
    deferrals: counters.deferrals,
    token: job.token,
    key: job.uniqueKey,
    parent: job.parent,
    group: job.group,
    tags: job.tags,
    headers: job.headers,
    schedule: tick?.schedule ?? null,
    plannedAt: tick === undefined ? null : new Date(tick.plannedAt),
    worker: job.worker,
    progress: job.progress === null ? undefined : decodeOrNot(app, job.progress, null, json),
    cancelAsked: job.cancelAsked,
    createdAt: new Date(job.createdAt),
    dueAt: new Date(job.dueAt),
    startBy: toDate(job.startBy),
    deadlineAt: toDate(job.deadlineAt),
    startedAt: toDate(job.startedAt),
    finishedAt: toDate(job.finishedAt),
    expiresAt: toDate(job.expiresAt),
    leaseUntil: toDate(job.leaseUntil),
    codec,
  }
}

/** The errors of a job's kept attempts that can be decoded here, oldest first. */
export function decodeErrors(
  app: App,
  job: Pick<StoredJob, 'attempts' | 'codec'>,
): readonly KeptError[] {
  return decodeAttempts(app, job.attempts, job.codec).flatMap(({ error }) => error ?? [])
}

/** The runs of a job, oldest first. One that completed the job, or still runs, is told by the job itself. */
function runsOf(app: App, job: StoredJob): readonly JobRun[] {
  const kept = decodeAttempts(app, job.attempts, job.codec).map((run) => ({
    ...run,
    startedAt: toDate(run.startedAt),
    endedAt: new Date(run.endedAt),
  }))
  const { token, worker, startedAt, finishedAt } = job
  if (job.state !== 'completed' || worker === null || finishedAt === null) return kept
  const last = {
    attempt: job.counters.attempts,
    token,
    worker,
    startedAt: toDate(startedAt),
    endedAt: new Date(finishedAt),
    outcome: 'completed',
    error: null,
  } as const
  return [...kept, last].slice(-keptAttempts)
}

function decodeOrNot(app: App, text: string, codec: string | null, json: ReadJson): unknown {
  try {
    return decodePayload(app, text, codec, 'payload', json)
  } catch {
    return undefined
  }
}

function toDate(time: number | null): Date | null {
  return time === null ? null : new Date(time)
}
