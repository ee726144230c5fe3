/**
 * Stored jobs that cannot be read: something wrote a time that no `Date` holds, or counters that are no numbers. Such a job must stop
 * no other, so it is handed out and shown with values that can be read in place of those that cannot, and whoever gets it fails it.
 */
import type { Counters } from '../core/job.ts'
import type { ClaimedJob, StoredJob } from '../store/job.ts'
import { areCounters, isPriority } from './bounds.ts'

/** The last millisecond that a `Date` holds. What is due later is never due: sweepers find it. */
export const lastTime = 8_640_000_000_000_000

type Job = ClaimedJob | StoredJob

/** A job that is handed out; as `unreadable` if not all of it can be read. */
export function handedOut(job: ClaimedJob): ClaimedJob {
  const isReadable = isSound(job) && isTimeOrNull(job.startedAt)
  if (isReadable) return job
  return { ...mended(job), startedAt: timeOrNull(job.startedAt), why: 'unreadable' }
}

/** A job as readers show it. */
export function shown(job: StoredJob): StoredJob {
  const { leaseUntil, startedAt, finishedAt, expiresAt } = job
  const isReadable =
    isSound(job) &&
    isTimeOrNull(leaseUntil) &&
    isTimeOrNull(startedAt) &&
    isTimeOrNull(finishedAt) &&
    isTimeOrNull(expiresAt)
  if (isReadable) return job
  return {
    ...mended(job),
    leaseUntil: timeOrNull(leaseUntil),
    startedAt: timeOrNull(startedAt),
    finishedAt: timeOrNull(finishedAt),
    expiresAt: timeOrNull(expiresAt),
  }
}

/** Reads a list of texts that is stored as JSON. What is no such list is kept as the only one. */
export function readTexts(json: string): readonly string[] {
  try {
    const texts: unknown = JSON.parse(json)
    if (Array.isArray(texts) && texts.every((text) => typeof text === 'string')) return texts
  } catch {
    // As for JSON of another kind.
  }
  return [json]
}

/** The time nearest to a value that should be one. */
export function nearestTime(value: unknown): number {
  const time = Number(value)
  if (Number.isNaN(time)) return 0
  return Math.trunc(Math.min(Math.max(time, -lastTime), lastTime))
}

/** What both kinds of jobs have. Stores check no types, so any value may have any. */
function isSound(job: Job): boolean {
  return (
    isTime(job.createdAt) &&
    isTime(job.dueAt) &&
    isTimeOrNull(job.startBy) &&
    isTimeOrNull(job.deadlineAt) &&
    isPriority(job.priority) &&
    areCounters(job.counters) &&
    typeof job.task === 'string' &&
    typeof job.queue === 'string' &&
    typeof job.input === 'string'
  )
}

function mended<T extends Job>(job: T): T {
  const { priority, counters } = job
  return {
    ...job,
    task: asText(job.task),
    queue: asText(job.queue),
    input: asText(job.input),
    priority: isPriority(priority) ? priority : 0,
    createdAt: nearestTime(job.createdAt),
    dueAt: nearestTime(job.dueAt),
    startBy: timeOrNull(job.startBy),
    deadlineAt: timeOrNull(job.deadlineAt),
    counters: mendedCounters(counters),
  }
}

function mendedCounters(counters: Counters): Counters {
  const count = (value: number): number => (Number.isSafeInteger(value) && value >= 0 ? value : 0)
  return {
    attempts: count(counters.attempts),
    failures: count(counters.failures),
    postpones: count(counters.postpones),
    losses: count(counters.losses),
    interruptions: count(counters.interruptions),
    deferrals: count(counters.deferrals),
  }
}

function asText(value: unknown): string {
  return String(value)
}

function isTime(value: unknown): boolean {
  return Number.isInteger(value) && Math.abs(value as number) <= lastTime
}

function isTimeOrNull(value: unknown): boolean {
  return value === null || isTime(value)
}

function timeOrNull(value: unknown): number | null {
  return value === null ? null : nearestTime(value)
}
