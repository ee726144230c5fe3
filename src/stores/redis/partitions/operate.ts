/** What people do to jobs, over several partitions: each job is looked for first. */
import type { Partition } from './partition.ts'
import { prune, retained } from '../retention.ts'
import type { Spread } from './place.ts'

/**
 * Does something to jobs where they lie; those that no partition knows are asked for where they
 * would lie.
 */
export async function eachWhereItLies<A>(
  spread: Spread,
  ids: readonly string[],
  call: (partition: Partition, ids: readonly string[]) => Promise<readonly A[]>,
): Promise<A[]> {
  const places = spread.isSingle ? new Map<string, Partition>() : await spread.locate(ids)
  return spread.share(ids, (id) => places.get(id) ?? spread.ofId(id), call)
}

/**
 * Removes finished jobs: first those beyond their retention, then the oldest of all partitions
 * beyond the newest `cap`.
 */
export async function pruneSpread(
  spread: Spread,
  request: { readonly limit: number; readonly cap: number },
): Promise<{ readonly removed: number; readonly more: boolean }> {
  const { limit, cap } = request
  let removed = 0
  if (spread.isSingle) {
    while (removed < limit) {
      const most = Math.min(limit - removed, mostAtOnce)
      const one = await prune(spread.at(0), { limit: most, cap })
      removed += one
      if (one < most) break
    }
    return { removed, more: removed === limit }
  }
  for (const partition of spread.all) {
    while (removed < limit) {
      const most = Math.min(limit - removed, mostAtOnce)
      const one = await prune(partition, { limit: most, cap: Number.MAX_SAFE_INTEGER })
      removed += one
      if (one < most) break
    }
  }
  while (removed < limit) {
    const one = await pruneOldest(spread, Math.min(limit - removed, mostAtOnce), cap)
    if (one === 0) break
    removed += one
  }
  return { removed, more: removed === limit }
}

const mostAtOnce = 1_000

async function pruneOldest(spread: Spread, limit: number, cap: number): Promise<number> {
  const parts = await Promise.all(
    spread.all.map(async (partition) => ({ partition, ...(await retained(partition, limit)) })),
  )
  const excess = parts.reduce((sum, { finished }) => sum + finished, 0) - cap
  if (excess <= 0) return 0
  const doomed = parts
    .flatMap(({ partition, oldest }) => oldest.map((finishedAt) => ({ partition, finishedAt })))
    .sort((a, b) => a.finishedAt - b.finishedAt)
    .slice(0, Math.min(excess, limit))
  const shares = Map.groupBy(doomed, ({ partition }) => partition)
  const removed = await Promise.all(
    parts.map(async ({ partition, finished }) => {
      const share = shares.get(partition)?.length ?? 0
      return share === 0 ? 0 : prune(partition, { limit: share, cap: finished - share })
    }),
  )
  return removed.reduce((sum, one) => sum + one, 0)
}
