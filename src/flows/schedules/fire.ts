/** What firing a schedule's due ticks comes to: its next record, and what goes with it. Pure. */
import type { JobState } from '../../core/job.ts'
import { isFinal } from '../../core/job.ts'
import type { NewJob } from '../../store/job.ts'
import type { DuePlan } from './plan.ts'
import { shownTicks, type FiredTick, type Paused, type StoredSchedule } from './stored.ts'
import { looksBack, tickJobs } from './tick-job.ts'
import type { Tick } from './ticks.ts'

/** `to` takes the place of the schedule's record, in the same step as its jobs are inserted. */
export interface Firing {
  readonly to: StoredSchedule
  readonly jobs: readonly NewJob[]
  /** Jobs of earlier ticks to cancel first. */
  readonly cancel: readonly string[]
  /** Ticks that a function of the code is called for. */
  readonly runs: readonly Tick[]
}

/** The states of the jobs of earlier ticks; null for one that is not known any more. */
export type StateOf = (id: string) => JobState | null

export function fire(
  schedule: StoredSchedule,
  plan: DuePlan,
  stateOf: StateOf,
  now: number,
): Firing {
  const { at, name } = plan.last
  const moved = { ...schedule, cursor: { at, name } }
  if (schedule.enqueues === null) {
    const fired = plan.run.map((tick): FiredTick => ({ ...tick, firedAt: now, job: null }))
    return { to: withFired(moved, fired), jobs: [], cancel: [], runs: plan.run }
  }
  const failed = schedule.pauseOnFailure
    ? schedule.open.find((id) => stateOf(id) === 'failed')
    : undefined
  if (failed !== undefined) {
    const note = `job ${failed} failed`
    return only(paused(schedule, { at: now, by: 'failure', note }))
  }
  const open = looksBack(schedule) ? schedule.open.filter((id) => isOpen(stateOf(id))) : []
  const { made, open: left } = tickJobs(schedule, schedule.enqueues, plan.run, open)
  const fired = made.map(({ tick, id }): FiredTick => ({ ...tick, firedAt: now, job: id }))
  return {
    to: { ...withFired(moved, fired), open: left },
    jobs: made.flatMap(({ jobs }) => jobs),
    cancel: schedule.overlap === 'cancel' && made.length > 0 ? open : [],
    runs: [],
  }
}

/** A schedule that fires no more until it is resumed. */
export function paused(schedule: StoredSchedule, why: Paused): StoredSchedule {
  return { ...schedule, paused: why }
}

/** Marks ticks that were left out, once their insert has said so. */
export function withSkipped(schedule: StoredSchedule, jobs: ReadonlySet<string>): StoredSchedule {
  return {
    ...schedule,
    last: schedule.last.map((tick) =>
      tick.job !== null && jobs.has(tick.job) ? { ...tick, skipped: true } : tick,
    ),
  }
}

function only(to: StoredSchedule): Firing {
  return { to, jobs: [], cancel: [], runs: [] }
}

function withFired(schedule: StoredSchedule, fired: readonly FiredTick[]): StoredSchedule {
  return {
    ...schedule,
    fired: schedule.fired + fired.length,
    last: [...schedule.last, ...fired].slice(-shownTicks),
  }
}

function isOpen(state: JobState | null): boolean {
  return state !== null && !isFinal(state)
}
