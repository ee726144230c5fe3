/** The public face of an app, and how one is made. */
import type { EnqueueOptions } from './core/enqueue-options.ts'
import type { EnqueueRest } from './core/handler.ts'
import type { AnyTask, OutputOf } from './core/task.ts'
import type {
  CheckedEntries,
  EnqueuedJob,
  Entry,
  Jobs,
  Queues,
  WorkerInfo,
} from './client/public.ts'
import type { EventName, Events } from './observe/events.ts'
import type { RegisteredTask, Store } from './store.ts'
import type { Worker, WorkerOptions } from './worker/public.ts'

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

