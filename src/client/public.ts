/** What callers of an app hold: jobs, records, filters, operators' calls. Times in records are `Date`s, by the store's clock. */
import type { Duration } from '../core/duration.ts'
import type { EnqueueOptions } from '../core/enqueue-options.ts'
import type { AttemptOutcome, Counters, JobState, KeptError, LogLine } from '../core/job.ts'
import type { EnqueueRest } from '../core/running-job.ts'
import type { AnyTask, OutputOf } from '../core/task.ts'
import type { CancelAnswer, RemoveAnswer, RetryAnswer } from '../store/operators.ts'
import type { QueueCount } from '../store/readers.ts'

/** Options of one entry of `enqueueMany`. */
export type EntryOptions = Omit<EnqueueOptions, 'tx' | 'inline'>

/** One entry of `enqueueMany`. */
export type Entry = readonly [task: AnyTask | string, input?: unknown, options?: EntryOptions]

/** Ties each entry's input to its task. */
export type CheckedEntries<Entries extends readonly Entry[]> = {
  readonly [I in keyof Entries]: Entries[I] extends readonly [infer T extends AnyTask, ...unknown[]]
    ? readonly [T, ...EnqueueRest<T, EntryOptions>]
    : Entry
}

/** The jobs of entries, each with the output of its task. */
export type EnqueuedJobs<Entries extends readonly Entry[]> = {
  readonly [I in keyof Entries]: EnqueuedJob<
    Entries[I] extends readonly [infer T extends AnyTask, ...unknown[]] ? OutputOf<T> : unknown
  >
}

/** A job as its producer holds it. */
export interface EnqueuedJob<Output> {
  readonly id: string
  /** `duplicate` and `replaced`: `id` is the job that holds the unique key. */
  readonly inserted: 'created' | 'duplicate' | 'replaced'
  result(options?: ResultOptions): Promise<Output>
}

export interface ResultOptions {
  /** Default 30 s; in a handler at most what is left of the attempt's own timeout. Then rejects with `result-timeout`. */
  readonly timeout?: Duration
  /** Removes the job once its result was read: of several takers, one gets it. Default false. */
  readonly take?: boolean
  readonly signal?: AbortSignal
}

/** A job as it stands, decoded. */
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
  readonly runs: readonly RunRecord[]
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

/** One run of a job that has ended. */
export interface RunRecord {
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

/** Which jobs. Without anything: all. */
export interface JobFilter {
  readonly state?: JobState | readonly JobState[]
  readonly task?: string
  readonly queue?: string
  /** The unique key as `key` of a record shows it. */
  readonly key?: string
  readonly parent?: string
  readonly group?: string
  readonly tag?: string
  /** A value inside the JSON of the input, or of the output with `in: 'output'`; jobs with a codec match nothing. */
  readonly search?: JobSearch
  readonly created?: { readonly from?: Date; readonly to?: Date }
  readonly finished?: { readonly from?: Date; readonly to?: Date }
}

/** Finds jobs by a value inside their payload. */
export interface JobSearch {
  /** Default `'input'`. */
  readonly in?: 'input' | 'output'
  /** Keys of objects and indexes of arrays, from the outside in, such as `['order', 'lines', 0, 'sku']`. */
  readonly path: readonly (string | number)[]
  /** Any JSON. */
  readonly equals: unknown
}

/** One id, several, or a filter. Verbs on a filter work in chunks and report after each. */
export type JobTarget = string | readonly string[] | JobFilter

export interface BulkOptions {
  /** Called after each chunk with how many jobs were looked at so far. */
  readonly onProgress?: (done: number) => void
  readonly signal?: AbortSignal
}

/** How many jobs got which answer. */
export type Tally<Answer extends string> = Readonly<Partial<Record<Answer, number>>>

export interface Jobs {
  /** Null when the job is unknown: never stored, removed, or beyond its retention. */
  get(id: string): Promise<JobRecord | null>
  /** Newest first. `limit` default 100, at most 1,000. */
  list(
    filter?: JobFilter & { readonly limit?: number; readonly after?: string },
  ): Promise<{ readonly jobs: readonly JobRecord[]; readonly next: string | null }>
  counts(): Promise<readonly QueueCount[]>
  logs(id: string): Promise<readonly LogLine[]>
  /** Waits for the end and answers the output, from any process. Rejects with `job-failed`, `job-cancelled`, `job-discarded`, `job-missing` or `result-timeout`. */
  result(id: string, options?: ResultOptions): Promise<unknown>
  /** Cancels waiting jobs, asks running ones to end. */
  cancel(
    target: JobTarget,
    options?: BulkOptions & { readonly reason?: string },
  ): Promise<Tally<CancelAnswer>>
  /** Makes failed, cancelled and discarded jobs ready again. */
  retry(target: JobTarget, options?: BulkOptions): Promise<Tally<RetryAnswer>>
  /** Removes jobs that are not running. */
  remove(target: JobTarget, options?: BulkOptions): Promise<Tally<RemoveAnswer>>
  /** Reads a final job and removes it, in one step; null when it is unknown or not final. */
  take(id: string): Promise<JobRecord | null>
}

export interface QueueInfo {
  readonly name: string
  readonly paused: boolean
  readonly counts: Readonly<Partial<Record<JobState, number>>>
}

export interface Queues {
  list(): Promise<readonly QueueInfo[]>
  /** Stops claims from these queues, in every process and in those that start later. Running jobs go on. */
  pause(...queues: readonly string[]): Promise<void>
  resume(...queues: readonly string[]): Promise<void>
  /** Removes all waiting jobs of a queue. */
  purge(queue: string, options?: BulkOptions): Promise<Tally<RemoveAnswer>>
}

export interface WorkerInfo {
  readonly id: string
  readonly host: string
  readonly pid: number
  readonly version: string
  readonly queues: readonly string[]
  readonly slots: number
  readonly running: readonly string[]
  readonly startedAt: Date
  readonly lastSeenAt: Date
  /** `lost` when it was not seen for half a minute without having stopped. */
  readonly state: 'running' | 'stopped' | 'lost'
}
