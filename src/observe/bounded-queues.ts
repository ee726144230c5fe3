/** How queues stand, for metrics and charts: the largest by name, and the others as one. */
import { jobStates } from '../core/job.ts'
import type { QueueStats } from '../store/readers.ts'
import { mostNames, otherName } from './bounded-names.ts'

/** The queues of the greatest size by name, and one entry for all others, with the oldest job of any. */
export function boundedQueues(
  stats: readonly QueueStats[],
  sizeOf: (queue: QueueStats) => number,
): readonly QueueStats[] {
  if (stats.length <= mostNames) return stats
  const bySize = stats
    .map((queue) => ({ queue, size: sizeOf(queue) }))
    .toSorted((a, b) => b.size - a.size)
    .map(({ queue }) => queue)
  const shown = bySize.slice(0, mostNames).filter(({ queue }) => queue !== otherName)
  const isShown = new Set(shown)
  return [...shown, { queue: otherName, ...sumOf(bySize.filter((queue) => !isShown.has(queue))) }]
}

/** The jobs of several queues, and the oldest that is ready in any of them. */
export function sumOf(
  queues: readonly Omit<QueueStats, 'queue'>[],
): Pick<QueueStats, 'counts' | 'oldestReadyAt'> {
  const counts: Record<string, number> = {}
  let oldestReadyAt: number | null = null
  for (const { counts: own, oldestReadyAt: at } of queues) {
    for (const state of jobStates) {
      const count = own[state] ?? 0
      if (count > 0) counts[state] = (counts[state] ?? 0) + count
    }
    if (at !== null) oldestReadyAt = Math.min(at, oldestReadyAt ?? at)
  }
  return { counts, oldestReadyAt }
}
