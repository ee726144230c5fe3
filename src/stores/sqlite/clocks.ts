/** The times of a new job, by the store's clock. */
import type { NewJob } from '../../store/job.ts'

export interface Clocks {
  readonly now: number
  readonly dueAt: number
  readonly startBy: number | null
  readonly deadlineAt: number | null
  /** The unique key is held at least until then; 0 for no time of its own. */
  readonly keyUntil: number
}

/**
 * `firstAt` is when the job was inserted that this one replaces; null for one that replaces none.
 */
export function clocksOf(job: NewJob, now: number, firstAt: number | null): Clocks {
  const { startWithinMs, deadlineMs, unique } = job
  const asked = job.runAt ?? now + job.delayMs
  const maxWaitMs = unique?.maxWaitMs ?? null
  const dueAt =
    firstAt === null || maxWaitMs === null
      ? asked
      : Math.min(asked, Math.max(now, firstAt + maxWaitMs))
  return {
    now,
    dueAt,
    startBy: startWithinMs === null ? null : dueAt + startWithinMs,
    deadlineAt: deadlineMs === null ? null : now + deadlineMs,
    keyUntil: unique === null || unique.forMs === null ? 0 : now + unique.forMs,
  }
}
