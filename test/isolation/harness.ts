/** Apps with a worker for tests of isolation, on memory with real time. */
import assert from 'node:assert/strict'
import {
  createErrand,
  type AnyTask,
  type Errand,
  type Events,
  type JobRecord,
  type KeptError,
  type Worker,
} from 'errand'
import { memory } from 'errand/memory'

export interface Bench {
  readonly errand: Errand
  readonly worker: Worker
  readonly warnings: Events['warning'][]
  /** Runs a job of a task until its attempt has ended. */
  readonly run: (name: string, input?: unknown) => Promise<JobRecord>
}

/** Makes an app of these tasks and starts a worker. */
export async function open(
  tasks: readonly (AnyTask | string)[],
  more: Partial<Parameters<typeof createErrand>[0]> = {},
): Promise<Bench> {
  const errand = createErrand({ store: memory(), tasks, slots: 50, ...more })
  const warnings: Events['warning'][] = []
  errand.on('warning', (warning) => warnings.push(warning))
  const ended = new Map<string, PromiseWithResolvers<void>>()
  const end = (id: string): PromiseWithResolvers<void> => {
    const found = ended.get(id) ?? Promise.withResolvers<void>()
    ended.set(id, found)
    return found
  }
  errand.on('run-ended', ({ id }) => end(id).resolve())
  const worker = errand.worker()
  await worker.start()
  return {
    errand,
    worker,
    warnings,
    run: async (name, input) => {
      const job = await errand.enqueue(name, input)
      await end(job.id).promise
      const found = await errand.jobs.get(job.id)
      assert.ok(found)
      return found
    },
  }
}

/** Resolves with the progress of a running job, once there is one. */
export async function saying(errand: Errand, id: string): Promise<unknown> {
  let progress: unknown = null
  await until(async () => {
    progress = (await errand.jobs.get(id))?.progress ?? null
    return progress !== null
  })
  return progress
}

/** Looks until something holds. */
export async function until(holds: () => unknown): Promise<void> {
  while (!(await holds())) await new Promise((resolve) => setTimeout(resolve, 5))
}

/** The error of a job's last attempt. */
export function lastError(job: JobRecord): KeptError {
  const error = job.errors.at(-1)
  assert.ok(error, `${job.task} is ${job.state} without an error`)
  return error
}
