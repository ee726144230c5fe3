/** The public face of an app, and how one is made. */
import { App, type ErrandConfig } from './app/app.ts'
import { callerFolder } from './app/caller.ts'
import { Client } from './client/client.ts'
import { createJobs } from './client/jobs.ts'
import type { CheckedEntries, EnqueuedJob, EnqueuedJobs, Entry } from './client/enqueued-job.ts'
import type { Jobs } from './client/jobs.ts'
import type { Queues } from './client/queues.ts'
import type { WorkerInfo } from './client/workers.ts'
import { createQueues } from './client/queues.ts'
import { listWorkers } from './client/workers.ts'
import type { EnqueueOptions } from './core/enqueue-options.ts'
import { ErrandError } from './core/errors.ts'
import type { EnqueueRest } from './core/running-job.ts'
import type { AnyTask, OutputOf } from './core/task.ts'
import { refuseUnknownKeys } from './core/option-keys.ts'
import { readFunction, readText } from './core/read.ts'
import { eventNames, type EventName, type Events } from './observe/events.ts'
import { ownLog, type HasOwnLog } from './observe/own-log.ts'
import type { RegisteredTask } from './store/registry.ts'
import type { Store } from './store/store.ts'
import { singletonsOf, type Singletons } from './singleton/singletons.ts'
import type { AnySingleton, SingletonRun } from './singleton/singleton.ts'
import { createInlineRunner } from './worker/inline.ts'
import type { Worker, WorkerOptions } from './worker/worker-options.ts'
import { ErrandWorker } from './worker/worker.ts'

/** What `createErrand` takes: the app, and its singletons. */
export interface Configuration<Context> extends ErrandConfig<Context> {
  readonly singletons?: readonly SingletonIn<NoInfer<Context>>[]
}

/** A singleton whose handler is content with `Context`. */
interface SingletonIn<Context> extends Pick<AnySingleton, 'name'> {
  readonly definition: { readonly run: (run: SingletonRun<never, Context>) => unknown }
}

/** An app: enqueues jobs, makes workers, and looks after both. */
export interface Errand extends AsyncDisposable {
  readonly store: Store
  /**
   * Stores one job and answers when it is as durable as the store is configured to be. With `inline`, when it has run.
   * Rejects with `invalid-input`, `not-json`, `too-large`, `invalid-option`, `unknown-task`, `unknown-queue`, `overloaded`,
   * `closed` or an error of the store; then nothing was stored, except after `unknown-outcome`, which carries the job's id.
   */
  enqueue<T extends AnyTask>(
    task: T,
    ...rest: EnqueueRest<T, EnqueueOptions>
  ): Promise<EnqueuedJob<OutputOf<T>>>
  /** Enqueues by name: checked by the task's definition, or else by the JSON Schema in the tasks registry. */
  enqueue(task: string, input?: unknown, options?: EnqueueOptions): Promise<EnqueuedJob<unknown>>
  /**
   * Stores many jobs; a bad one rejects the call before anything is stored, and is named by `details.index`. Batches of
   * 1,000 (fewer when their inputs are longer than 16 MB) are each atomic; an error in a later one tells in
   * `details.stored` how many jobs are stored.
   */
  enqueueMany<const Entries extends readonly Entry[]>(
    entries: Entries & CheckedEntries<Entries>,
    options?: { readonly tx?: unknown },
  ): Promise<EnqueuedJobs<Entries>>
  readonly jobs: Jobs
  readonly queues: Queues
  readonly workers: { list(): Promise<readonly WorkerInfo[]> }
  readonly tasks: {
    /** Reads the tasks registry: what workers of this store registered. */
    list(): Promise<readonly RegisteredTask[]>
    /** Loads the app's own tasks and answers their names. Rejects with `invalid-task` and `duplicate-task`. */
    load(): Promise<readonly string[]>
  }
  readonly singletons: Singletons
  /** Makes a worker; it does nothing until it is started. Throws `invalid-option` and `unknown-queue`. */
  worker(options?: WorkerOptions): Worker
  /** Subscribes to events; the answer unsubscribes. */
  on<Name extends EventName>(name: Name, listener: (event: Events[Name]) => void): () => void
  /** Makes another app of the same configuration on another store. */
  withStore(store: Store): Errand
  /** Stops the app's workers, waits for calls in flight, disposes the context and closes the store. */
  close(): Promise<void>
}

/**
 * Makes an app. Opens nothing: the first call connects. Globs in `tasks` are relative to the folder of the calling file.
 * Throws `invalid-option` for a configuration that cannot work.
 *
 * @example
 * const errand = createErrand({ store: sqlite('errand.db'), tasks: [resize] })
 * const job = await errand.enqueue(resize, { path: 'a.png', width: 200 })
 */
export function createErrand<Context>(config: Configuration<Context>): Errand {
  return createErrandIn(config as Configuration<unknown>, callerFolder([import.meta.url]))
}

/** `createErrand` with the folder that globs are relative to. */
export function createErrandIn(config: Configuration<unknown>, root: string): Errand {
  const { singletons: defined = [], ...rest } = config ?? {}
  const app = new App(rest, root)
  const singletons = singletonsOf(app, defined as readonly AnySingleton[])
  const client = new Client(app)
  client.runInlineWith(createInlineRunner(app, client))
  const jobs = createJobs(client)
  const workers = new Set<Worker>()
  let closing: Promise<void> | null = null

  const close = async (): Promise<void> => {
    try {
      await Promise.all([...workers].map((worker) => worker.stop()))
    } finally {
      await client.close()
      await singletons.close()
      await app.store.close()
    }
  }

  const errand: Errand & HasOwnLog = {
    store: app.store,
    [ownLog]: config.log !== undefined,
    enqueue: (task: AnyTask | string, input?: unknown, options?: EnqueueOptions) =>
      client.enqueue(task, input, options) as Promise<EnqueuedJob<never>>,
    enqueueMany: <Entries extends readonly Entry[]>(
      entries: Entries,
      options?: { readonly tx?: unknown },
    ) => client.enqueueMany(entries, options) as Promise<EnqueuedJobs<Entries>>,
    jobs,
    queues: createQueues(client, jobs),
    workers: { list: () => listWorkers(client) },
    tasks: {
      list: () => client.call((store) => store.tasks()),
      load: async () => (await app.tasks()).names,
    },
    singletons,
    worker(options = {}) {
      if (closing !== null) throw new ErrandError('closed', 'The app is closed.')
      const worker: Worker = new ErrandWorker(app, client, options, () => workers.delete(worker))
      workers.add(worker)
      return worker
    },
    on(name, listener) {
      readText(name, 'What on() listens to')
      refuseUnknownKeys({ [name]: listener }, eventNames, 'on()')
      return app.events.on(name, readFunction(listener, `The listener of ${name}`))
    },
    withStore: (store) => createErrandIn({ ...config, store }, root),
    close: () => (closing ??= close()),
    [Symbol.asyncDispose]: () => (closing ??= close()),
  }
  return errand
}
