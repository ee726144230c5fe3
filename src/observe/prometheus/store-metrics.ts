/** What the store knows of its queues and workers, for Prometheus. Read at each scrape. */
import { jobStates } from '../../core/job.ts'
import type { Store } from '../../store/store.ts'
import { boundedQueues } from '../bounded-queues.ts'
import type { QueueStats } from '../../store/readers.ts'
import type { Family, LabelValues } from './exposition.ts'
import { family } from './names.ts'

type Sample = readonly [LabelValues, number]

/** Lists the workers of a store. */
export interface ListsWorkers {
  list(): Promise<readonly { readonly state: string; readonly slots: number }[]>
}

/** Reads the metrics of a store. Rejects when it does not answer. */
export async function storeFamilies(
  store: Pick<Store, 'stats' | 'clock'>,
  workers: ListsWorkers,
): Promise<readonly Family[]> {
  const [stats, found] = await Promise.all([store.stats(), workers.list()])
  const queues = boundedQueues(stats, jobsOf)
  const now = store.clock.now()
  const jobs = queues.flatMap(({ queue, counts }) =>
    jobStates.map((state): Sample => [{ queue, state }, counts[state] ?? 0]),
  )
  const oldest = queues.map(({ queue, oldestReadyAt }): Sample => [
    { queue },
    oldestReadyAt === null ? 0 : Math.max(0, now - oldestReadyAt) / 1_000,
  ])
  const serving = found.filter(({ slots }) => slots > 0)
  const states = ['running', 'lost', 'stopped'].map((state): Sample => [
    { state },
    serving.filter((worker) => worker.state === state).length,
  ])
  return [
    family('errand_jobs', jobs),
    family('errand_queue_oldest_ready_seconds', oldest),
    family('errand_workers', states),
  ]
}

function jobsOf({ counts }: QueueStats): number {
  return jobStates.reduce((sum, state) => sum + (counts[state] ?? 0), 0)
}
