/**
 * What workers and operators share, over several partitions: heartbeats, pauses and statistics of
 * queues.
 */
import type { QueueCount, QueueStats } from '../../../store/readers.ts'
import type { QueueEntry } from '../../../store/registry.ts'
import type { Tended, WorkerCalls } from '../../../store/worker-calls.ts'
import { queuesOf, statsOf } from '../../queues.ts'
import { pausedOf, setPaused, tend } from '../coordination.ts'
import { relayBits } from '../hints.ts'
import { counts } from '../readers.ts'
import { oldestReady } from '../stats.ts'
import { least } from './claim.ts'
import type { Answered } from './partition.ts'
import type { Spread } from './place.ts'

/** Writes the heartbeat into the first partition and asks all of them what there is to do. */
export async function tendSpread(
  spread: Spread,
  worker: Parameters<WorkerCalls['tend']>[0],
): Promise<Answered<Tended>> {
  const parts = await Promise.all(
    spread.all.map((partition) => tend(partition, worker, partition.index === 0)),
  )
  const answers = parts.map(({ answer }) => answer)
  const hinted = parts.reduce((sum, part) => sum | part.hinted, 0)
  const todo = answers.some((answer) => answer.todo) ? relayBits : 0
  return {
    hinted: hinted | todo,
    answer: {
      now: Math.max(...answers.map(({ now }) => now)),
      paused: [...new Set(answers.flatMap(({ paused }) => paused))].sort(),
      nextDueMs: answers.map(({ nextDueMs }) => nextDueMs).reduce(least, null),
      ready: answers.some(({ ready }) => ready),
      sweepDue: answers.some(({ sweepDue }) => sweepDue),
      pruneDue: answers.some(({ pruneDue }) => pruneDue),
    },
  }
}

/** Pauses or resumes queues in all partitions. */
export async function pauseSpread(
  spread: Spread,
  queues: readonly string[],
  paused: boolean,
): Promise<void> {
  await Promise.all(spread.all.map((partition) => setPaused(partition, queues, paused)))
}

/**
 * The queues with jobs in any partition, and those that are paused: all partitions know of these.
 */
export async function queuesSpread(spread: Spread): Promise<QueueEntry[]> {
  return queuesOf(await countsSpread(spread), await pausedOf(spread.at(0)))
}

export async function countsSpread(spread: Spread): Promise<QueueCount[]> {
  const parts = await Promise.all(spread.all.map(counts))
  if (spread.isSingle) return parts.flat()
  const sums = new Map<string, QueueCount>()
  for (const one of parts.flat()) {
    const cell = `${one.state} ${one.queue}`
    sums.set(cell, { ...one, count: one.count + (sums.get(cell)?.count ?? 0) })
  }
  return [...sums.values()]
}

/** How each queue stands over all partitions. */
export async function statsSpread(spread: Spread): Promise<QueueStats[]> {
  const all = await countsSpread(spread)
  const queues = all.filter(({ state }) => state === 'ready').map(({ queue }) => queue)
  const parts = await Promise.all(spread.all.map((partition) => oldestReady(partition, queues)))
  const oldest = new Map(
    queues.map((queue, n) => [queue, parts.map((part) => part[n] ?? null).reduce(least, null)]),
  )
  return statsOf(all, (queue) => oldest.get(queue) ?? null)
}
