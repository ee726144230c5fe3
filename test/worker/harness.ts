/** Apps and workers for tests of the worker, on memory with a clock that is moved by hand or on a SQLite file. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { App, type ErrandConfig } from '../../src/app/app.ts'
import { Client } from '../../src/client/client.ts'
import { ScheduleBook } from '../../src/flows/schedules/book.ts'
import { planRun } from '../../src/flows/workflows/plan-run.ts'
import { createJobs } from '../../src/client/jobs.ts'
import type { JobRecord } from '../../src/client/job-record.ts'
import type { Jobs } from '../../src/client/jobs.ts'
import type { AnyTask } from '../../src/core/task.ts'
import type { Events } from '../../src/observe/events.ts'
import type { Store } from '../../src/store/store.ts'
import { memory, MemoryDatabase } from '../../src/stores/memory/index.ts'
import { sqlite } from '../../src/stores/sqlite/index.ts'
import { VirtualClock } from '../../src/testing/virtual-clock.ts'
import type { WorkerOptions } from '../../src/worker/worker-options.ts'
import { ErrandWorker } from '../../src/worker/worker.ts'

/** Any task, whatever its input, output and context. */
export type Config = Partial<Omit<ErrandConfig<unknown>, 'tasks'>> & {
  readonly tasks?: readonly (AnyTask | string)[]
}

/** What was told, by name, in order. */
export interface Told {
  readonly ended: Events['run-ended'][]
  readonly started: Events['run-started'][]
  readonly rescued: Events['job-rescued'][]
  readonly unknown: Events['job-unknown'][]
  readonly stuck: Events['run-stuck'][]
  readonly failed: Events['part-failed'][]
  readonly recovered: Events['part-recovered'][]
  readonly warnings: Events['warning'][]
  readonly stopped: Events['worker-stopped'][]
}

export interface Bench {
  readonly app: App
  readonly client: Client
  readonly jobs: Jobs
  readonly store: Store
  readonly told: Told
  /** Makes a worker, started, and stopped at the end of the test. */
  readonly work: (options?: WorkerOptions) => Promise<ErrandWorker>
  /** Makes a worker that is not started. */
  readonly worker: (options?: WorkerOptions) => ErrandWorker
  /** Lets time pass. On SQLite only looks until nothing is under way. */
  readonly pass: (ms: number) => Promise<void>
  /** Lets time pass, or waits, until something holds. */
  readonly until: (what: string, holds: () => unknown, stepMs?: number) => Promise<void>
  /** Waits until a job's state is one of these. */
  readonly reach: (id: string, ...states: readonly JobRecord['state'][]) => Promise<JobRecord>
}

/** How long `until` goes on: virtual or real milliseconds, longer than anything that should happen. */
const patienceMs = { virtual: 40 * 3_600_000, real: 30_000 } as const

/** An app on the store of a test; all is stopped and closed when the test ends. */
export function appOn(t: TestContext, store: Store, config: Config = {}): Bench {
  const app = new App({ store, ...config }, process.cwd())
  const client = new Client(app)
  const jobs = createJobs(client)
  const told = listen(app)
  const workers = new Set<ErrandWorker>()
  const clock = store.clock instanceof VirtualClock ? store.clock : null

  const pass = async (ms: number): Promise<void> => {
    if (clock !== null) return clock.advance(ms)
    await new Promise((resolve) => setTimeout(resolve, Math.min(ms, 5)))
  }
  const until: Bench['until'] = async (what, holds, stepMs = 250) => {
    const real = performance.now()
    const virtual = store.clock.now()
    while (!(await holds())) {
      const isOver =
        clock === null
          ? performance.now() - real > patienceMs.real
          : store.clock.now() - virtual > patienceMs.virtual
      if (isOver) throw new Error(`${what}: did not come to be`)
      await pass(stepMs)
    }
  }
  t.after(async () => {
    const stops = Promise.all([...workers].map((one) => one.stop({ grace: 0, abortGrace: 0 })))
    const isDone = stops.then(() => true)
    while (!(await Promise.race([isDone, pass(5)])));
    await client.close()
    await store.close()
  })

  const book = new ScheduleBook(
    {},
    { prepare: (...call) => client.prepareAll(...call), planRun: (run) => planRun(client, run) },
  )
  const worker = (options: WorkerOptions = {}): ErrandWorker => {
    const made = new ErrandWorker(app, client, book, options)
    workers.add(made)
    return made
  }
  return {
    app,
    client,
    jobs,
    store,
    told,
    pass,
    until,
    worker,
    work: async (options) => {
      const made = worker(options)
      await made.start()
      return made
    },
    reach: async (id, ...states) => {
      let record: JobRecord | null = null
      await until(`job ${id} to be ${states.join(' or ')}`, async () => {
        record = await jobs.get(id)
        return record !== null && states.includes(record.state)
      })
      return record as unknown as JobRecord
    },
  }
}

/** An app on memory whose time moves by hand. */
export function inMemory(t: TestContext, config: Config = {}): Bench {
  return appOn(t, memory({ clock: new VirtualClock(), database: new MemoryDatabase() }), config)
}

/** The path of a new SQLite file, removed when the test ends. */
export function newFile(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'errand-worker-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  return join(folder, 'errand.db')
}

/** An app on a SQLite file of its own. */
export function onSqlite(t: TestContext, config: Config = {}): Bench {
  return appOn(t, sqlite(newFile(t)), config)
}

/** A promise to be settled by hand. */
export function gate<T = void>(): PromiseWithResolvers<T> {
  return Promise.withResolvers<T>()
}

function listen({ events }: App): Told {
  const told: Told = {
    ended: [],
    started: [],
    rescued: [],
    unknown: [],
    stuck: [],
    failed: [],
    recovered: [],
    warnings: [],
    stopped: [],
  }
  events.on('run-ended', (event) => told.ended.push(event))
  events.on('run-started', (event) => told.started.push(event))
  events.on('job-rescued', (event) => told.rescued.push(event))
  events.on('job-unknown', (event) => told.unknown.push(event))
  events.on('run-stuck', (event) => told.stuck.push(event))
  events.on('part-failed', (event) => told.failed.push(event))
  events.on('part-recovered', (event) => told.recovered.push(event))
  events.on('warning', (event) => told.warnings.push(event))
  events.on('worker-stopped', (event) => told.stopped.push(event))
  return told
}
