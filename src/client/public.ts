/** The public face of an app: what `createErrand` answers. Times in records are `Date`s, by the store's clock. */
import type { Duration } from '../core/duration.ts'
import type { EnqueueOptions } from '../core/enqueue-options.ts'
import type { EnqueueRest } from '../core/handler.ts'
import type { Counters, JobState, KeptError, LogLine } from '../core/job.ts'
import type { AnyTask, InputOf, OutputOf } from '../core/task.ts'
import type { EventName, Events } from '../observe/events.ts'
import type { CancelAnswer, QueueCount, RegisteredTask, RemoveAnswer, RetryAnswer, Store } from '../store.ts'
import type { Worker, WorkerOptions } from '../worker/public.ts'

/** An app: enqueues jobs, makes workers, and looks after both. */
export interface Errand extends AsyncDisposable {
  readonly store: Store
  /**
   * Stores one job and answers when it is as durable as the store is configured to be.
   * Rejects with `invalid-input`, `not-json`, `too-large`, `invalid-option`, `unknown-task`, `unknown-queue`, `overloaded`,
   * `closed` or an error of the store; then nothing was stored, except after `unknown-outcome`, which carries the job's id.
   */
  enqueue<T extends AnyTask>(task: T, ...rest: EnqueueRest<T, EnqueueOptions>): Promise<EnqueuedJob<OutputOf<T>>>
  /** Enqueues by name: checked by the task's definition, or else by the JSON Schema in the tasks registry. */
  enqueue(task: string, input?: unknown, options?: EnqueueOptions): Promise<EnqueuedJob<unknown>>
  /** Stores many jobs; a bad one rejects the call before anything is stored. Batches of 1,000 are each atomic. */
  enqueueMany<const Entries extends readonly Entry[]>(
    entries: Entries & CheckedEntries<Entries>,
    options?: { readonly tx?: unknown },
  ): Promise<readonly EnqueuedJob<unknown>[]>
  readonly jobs: Jobs
  readonly queues: Queues
  readonly workers: { list(): Promise<readonly WorkerInfo[]> }
  readonly tasks: { list(): Promise<readonly RegisteredTask[]> }
  /** Makes a worker; it does nothing until it is started. Throws `invalid-option` and `unknown-queue`. */
  worker(options?: WorkerOptions): Worker
  /** Subscribes to events; the answer unsubscribes. */
  on<Name extends EventName>(name: Name, listener: (event: Events[Name]) => void): () => void
  /** Stops the app's workers, waits for calls in flight, disposes the context and closes the store. */
  close(): Promise<void>
}

/** One entry of `enqueueMany`. */
export type Entry = readonly [task: AnyTask | string, input?: unknown, options?: Omit<EnqueueOptions, 'tx' | 'inline'>]

/** Ties each entry's input to its task. */
export type CheckedEntries<Entries extends readonly Entry[]> = {
  readonly [I in keyof Entries]: Entries[I] extends readonly [infer T extends AnyTask, ...unknown[]]
    ? readonly [T, InputOf<T>?, Omit<EnqueueOptions, 'tx' | 'inline'>?]
    : Entry
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
  /** Why it failed, was cancelled or discarded. */
  readonly reason: string | null
  /** The number of its current or last attempt; 0 before the first. */
  readonly attempt: number
  readonly token: number
  readonly key: string | null
  readonly parent: string | null
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

/** Which jobs. Without anything: all. */
export interface JobFilter {
  readonly state?: JobState | readonly JobState[]
  readonly task?: string
  readonly queue?: string
  /** The unique key as `key` of a record shows it. */
  readonly key?: string
  readonly parent?: string
  readonly created?: { readonly from?: Date; readonly to?: Date }
  readonly finished?: { readonly from?: Date; readonly to?: Date }
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
  list(filter?: JobFilter & { readonly limit?: number; readonly after?: string }): Promise<{ readonly jobs: readonly JobRecord[]; readonly next: string | null }>
  counts(): Promise<readonly QueueCount[]>
  logs(id: string): Promise<readonly LogLine[]>
  /** Waits for the end and answers the output, from any process. Rejects with `job-failed`, `job-cancelled`, `job-discarded`, `job-missing` or `result-timeout`. */
  result(id: string, options?: ResultOptions): Promise<unknown>
  /** Cancels waiting jobs, asks running ones to end. */
  cancel(target: JobTarget, options?: BulkOptions & { readonly reason?: string }): Promise<Tally<CancelAnswer>>
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
