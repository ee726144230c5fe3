/** Which queues there are: a queue is a name, and a store keeps no more of it than its jobs and that it is paused. */
import type { QueueCount } from '../store.ts'

/** The queues that hold a job, in whatever state, or are paused; by name. */
export function queuesOf(
  counts: readonly QueueCount[],
  paused: readonly string[],
): { readonly name: string; readonly paused: boolean }[] {
  const isPaused = new Set(paused)
  const names = new Set([...counts.map(({ queue }) => queue), ...paused])
  return [...names].sort().map((name) => ({ name, paused: isPaused.has(name) }))
}
