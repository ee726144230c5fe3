/**
 * What no store takes: times and numbers that it could not read back. Callers have checked them before; this is the last line of
 * defence, for whoever uses the contract alone. A call with one of them is refused as a whole, before anything is written.
 */
import { isMs, longestMs } from '../core/duration.ts'
import { ErrandError } from '../core/errors.ts'
import { mostHeadStartMs, type Counters } from '../core/job.ts'
import type { HoldRequest } from '../store/locks.ts'
import type { Advance } from '../store/intake.ts'
import type { NewJob } from '../store/job.ts'
import type { Note, RunRecord, Settlement } from '../store/worker-calls.ts'

/** How long the record of a worker is kept after it was last seen. */
export const workerRecordKeptMs: number = 24 * 60 * 60 * 1_000

/** Reads the cursor of a page, which is a number in all stores. Throws `invalid-option`. */
export function cursorOf(after: string): number {
  const cursor = /^\d{1,16}$/.test(after) ? Number(after) : Number.NaN
  if (Number.isSafeInteger(cursor)) return cursor
  throw new ErrandError('invalid-option', '`after` must be `next` of the page before.')
}

/** Refuses new jobs with times out of bounds. `now` is the time, as far as this process knows it. */
export function checkJobs(jobs: readonly NewJob[], now: number): void {
  for (const job of jobs) {
    const { id, delayMs, runAt, startWithinMs, deadlineMs, keepCancelledMs, unique, entry } = job
    if (!isMs(delayMs)) throw refused(id, 'delayMs', delayMs)
    if (runAt !== null && !isNear(runAt, now)) throw refused(id, 'runAt', runAt)
    if (!isMsOrNull(startWithinMs)) throw refused(id, 'startWithinMs', startWithinMs)
    if (!isMsOrNull(deadlineMs)) throw refused(id, 'deadlineMs', deadlineMs)
    if (!isMsOrNull(keepCancelledMs)) throw refused(id, 'keepCancelledMs', keepCancelledMs)
    if (unique !== null) {
      const { forMs, maxWaitMs } = unique
      if (!isMsOrNull(forMs)) throw refused(id, 'forMs', forMs)
      if (!isMsOrNull(maxWaitMs)) throw refused(id, 'maxWaitMs', maxWaitMs)
    }
    if (entry?.kind === 'running' && !isMs(entry.leaseMs))
      throw refused(id, 'leaseMs', entry.leaseMs)
    if (entry?.kind === 'failed' && !isMsOrNull(entry.keepMs))
      throw refused(id, 'keepMs', entry.keepMs)
    if (entry !== null && job.needs.length > 0)
      throw new ErrandError('invalid-option', `${id} has needs, so it cannot enter ${entry.kind}.`)
    if (job.group === null && job.needs.some(({ output }) => output !== undefined))
      throw new ErrandError(
        'invalid-option',
        `${id} wants outputs of its needs, so it needs a group.`,
      )
    if (!isPriority(job.priority)) throw refused(id, 'priority', job.priority)
    if (job.headStartMs !== undefined && !isHeadStart(job.headStartMs))
      throw refused(id, 'headStartMs', job.headStartMs)
  }
}

/** Refuses advances that no call can carry out: without jobs, with jobs that are not of the call, or two of one record or job. */
export function checkAdvances(jobs: readonly NewJob[], advances: readonly Advance[]): void {
  if (advances.length === 0) return
  const left = new Set(jobs.map(({ id }) => id))
  const keys = new Set<string>()
  for (const { key, jobs: ids } of advances) {
    if (ids.length === 0) throw wrongAdvance(key, 'carries no job; move it alone by putRecords')
    if (keys.has(key)) throw wrongAdvance(key, 'stands twice in the call')
    keys.add(key)
    for (const id of ids)
      if (!left.delete(id))
        throw wrongAdvance(key, `carries ${id}, which is no job of the call or is carried twice`)
  }
}

function wrongAdvance(key: string, what: string): ErrandError {
  return new ErrandError('invalid-option', `The advance of ${key} ${what}.`, { details: { key } })
}

/** Refuses settlements with times or counters out of bounds, and those with such follow-ups. */
export function checkSettlements(settlements: readonly Settlement[], now: number): void {
  for (const settlement of settlements) {
    const { id, counters, followUps } = settlement
    if (!areCounters(counters)) throw refused(id, 'counters', JSON.stringify(counters))
    switch (settlement.kind) {
      case 'requeue':
        if (!isMs(settlement.delayMs)) throw refused(id, 'delayMs', settlement.delayMs)
        break
      case 'finish':
        if (!isMsOrNull(settlement.keepMs)) throw refused(id, 'keepMs', settlement.keepMs)
        if (!isMsOrNull(settlement.startedAgoMs))
          throw refused(id, 'startedAgoMs', settlement.startedAgoMs)
        break
    }
    checkJobs(followUps, now)
  }
}

/** Refuses records of runs that carry such jobs. */
export function checkRecords(records: readonly RunRecord[], now: number): void {
  for (const { jobs } of records) if (jobs !== undefined) checkJobs(jobs, now)
}

/** Refuses notes that come from another age. The clock of a worker may be a little ahead. */
export function checkNotes(notes: readonly Note[]): void {
  for (const note of notes) {
    if (note.kind !== 'progress' && !isNear(note.agoMs, 0))
      throw refused(note.id, 'agoMs', note.agoMs)
  }
}

/** Answers a request for leases; refuses one whose leases would not end. */
export function withLease<T extends { readonly leaseMs: number }>(request: T): T {
  checkLease(request.leaseMs)
  return request
}

/** Refuses leases that would not end. */
export function checkLease(leaseMs: number): void {
  if (!isMs(leaseMs)) throw refused('a lease', 'leaseMs', leaseMs)
}

/** Refuses a lock that would not end. */
export function checkHold({ name, ttlMs }: HoldRequest): void {
  if (!isMs(ttlMs)) throw refused(`the lock ${name}`, 'ttlMs', ttlMs)
}

/** Whether counters are what they count. */
export function areCounters(counters: Counters): boolean {
  const { attempts, failures, postpones, losses, interruptions, deferrals } = counters
  return (
    isCount(attempts) &&
    isCount(failures) &&
    isCount(postpones) &&
    isCount(losses) &&
    isCount(interruptions) &&
    isCount(deferrals)
  )
}

/** Whether a value is a priority. */
export function isPriority(value: unknown): boolean {
  return Number.isInteger(value) && (value as number) >= -1_000 && (value as number) <= 1_000
}

/** Whether a value says how much before or behind its due time a job stands. */
export function isHeadStart(value: unknown): value is number {
  return Number.isInteger(value) && Math.abs(value as number) <= mostHeadStartMs
}

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

function isMsOrNull(value: unknown): boolean {
  return value === null || isMs(value)
}

function isNear(time: number, to: number): boolean {
  return Number.isInteger(time) && Math.abs(time - to) <= longestMs
}

function refused(what: string, field: string, value: unknown): ErrandError {
  return new ErrandError(
    'invalid-option',
    `${field} of ${what} is out of bounds: ${String(value)}. Times are whole milliseconds, at most 100 years.`,
    { details: { field } },
  )
}
