/** The public face of an app, and how one is made. */
import { App, type ErrandConfig } from './app/app.ts'
import { callerFolder } from './app/caller.ts'
import { handIn, type HasHandIn } from './app/hand-in.ts'
import { describeTask } from './app/registered-tasks.ts'
import { Client } from './client/client.ts'
import { createJobs } from './client/jobs.ts'
import type { CheckedEntries, EnqueuedJob, EnqueuedJobs, Entry } from './client/enqueued-job.ts'
import type { Jobs } from './client/jobs.ts'
import { ownClient, type HasClient } from './client/own-client.ts'
import { createControl, type Control } from './client/control.ts'
import type { Queues } from './client/queues.ts'
import type { WorkerInfo } from './client/workers.ts'
import { createQueues } from './client/queues.ts'
import { listWorkers } from './client/workers.ts'
import { readStats, type Stats, type StatsOptions } from './client/stats.ts'
import { ScheduleBook, type ScheduleConfig } from './flows/schedules/book.ts'
import { createSchedules, type Schedules } from './flows/schedules/schedules.ts'
import { planRun } from './flows/workflows/plan-run.ts'
import type { EnqueueOptions } from './core/enqueue-options.ts'
import { ErrandError } from './core/errors.ts'
import type { EnqueueRest } from './core/running-job.ts'
import type { AnyTask, OutputOf } from './core/task.ts'
import { refuseUnknownKeys } from './core/option-keys.ts'
import { readFunction, readText } from './core/read.ts'
import { eventNames, type EventName, type Events } from './observe/events.ts'
import { hub, type HasHub } from './observe/hub-of.ts'
import { ownWorkers, type HasOwnWorkers } from './observe/own-workers.ts'
import { ownLog, type HasOwnLog } from './observe/own-log.ts'
import type { RegisteredTask } from './store/registry.ts'
import type { Store } from './store/store.ts'
import type { Source } from './sources/source.ts'
import { createSources, type Sources } from './sources/sources.ts'
import { singletonsOf, type Singletons } from './singleton/singletons.ts'
import type { AnySingleton, SingletonRun } from './singleton/singleton.ts'
import { createHandIn } from './worker/hand-in.ts'
import { createInlineRunner } from './worker/inline.ts'
import {
  createWorkflows,
  type BatchRun,
  type Start,
  type Workflows,
} from './flows/workflows/runs.ts'
import type { BatchEntries, BatchOptions } from './flows/workflows/batch.ts'
import type { AnyWorkflow } from './flows/workflows/workflow.ts'
import { ErrandKeeper, type Keeper } from './keeper/keeper.ts'
import type { Worker, WorkerOptions } from './worker/worker-options.ts'
import { isolateTasks } from './fleet/isolated-tasks.ts'
import {
  ownShouldRestart,
  type HasShouldRestart,
  type ShouldRestart,
} from './fleet/should-restart.ts'
import { ErrandWorker } from './worker/worker.ts'

/** What `createErrand` takes: the app, its schedules and its singletons. */
export interface Configuration<Context> extends ErrandConfig<Context>, ScheduleConfig {
  readonly singletons?: readonly SingletonIn<NoInfer<Context>>[]
  /** Those that are started by name. */
  readonly workflows?: readonly AnyWorkflow[]
  /**
   * Asked once a second in each process of `errand worker --processes`: `true` has the process replaced,
   * once it has drained. What it throws is a warning, and changes nothing.
   */
  readonly shouldRestart?: ShouldRestart
  /** Brokers whose messages become jobs, in the processes that start them: `errand.sources.start()`, or the commands. */
  readonly sources?: readonly Source[]
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
  /**
   * Starts a workflow: adds its nodes and stores all of their jobs, in one step where they are few, else in many, behind a
   * gate, so that none runs before all are stored. Rejects as `enqueue` does, naming the node; then nothing is left, except
   * after `unknown-outcome`: repeated under the same `id` the start goes on, else what was stored is taken back after five
   * minutes.
   */
  readonly start: Start
  /**
   * Stores up to 100,000 jobs as one batch, none of which runs before all are stored, and runs `onEnd` once, when all
   * have ended, however they did. Takes an iterable too, which may be async, and holds only some hundreds of jobs in memory.
   * Resolves when all are stored. Rejects as `enqueue` does, naming the entry in `details.index`, with `too-large` for more
   * entries, and with what the iterable threw; then nothing is left, as with `start`.
   */
  batch<const Entries extends readonly Entry[], T extends AnyTask = AnyTask>(
    entries: Entries & CheckedEntries<Entries>,
    options?: BatchOptions<T>,
  ): Promise<BatchRun>
  batch<Entries extends BatchEntries, T extends AnyTask = AnyTask>(
    entries: Entries & (Entries extends readonly unknown[] ? never : unknown),
    options?: BatchOptions<T>,
  ): Promise<BatchRun>
  readonly workflows: Workflows
  readonly jobs: Jobs
  readonly queues: Queues
  /** Tells workers what to do, wherever they run. */
  readonly control: Control
  readonly workers: { list(): Promise<readonly WorkerInfo[]> }
  /** Reads how the queues stand and, with `by`, what came of their jobs. Rejects with `invalid-option`. */
  stats(options?: StatsOptions): Promise<Stats>
  readonly tasks: {
    /** Reads the tasks registry: what workers of this store registered. */
    list(): Promise<readonly RegisteredTask[]>
    /**
     * Loads the app's own tasks and answers them as its workers would register them. Rejects with `invalid-task` and
     * `duplicate-task`.
     */
    describe(): Promise<readonly RegisteredTask[]>
    /** Loads the app's own tasks and answers their names. Rejects with `invalid-task` and `duplicate-task`. */
    load(): Promise<readonly string[]>
  }
  readonly schedules: Schedules
  readonly singletons: Singletons
  readonly sources: Sources
  /** Makes a worker; it does nothing until it is started. Throws `invalid-option` and `unknown-queue`. */
  worker(options?: WorkerOptions): Worker
  /** Makes a keeper: it looks after the store as a worker does, and runs no job. */
  keeper(): Keeper
  /** Subscribes to events; the answer unsubscribes. */
  on<Name extends EventName>(name: Name, listener: (event: Events[Name]) => void): () => void
  /** Makes another app of the same configuration on another store. */
  withStore(store: Store): Errand
  /** Stops the app's workers and keepers, waits for calls in flight, disposes the context and closes the store. */
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
  const {
    singletons: defined = [],
    workflows: flows = [],
    sources: given = [],
    ...others
  } = config ?? {}
  const { schedules, timezone, scheduler, shouldRestart, ...rest } = others
  const app = new App(rest, root)
  const client = new Client(app)
  client.runInlineWith(createInlineRunner(app, client))
  const book = new ScheduleBook(
    { schedules, timezone, scheduler },
    {
      prepare: (...call) => client.prepareAll(...call),
      planRun: (request) => planRun(client, request),
    },
  )
  const singletons = singletonsOf(
    {
      store: app.store,
      events: app.events,
      context: app.context,
      timezone: book.timezone,
    },
    defined as readonly AnySingleton[],
  )
  const jobs = createJobs(client)
  const queues = createQueues(client, jobs)
  const { start, batch, workflows } = createWorkflows(client, jobs, flows)
  const running = new Set<Worker | Keeper>()
  const sources = createSources(client, given, () => running.size > 0)
  let closing: Promise<void> | null = null

  const close = async (): Promise<void> => {
    try {
      await Promise.all([sources.stop(), ...[...running].map((one) => one.stop())])
    } finally {
      await client.close()
      await singletons.close()
      await app.store.close()
    }
  }

  const errand: Errand &
    HasOwnLog &
    HasHub &
    HasOwnWorkers &
    HasClient &
    HasHandIn &
    HasShouldRestart = {
    store: app.store,
    [ownLog]: config.log !== undefined,
    [ownShouldRestart]:
      shouldRestart === undefined
        ? null
        : readFunction(shouldRestart, 'createErrand().shouldRestart'),
    [hub]: app.events,
    [ownWorkers]: () => [...running].flatMap((one) => ('status' in one ? [one.status] : [])),
    [ownClient]: client,
    [handIn]: createHandIn(app, client),
    enqueue: (task: AnyTask | string, input?: unknown, options?: EnqueueOptions) =>
      client.enqueue(task, input, options) as Promise<EnqueuedJob<never>>,
    enqueueMany: <Entries extends readonly Entry[]>(
      entries: Entries,
      options?: { readonly tx?: unknown },
    ) => client.enqueueMany(entries, options) as Promise<EnqueuedJobs<Entries>>,
    start,
    batch: (entries: BatchEntries, options?: BatchOptions) => batch(entries, options),
    workflows,
    jobs,
    queues,
    control: createControl(client, queues),
    workers: { list: () => listWorkers(client) },
    stats: (options) => readStats(client, options),
    tasks: {
      list: () => client.call((store) => store.tasks()),
      describe: async () => (await app.tasks()).tasks.map((task) => describeTask(app, task)),
      load: async () => (await app.tasks()).names,
    },
    schedules: createSchedules(book, (make) => client.call(make)),
    singletons,
    sources,
    worker(options = {}) {
      if (closing !== null) throw new ErrandError('closed', 'The app is closed.')
      const over = (): void => void running.delete(worker)
      const worker: Worker = new ErrandWorker(app, client, book, options, over, isolateTasks)
      running.add(worker)
      return worker
    },
    keeper() {
      if (closing !== null) throw new ErrandError('closed', 'The app is closed.')
      const keeper: Keeper = new ErrandKeeper(app, book, () => running.delete(keeper))
      running.add(keeper)
      return keeper
    },
    on(name, listener) {
      readText(name, 'What on() listens to')
      refuseUnknownKeys({ [name]: listener }, eventNames, 'on()')
      if (name === 'part-failed') app.events.isHeard = true
      return app.events.on(name, readFunction(listener, `The listener of ${name}`))
    },
    withStore: (store) => createErrandIn({ ...config, store }, root),
    close: () => (closing ??= close()),
    [Symbol.asyncDispose]: () => (closing ??= close()),
  }
  return errand
}
