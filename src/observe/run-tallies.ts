/** Counts how the runs of each queue and task ended, for metrics and for charts. */
import { BoundedNames } from './bounded-names.ts'
import type { Events } from './events.ts'
import { LogHistogram } from './log-histogram.ts'

type RunEnded = Events['run-ended']

/** How an attempt may end. */
export const runOutcomes: readonly RunEnded['outcome'][] = [
  'completed',
  'failed',
  'retry',
  'postponed',
  'discarded',
  'cancelled',
  'interrupted',
  'stale',
]

const outcomeAt = Object.fromEntries(runOutcomes.map((outcome, n) => [outcome, n]))

/** The runs of one queue and task. */
export class RunTally {
  /** By the places of `runOutcomes`. */
  readonly ended: number[] = runOutcomes.map(() => 0)
  /** From due to its first start. */
  readonly wait: LogHistogram = new LogHistogram()
  readonly duration: LogHistogram = new LogHistogram()
  /** From the enqueue to the end. */
  readonly total: LogHistogram = new LogHistogram()
  /** Leases that ran out while it ran. */
  losses = 0

  /** Attempts that ended, however they did. */
  get runs(): number {
    return this.ended.reduce((sum, one) => sum + one, 0)
  }

  add({ outcome, durationMs, waitMs, totalMs }: RunEnded): void {
    const n = outcomeAt[outcome] ?? 0
    this.ended[n] = (this.ended[n] ?? 0) + 1
    this.duration.add(durationMs)
    if (waitMs !== null) this.wait.add(waitMs)
    if (totalMs !== null) this.total.add(totalMs)
  }

  merge(other: RunTally): void {
    for (const [n, count] of other.ended.entries()) this.ended[n] = (this.ended[n] ?? 0) + count
    for (const name of ['wait', 'duration', 'total'] as const)
      this[name].merge(other[name].buckets, other[name].sumMs)
    this.losses += other.losses
  }
}

/** Tallies by queue and task; at most so many pairs. */
export function runTallies(most?: number): BoundedNames<RunTally> {
  return new BoundedNames(() => new RunTally(), most)
}
