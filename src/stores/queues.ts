/** Which queues there are: a queue is a name, and a store keeps no more of it than its jobs and that it is paused. */
import type { JobState } from '../core/job.ts'
import type { QueueCount, QueueStats } from '../store/readers.ts'
import type { QueueEntry } from '../store/registry.ts'

/** The queues that hold a job, in whatever state, or are paused; by name. */
export function queuesOf(counts: readonly QueueCount[], paused: readonly string[]): QueueEntry[] {
  const isPaused = new Set(paused)
  const names = new Set([...counts.map(({ queue }) => queue), ...paused])
  return [...names].sort().map((name) => ({ name, paused: isPaused.has(name) }))
}

/** The counts of each queue together, by name, with when its oldest ready job was due; `oldest` is asked for queues that have one. */
export function statsOf(
  counts: readonly QueueCount[],
  oldest: (queue: string) => number | null,
): QueueStats[] {
  const byQueue = new Map<string, Partial<Record<JobState, number>>>()
  for (const { queue, state, count } of counts) {
    const found = byQueue.get(queue) ?? {}
    byQueue.set(queue, { ...found, [state]: count })
  }
  return [...byQueue.keys()].sort().map((queue) => {
    const found = byQueue.get(queue) ?? {}
    return { queue, counts: found, oldestReadyAt: found.ready ? oldest(queue) : null }
  })
}
