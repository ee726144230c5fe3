/** What a handler sees while it runs, and the shape of a handler. */
import type { LogLevel } from './job.ts'
import type { Given, Ref } from './node-output.ts'
import type { AnyTask, InputOf, OutputOf } from './task.ts'
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
  /** The schedule that this job is a tick of, and the planned time of that; null for others. */
  readonly schedule: string | null
  readonly plannedAt: Date | null
  readonly createdAt: Date
  readonly dueAt: Date
  /** Adds nodes to the workflow that the job is a node of, while it runs. */
  readonly workflow: JobWorkflow
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
   * Runs another task as a job of its own and resolves with its output. Meanwhile this job has no
   * slot and its timeout stands still. A job that runs again makes no call twice: one that was made
   * returns what it returned, or waits for the job that exists. Rejects with `job-failed`,
   * `job-cancelled` and `job-discarded` as `result()` does, and fails the job as `call-changed` when
   * the recorded call was of another task or had another input.
   */
  call<T extends AnyTask>(task: T, ...rest: CallRest<T>): Promise<OutputOf<T>>
  call(task: string, input?: unknown, options?: CallOptions): Promise<unknown>
  /**
   * Completes the job inside the caller's own transaction, on SQL stores: its writes and this end commit together.
   * Throws `lease-lost` when the job is no longer this attempt's; roll back then. May be called again in another transaction
   * once this one was rolled back; after one that has committed it throws `not-committed`.
   */
  complete(tx: unknown, output: Output): Promise<void>
}

/** The workflow of a running node. */
export interface JobWorkflow {
  /**
   * Adds a node with this attempt's settlement, under the same conditions as `enqueue`; the workflow ends once it has ended,
   * too. Names are for people and for this attempt: two attempts, or two nodes, may add the same. Rejects with
   * `invalid-option` when the job is no node of a workflow.
   */
  add<T extends AnyTask>(
    name: string,
    task: T,
    ...rest: AddRest<InputOf<T>>
  ): Promise<AddedNode<OutputOf<T>>>
}

/** A node that was added to a workflow while it runs. */
export interface AddedNode<Output = unknown> {
  readonly name: string
  readonly id: string
  /** For the input of nodes that are added after it by the same attempt. */
  readonly output: Ref<Output>
}

/** Options of a node that is added to a workflow while it runs. */
export interface AddOptions extends Omit<FollowUpOptions, 'group' | 'before'> {
  /** What must have ended before: nodes that this attempt added, or the names of nodes beside the running one. */
  readonly needs?: readonly (string | Pick<AddedNode, 'id'>)[]
  /** Names of nodes beside the running one that are to wait for this one, too, if they still wait for anything. */
  readonly before?: readonly string[]
}

type AddRest<Input> = undefined extends Input
  ? [input?: Given<Input>, options?: AddOptions]
  : [input: Given<Input>, options?: AddOptions]

/** Options of a job that is enqueued by another's settlement. */
export type FollowUpOptions = Omit<EnqueueOptions, 'tx' | 'inline'>

/** Options of a job that is called by another. */
export interface CallOptions extends FollowUpOptions {
  /**
   * Names the call, once in a job. Default: the task and how often it was called before, so that
   * calls of one task must come in one order.
   */
  readonly id?: string
}

/** Input, if the task takes any, and options of a call. */
type CallRest<T extends AnyTask> = EnqueueRest<T, CallOptions>

/** Input, if the task takes any, and options. */
export type EnqueueRest<T extends AnyTask, Options = FollowUpOptions> =
  undefined extends InputOf<T>
    ? [input?: InputOf<T>, options?: Options]
    : [input: InputOf<T>, options?: Options]

/** Writes log lines of a job; `fields` are added as JSON. */
export type JobLog = Readonly<Record<LogLevel, (text: string, fields?: object) => void>>
