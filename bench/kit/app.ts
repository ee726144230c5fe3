/** An app as a user would make it, on a watched store, and what workloads do with it. */
import { join } from 'node:path'
import { createErrand, type AnyTask, type Configuration, type Errand, type Store } from 'errand'
import { sqlite } from 'errand/sqlite'
import type { Setting } from '../workload.ts'
import { mail, mailTask, type MailTask } from './job.ts'
import { WatchedStore } from './watched-store.ts'

export interface BenchApp {
  readonly errand: Errand
  readonly task: MailTask
  readonly watched: WatchedStore
}

export interface AppOptions extends Pick<
  Configuration<unknown>,
  'slots' | 'queues' | 'schedules' | 'history' | 'telemetry'
> {
  /** Beside the one of all workloads. */
  readonly tasks?: readonly AnyTask[]
}

/** Makes an app; `ran` hears of each job that starts. */
export type OpenApp = (ran: (id: number) => void, options?: AppOptions) => BenchApp

/** Where a setting's jobs lie, and how. */
export type Place = Pick<Setting, 'folder' | 'durability'>

/** The file of the store. */
export function fileOf({ folder }: Place): string {
  return join(folder, 'errand.db')
}

/** Makes an app on a file; `ran` hears of each job that starts. */
export function openApp(
  place: Place,
  ran: (id: number) => void = () => undefined,
  options: AppOptions = {},
): BenchApp {
  return appOn(sqlite(fileOf(place), { durability: place.durability }), ran, options)
}

/** Makes an app on any store. */
export function appOn(store: Store, ran: (id: number) => void, options: AppOptions = {}): BenchApp {
  const watched = new WatchedStore(store)
  const task = mailTask(ran)
  return {
    errand: createErrand({
      ...options,
      store: watched.store,
      tasks: [task, ...(options.tasks ?? [])],
    }),
    task,
    watched,
  }
}

const batch = 1_000

/** Enqueues the jobs from one id up to another, 1,000 a call. */
export async function enqueueMails(
  { errand, task }: BenchApp,
  from: number,
  to: number,
): Promise<void> {
  for (let start = from; start < to; start += batch) {
    const ids = Array.from({ length: Math.min(batch, to - start) }, (_, i) => start + i)
    await errand.enqueueMany(ids.map((id) => [task, mail(id)] as const))
  }
}

const sample = 200

/**
 * Reads back through the public API what became of jobs: all of them are completed, and a sample has its results.
 * Throws when it is not so.
 */
export async function checkResults(app: Pick<BenchApp, 'errand'>, jobs: number): Promise<void> {
  await checkCompleted(app, jobs)
  const { errand } = app
  const page = await errand.jobs.list({ state: 'completed', limit: Math.min(sample, jobs) })
  for (const { id, input } of page.jobs) {
    const output = (await errand.jobs.result(id)) as { readonly ok: number }
    if (output.ok !== (input as { readonly id: number }).id)
      throw new Error(`job ${id} has the result of another`)
  }
}

/**
 * Throws unless so many jobs are completed, or `hidden` ones of workflows beside them, and there are
 * no others.
 */
export async function checkCompleted(
  { errand }: Pick<BenchApp, 'errand'>,
  jobs: number,
  hidden: 'no' | 'with-hidden' = 'no',
): Promise<void> {
  const counts = await errand.jobs.counts()
  const completed = counts.reduce(
    (sum, one) => sum + (one.state === 'completed' ? one.count : 0),
    0,
  )
  const isRight = hidden === 'no' ? completed === jobs : completed >= jobs
  if (!isRight || counts.some(({ state }) => state !== 'completed')) {
    throw new Error(
      `${jobs} jobs should be completed, but the store counts ${JSON.stringify(counts)}`,
    )
  }
}
