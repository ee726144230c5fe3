/** How views read the store. */
import { setImmediate } from '../../core/timers.ts'
import { answered } from '../../loops/call-deadline.ts'
import type { StoredJob } from '../../store/job.ts'
import type { Store } from '../../store/store.ts'
import type { Look } from './view.ts'

/** How many jobs one look at queues reads: the newest, those that run, and open ones that were in view. */
const bounds = { newest: 200, running: 200, followed: 500 } as const
const batch = 1_000

/** What a look at queues is narrowed to. */
export interface Narrowed {
  readonly queue: string | null
  /** A task by its names; null for all. */
  readonly tasks: readonly string[] | null
}

/**
 * A look at the newest jobs and those that run. What was open in the last look is looked at again, so
 * that a job stays in view until it has ended. A job that came before the newest ones, and starts and
 * ends between two looks, is not seen.
 */
export function lookAtQueues(store: Store, { queue, tasks }: Narrowed): Look {
  const narrowed = {
    ...(queue === null ? {} : { queue }),
    ...(tasks === null ? {} : { tasks }),
  }
  return async (before) => {
    const [newest, running] = await answered(
      store.clock,
      Promise.all([
        store.list({ ...narrowed, limit: bounds.newest }),
        store.list({ ...narrowed, limit: bounds.running, states: ['running'] }),
      ]),
    )
    const found = new Map<string, StoredJob>()
    // The second is the later one, where both have a job.
    for (const { jobs } of [newest, running]) for (const job of jobs) found.set(job.id, job)
    const left = [...before.values()].filter(({ id, isOpen }) => isOpen && !found.has(id))
    const ids = left.slice(-bounds.followed).map(({ id }) => id)
    const followed = ids.length === 0 ? [] : await answered(store.clock, store.get(ids))
    for (const job of followed) if (job !== null) found.set(job.id, job)
    return {
      jobs: [...found.values()],
      gone: ids.filter((_, index) => followed[index] === null),
    }
  }
}

/** A look at one job, whose reads travel with those of other jobs of the same moment. */
export function lookAtJob(get: (id: string) => Promise<StoredJob | null>, id: string): Look {
  return async (before) => {
    const job = await get(id)
    if (job !== null) return { jobs: [job], gone: [] }
    return { jobs: [], gone: before.has(id) ? [id] : [] }
  }
}

/** Reads single jobs: those that are asked for in one turn of the event loop in one call. */
export function batchedGet(store: Store): (id: string) => Promise<StoredJob | null> {
  let waiting: { readonly ids: Set<string>; readonly found: Promise<Found> } | null = null
  return async (id) => {
    if (waiting === null || waiting.ids.size >= batch) {
      const ids = new Set<string>()
      waiting = { ids, found: nextTurn().then(() => readAll(ids)) }
    }
    waiting.ids.add(id)
    return (await waiting.found).get(id) ?? null
  }

  async function readAll(ids: ReadonlySet<string>): Promise<Found> {
    if (waiting?.ids === ids) waiting = null
    const asked = [...ids]
    const jobs = await answered(store.clock, store.get(asked))
    return new Map(asked.map((id, index) => [id, jobs[index] ?? null]))
  }
}

type Found = ReadonlyMap<string, StoredJob | null>

/** Resolves once what is under way in this turn of the event loop is done. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve)
  })
}
