/** What a handler sees while it runs, and the shape of a handler. */
import type { LogLevel } from './job.ts'
import type { AnyTask, InputOf } from './task.ts'
import type { EnqueueOptions } from './enqueue-options.ts'

/** Runs one attempt: gets the parsed input and its job, answers the output. */
export type Handler<Input, Output, Context> = (
  input: Input,
  job: RunningJob<Context, Output>,
) => Output | Promise<Output>

/** The job as its handler sees it. Field names are those of the records of `errand.jobs`. */
export interface RunningJob<Context = unknown, Output = unknown> {
  readonly id: string
  readonly task: string
  readonly queue: string
  readonly state: 'running'
  readonly priority: number
  /** The number of this attempt, from 1. Postponed and interrupted runs do not count. */
  readonly attempt: number
  /** The fencing number: greater than that of any earlier run of this job. Hand it to systems that can refuse old ones. */
  readonly token: number
  /** The id of the job that this one followed from. */
  readonly parent: string | null
  readonly group: string | null
  readonly tags: readonly string[]
  readonly headers: Readonly<Record<string, string>>
  readonly createdAt: Date
  readonly dueAt: Date
  /** Aborts on timeout, cancel, stop and loss of the lease. `signal.reason` is an `ErrandError` that tells which. */
  readonly signal: AbortSignal
  /** The app's shared context. */
  readonly context: Context
  /** Writes lines that stay with the job, at most 1,000. */
  readonly log: JobLog
  /** Shows how far the attempt is: any JSON, such as `0.4` or `{ done: 3, of: 9 }`. The last one stays with the job. */
  progress(value: unknown): void
  /**
   * Enqueues another job with this attempt's settlement: if it completes, is postponed or discarded. An attempt
   * that throws, times out or has lost its lease enqueues nothing. Resolves with the new job's id.
   */
  enqueue<T extends AnyTask>(task: T, ...rest: EnqueueRest<T>): Promise<string>
  enqueue(task: string, input?: unknown, options?: FollowUpOptions): Promise<string>
  /**
   * Completes the job inside the caller's own transaction, on SQL stores: its writes and this end commit together.
   * Throws `lease-lost` when the job is no longer this attempt's; roll back then. May be called again in another transaction
   * once this one was rolled back; after one that has committed it throws `not-committed`.
   */
  complete(tx: unknown, output: Output): Promise<void>
}

/** Options of a job that is enqueued by another's settlement. */
export type FollowUpOptions = Omit<EnqueueOptions, 'tx' | 'inline'>

/** Input, if the task takes any, and options. */
export type EnqueueRest<T extends AnyTask, Options = FollowUpOptions> =
  undefined extends InputOf<T>
    ? [input?: InputOf<T>, options?: Options]
    : [input: InputOf<T>, options?: Options]

/** Writes log lines of a job; `fields` are added as JSON. */
export type JobLog = Readonly<Record<LogLevel, (text: string, fields?: object) => void>>
