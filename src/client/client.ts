/** The producing side of an app: from calls of `enqueue` to jobs in the store. */
import { v7 as uuidv7 } from 'uuid'
import { plainOf } from '../core/digits.ts'
import type { EnqueueOptions } from '../core/enqueue-options.ts'
import { ErrandError, isErrandError } from '../core/errors.ts'
import { noCounters } from '../core/job.ts'
import { withHeaders } from '../core/labels.ts'
import { refuseUnknownKeys } from '../core/option-keys.ts'
import { readList } from '../core/read.ts'
import { isRunnable, type AnyTask } from '../core/task.ts'
import type { ClaimedJob, NewJob } from '../store/job.ts'
import type { InsertAnswer, Inserted } from '../store/intake.ts'
import type { Store } from '../store/store.ts'
import type { App } from '../app/app.ts'
import { answered, userCallMs } from '../loops/call-deadline.ts'
import { Coalescer } from './coalescer.ts'
import type { InlineRunner } from './inline-runner.ts'
import { isStored, withId } from './insert-batch.ts'
import { insertLast } from './insert-together.ts'
import { hasBefore, withBefore } from '../app/before.ts'
import { bareFacts, makeJob, type JobOrigin, type TaskFacts } from '../app/new-job.ts'
import type { EnqueuedJob, Entry } from './enqueued-job.ts'
import { batchesOf, mostInBatch, partlyStored } from './many.ts'
import { Results, storedHere } from './results.ts'
import { TaskCatalog, type KnownTask } from './task-catalog.ts'
import { setImmediate } from '../core/timers.ts'

/** How long calls in flight are waited for at close. */
const drainMs = 10_000

/** Enqueues jobs and waits for their results. Opens nothing until it is used. */
export class Client {
  readonly app: App
  readonly results: Results
  readonly catalog: TaskCatalog
  readonly #coalescer: Coalescer
  readonly #inlineWorker = `inline-${uuidv7()}`
  #inline: InlineRunner | null = null
  /** Calls that were accepted and have not ended. */
  #calls = 0
  #onQuiet: (() => void) | null = null
  #isClosed = false

  constructor(app: App) {
    this.app = app
    this.results = new Results(app)
    this.catalog = new TaskCatalog(app)
    this.#coalescer = new Coalescer(app.store.clock, (jobs) => insert(app.store, jobs))
  }

  /**
   * Makes one public call: refuses it once the app is closed, and keeps the store open until it has ended, for as long as `close` waits.
   * Rejects with `closed`.
   */
  async call<T>(make: (store: Store) => Promise<T>): Promise<T> {
    if (this.#isClosed) throw new ErrandError('closed', 'The app is closed.')
    this.#calls++
    try {
      return await make(this.app.store)
    } finally {
      if (--this.#calls === 0) this.#onQuiet?.()
    }
  }

  /** Hands in how jobs with `inline: true` are run. */
  runInlineWith(runner: InlineRunner): void {
    this.#inline = runner
  }

  enqueue(
    task: AnyTask | string,
    input: unknown,
    options?: EnqueueOptions,
    origin?: JobOrigin,
  ): Promise<EnqueuedJob<unknown>> {
    return this.call((store) => this.#enqueueOne(store, task, input, options, origin))
  }

  async #enqueueOne(
    store: Store,
    task: AnyTask | string,
    input: unknown,
    options?: EnqueueOptions,
    origin?: JobOrigin,
  ): Promise<EnqueuedJob<unknown>> {
    const found = this.catalog.find(task)
    const known = found instanceof Promise ? await found : found
    const { tracing } = this.app.events
    if (tracing === null) return this.#enqueueKnown(store, known, input, options, origin)
    const { name, queue } = known.facts
    const { headers: own, queue: asked } = options ?? {}
    const what = { task: name, queue: asked ?? queue ?? 'default', count: 1, headers: own }
    return tracing.produce(what, (headers) => {
      const all = headers === undefined ? options : { ...options, headers }
      return this.#enqueueKnown(store, known, input, all, origin)
    })
  }

  async #enqueueKnown(
    store: Store,
    known: KnownTask,
    input: unknown,
    options: EnqueueOptions | undefined,
    origin: JobOrigin | undefined,
  ): Promise<EnqueuedJob<unknown>> {
    if (options?.inline === true) return this.#enqueueInline(known, input, options)
    const jobs = await this.prepareKnown(known, input, options, origin)
    return this.#enqueued(await this.#storeOne(store, jobs, options?.tx))
  }

  /** Stores a job, the last, with those that run before it, in one step. */
  #storeOne(store: Store, jobs: readonly NewJob[], tx: unknown): Promise<Inserted> {
    const job = jobs.at(-1)
    if (job === undefined) throw nothingAnswered()
    if (jobs.length > 1) return insertLast(store, job, jobs, tx)
    return tx === undefined ? this.#coalescer.add(job) : insertOne(store, job, tx)
  }

  /** Makes every job before it inserts the first; answers in the order of the entries. */
  enqueueMany(
    entries: readonly Entry[],
    options: { readonly tx?: unknown } = {},
    origin?: JobOrigin,
  ): Promise<readonly EnqueuedJob<unknown>[]> {
    const { tracing } = this.app.events
    if (tracing === null)
      return this.call((store) => this.#enqueueAll(store, entries, options, origin))
    const count = Array.isArray(entries) ? entries.length : null
    return this.call((store) =>
      tracing.produce({ task: null, queue: null, count, headers: undefined }, (headers) => {
        const of = headers === undefined ? {} : { of: { group: null, headers } }
        return this.#enqueueAll(store, entries, options, { ...origin, ...of })
      }),
    )
  }

  async #enqueueAll(
    store: Store,
    entries: readonly Entry[],
    options: { readonly tx?: unknown },
    origin: JobOrigin | undefined,
  ): Promise<readonly EnqueuedJob<unknown>[]> {
    refuseUnknownKeys(options, ['tx'], 'enqueueMany()')
    readList(entries, 'What enqueueMany() takes', 'entries, each [task, input, options]')
    const jobs: NewJob[] = []
    const apart: { readonly index: number; readonly jobs: readonly NewJob[] }[] = []
    for (const [index, entry] of entries.entries()) {
      const made = await this.#prepareEntry(entry, index, origin)
      const [job] = made
      if (made.length === 1 && job !== undefined) jobs.push(job)
      else apart.push({ index, jobs: made })
      // Others get a turn while a long list is made.
      if (index % mostInBatch === mostInBatch - 1) await new Promise(setImmediate)
    }
    const enqueued: EnqueuedJob<unknown>[] = []
    for (const batch of batchesOf(jobs)) {
      try {
        const inserted = await this.#stored(batch, await insert(store, batch, options.tx))
        for (const one of inserted) enqueued.push(this.#enqueued(one))
      } catch (error) {
        throw enqueued.length === 0 ? error : partlyStored(error, enqueued.length, jobs.length)
      }
    }
    // Each with those that run before it.
    for (const { index, jobs: some } of apart) {
      const stored = await this.#storeOne(store, some, options.tx).catch((error: unknown) => {
        throw enqueued.length === 0 ? error : partlyStored(error, enqueued.length, entries.length)
      })
      enqueued.splice(index, 0, this.#enqueued(stored))
    }
    return enqueued
  }

  /**
   * Makes the job of a call: finds the task, checks the input, resolves the options. Stores nothing.
   * Rejects as `enqueue` does.
   */
  async prepare(
    task: AnyTask | string,
    input: unknown,
    options?: EnqueueOptions,
    origin?: JobOrigin,
  ): Promise<NewJob> {
    const found = this.catalog.find(task)
    const known = found instanceof Promise ? await found : found
    return this.#make(known, input, options, origin)
  }

  /** Inserts jobs that `prepareAll` has made; resolves with what became of the last. Rejects as `enqueue` does. */
  insert(jobs: readonly NewJob[]): Promise<Inserted> {
    return this.#storeOne(this.app.store, jobs, undefined)
  }

  /** Makes the job of a call as `prepare` does, with those that run before it; it comes last. They are to be stored in one step. */
  async prepareAll(
    task: AnyTask | string,
    input: unknown,
    options?: EnqueueOptions,
    origin?: JobOrigin,
  ): Promise<readonly NewJob[]> {
    return this.prepareKnown(await this.catalog.find(task), input, options, origin)
  }

  /** Makes jobs as `prepareAll` does, of a task that was looked up in the catalog. */
  async prepareKnown(
    known: KnownTask,
    input: unknown,
    options?: EnqueueOptions,
    origin?: JobOrigin,
  ): Promise<readonly NewJob[]> {
    const job = await this.#make(known, input, options, origin)
    return hasBefore(known.facts, options) ? this.#withBefore(known, job, options) : [job]
  }

  #withBefore(
    { facts }: KnownTask,
    job: NewJob,
    options: EnqueueOptions | undefined,
  ): Promise<readonly NewJob[]> {
    return withBefore(this.app, job, { facts, options }, (one) => this.taskFacts(one))
  }

  /** What is known of a task, for jobs that must be made even when it is nothing but its name, such as follow-ups. */
  taskFacts(task: AnyTask | string): TaskFacts | Promise<TaskFacts> {
    if (typeof task !== 'string') return this.catalog.ofTask(task).facts
    const own = this.app.loaded?.find(task)
    if (own !== undefined) return this.catalog.ofTask(own).facts
    return this.#factsByName(task)
  }

  /** Refuses new calls, waits a bounded time for those in flight, and ends all waits for results. */
  async close(): Promise<void> {
    this.#isClosed = true
    const { clock } = this.app.store
    const { promise: late, resolve } = Promise.withResolvers<void>()
    const stop = clock.after(drainMs, resolve)
    const quiet = new Promise<void>((over) => {
      this.#onQuiet = over
    })
    if (this.#calls > 0) await Promise.race([quiet, late])
    await Promise.race([this.#inline?.stop(), late])
    stop()
    this.results.close()
  }

  async #factsByName(name: string): Promise<TaskFacts> {
    try {
      return (await this.catalog.find(name)).facts
    } catch (error) {
      if (isErrandError(error, 'unknown-task')) return bareFacts(name)
      throw error
    }
  }

  /** A task's name and aliases, by any of them; a name that nobody knows stands alone. */
  async namesOf(name: string): Promise<readonly string[]> {
    return this.catalog.namesOf(name)
  }

  async #make(
    known: KnownTask,
    input: unknown,
    options?: EnqueueOptions,
    origin?: JobOrigin,
  ): Promise<NewJob> {
    const checking = origin?.unchecked === true ? undefined : known.check(plainOf(input))
    if (checking instanceof Promise) await checking
    // A queue may be one that only a task names.
    if (options?.queue !== undefined && this.app.loaded === null) await this.app.tasks()
    return makeJob(this.app, known.facts, input, options, origin)
  }

  async #prepareEntry(entry: Entry, index: number, origin?: JobOrigin): Promise<readonly NewJob[]> {
    try {
      const [task, input, options] = readList<unknown>(
        entry,
        'an entry',
        'a task, its input and its options',
      ) as Entry
      for (const name of ['tx', 'inline']) {
        if (options === undefined || !(name in options)) continue
        throw new ErrandError('invalid-option', `an entry takes no ${name}.`, {
          details: { option: name },
        })
      }
      const headers = withHeaders(origin?.of?.headers, options?.headers)
      const all = headers === undefined ? options : { ...options, headers }
      return await this.prepareAll(task, input, all, origin)
    } catch (error) {
      if (!isErrandError(error)) throw error
      throw new ErrandError(error.code, `enqueueMany(), entry ${index}: ${error.message}`, {
        cause: error,
        details: { ...error.details, index },
      })
    }
  }

  /** The stored options keep the job from being run again, wherever it ends up. */
  async #enqueueInline(
    known: KnownTask,
    input: unknown,
    options: EnqueueOptions,
  ): Promise<EnqueuedJob<unknown>> {
    for (const name of ['tx', 'delay', 'runAt'] as const) {
      if (options[name] === undefined) continue
      throw new ErrandError(
        'invalid-option',
        `enqueue() takes either inline or ${name}, not both.`,
        { details: { option: name } },
      )
    }
    if (options.before !== undefined || known.facts.before?.length) {
      throw new ErrandError(
        'invalid-option',
        `${known.facts.name} cannot run inline: other tasks come before it.`,
      )
    }
    const { task } = known
    if (this.#inline === null || task === null || !isRunnable(task.definition)) {
      throw new ErrandError(
        'invalid-task',
        `${known.facts.name} cannot run inline: its handler is not known in this process.`,
      )
    }
    const once: EnqueueOptions = { ...options, retry: 'never', postpone: { limit: 0 } }
    const job = await this.#make(known, input, once, { worker: this.#inlineWorker })
    const inserted = await this.#coalescer.add(job)
    if (inserted.token !== null) {
      const claimed = leased(job, inserted.token, this.app.store.clock.now())
      await this.#inline.run(claimed, this.#inlineWorker, task)
    }
    return this.#enqueued(inserted)
  }

  /** Waits for those of a batch that are held; rejects when one stays so, once all have ended. */
  async #stored(
    batch: readonly NewJob[],
    answers: readonly InsertAnswer[],
  ): Promise<readonly Inserted[]> {
    if (answers.every(isStored)) return answers
    const stored = answers.map(async (answer, index) => {
      const job = batch[index]
      if (isStored(answer)) return answer
      return job === undefined ? Promise.reject(nothingAnswered()) : this.#coalescer.addHeld(job)
    })
    await Promise.allSettled(stored)
    return Promise.all(stored)
  }

  #enqueued({ id, status }: Inserted): EnqueuedJob<unknown> {
    return { id, inserted: status, result: (options) => this.results.wait(id, options, storedHere) }
  }
}

function insert(
  store: Store,
  jobs: readonly NewJob[],
  tx?: unknown,
): Promise<readonly InsertAnswer[]> {
  return answered(store.clock, store.insert(jobs, { tx }), {
    withinMs: userCallMs,
    code: 'unknown-outcome',
  })
}

async function insertOne(store: Store, job: NewJob, tx: unknown): Promise<Inserted> {
  try {
    const [inserted] = await insert(store, [job], tx)
    if (inserted === undefined || !isStored(inserted)) throw nothingAnswered()
    return inserted
  } catch (error) {
    throw isErrandError(error, 'unknown-outcome') ? withId(error, job) : error
  }
}

function nothingAnswered(): ErrandError {
  return new ErrandError('store-corrupt', 'The store did not tell what became of a job.')
}

/** A job under the lease that it was inserted with. */
export function leased(job: NewJob, token: number, now: number): ClaimedJob {
  const { id, task, queue, priority, input, codec, options, parent, group, tags, headers } = job
  const { unique, startWithinMs, deadlineMs } = job
  const facts = { id, task, queue, priority, input, codec, options, parent, group, tags, headers }
  return {
    ...facts,
    uniqueKey: unique?.key ?? null,
    createdAt: now,
    dueAt: now,
    startBy: startWithinMs === null ? null : now + startWithinMs,
    deadlineAt: deadlineMs === null ? null : now + deadlineMs,
    counters: noCounters,
    token,
    startedAt: now,
    cancelAsked: false,
    why: 'ready',
    lostBy: null,
    needed: [],
  }
}
