/** The jobs of a schedule's ticks. Pure: the same tick gives the same job in every process. */
import { underId } from '../../app/before.ts'
import { readStoredOptions, type StoredOptions } from '../../app/new-job.ts'
import { idOfTime } from '../../core/id.ts'
import type { JobState } from '../../core/job.ts'
import type { NewJob, UniqueRule } from '../../store/job.ts'
import { jitterOf } from './plan.ts'
import { underRunId } from './run-template.ts'
import { mostOpen, type StoredSchedule, type TickTemplate } from './stored.ts'
import type { Tick } from './ticks.ts'

/** States in which the job of a tick keeps the next one out. */
const during: Readonly<Record<'skip' | 'queue-one', readonly JobState[]>> = {
  skip: ['blocked', 'scheduled', 'ready', 'running'],
  'queue-one': ['blocked', 'scheduled', 'ready'],
}

/** Whether the jobs of earlier ticks are looked at before another one is made. */
export function looksBack({ overlap, pauseOnFailure, enqueues }: StoredSchedule): boolean {
  if (enqueues === null) return false
  // A run has many jobs, so that no unique key can keep it out.
  if (overlap === 'skip' && enqueues.workflow !== undefined) return true
  return pauseOnFailure || overlap === 'queue' || overlap === 'queue-one' || overlap === 'cancel'
}

/**
 * The id of a tick's job. It follows from the schedule's name and the wall time, not from the
 * instant: processes with different time zone data agree on it.
 */
export function tickId(schedule: string, tick: Tick): string {
  const [wall = tick.name] = tick.name.split('#')
  const time = Date.parse(wall.endsWith('Z') ? wall : `${wall}Z`)
  return idOfTime(Number.isNaN(time) ? tick.at : time, `schedule/${schedule}/${tick.name}`)
}

/** A tick with its job, and all that is to be inserted for it, its job last. */
export interface MadeTick {
  readonly tick: Tick
  readonly id: string
  readonly jobs: readonly NewJob[]
}

/** What ticks enqueue, and which jobs they leave open. */
export interface TickJobs {
  readonly made: readonly MadeTick[]
  readonly open: readonly string[]
}

/**
 * Makes the jobs of ticks. `open` are the jobs of earlier ticks that have not ended: unless they may
 * overlap, a new one waits for all of them, since one in between may be cancelled. When a hundred
 * wait, further ticks are left out.
 */
export function tickJobs(
  schedule: StoredSchedule,
  template: TickTemplate,
  ticks: readonly Tick[],
  open: readonly string[],
): TickJobs {
  const waits = schedule.overlap !== 'allow' && schedule.overlap !== 'skip'
  const made: MadeTick[] = []
  const all = [...open]
  // What would be cancelled at once is not made.
  for (const tick of schedule.overlap === 'cancel' ? ticks.slice(-1) : ticks) {
    if (waits && all.length >= mostOpen) break
    if (template.workflow !== undefined && isKeptOut(schedule, all.length)) break
    const needs = waits ? all.map((id) => ({ kind: 'job', id, onFailed: 'run' }) as const) : []
    made.push(makeTick(schedule, template, tick, needs))
    all.push(tickId(schedule.name, tick))
  }
  return { made, open: looksBack(schedule) ? all.slice(-mostOpen) : [] }
}

/** Whether a run is left out while so many earlier ones have not ended. */
function isKeptOut({ overlap }: StoredSchedule, open: number): boolean {
  return (overlap === 'skip' && open > 0) || (overlap === 'queue-one' && open > 1)
}

/** Makes the jobs of one tick, all of which wait for `needs`. */
export function makeTick(
  schedule: StoredSchedule,
  template: TickTemplate,
  tick: Tick,
  needs: NewJob['needs'],
): MadeTick {
  const { name } = schedule
  const { job, before, workflow } = template
  const id = tickId(name, tick)
  const dueAt = tick.at + jitterOf(schedule, tick)
  const ofTick = (one: NewJob): NewJob => ({
    ...one,
    options: withTick(one.options, { schedule: name, plannedAt: tick.at }),
    delayMs: 0,
    runAt: one.runAt ?? dueAt + one.delayMs,
  })
  const jobs =
    workflow !== undefined
      ? underRunId([...before, job], id).map(ofTick)
      : underId([...before, { ...ofTick(job), unique: overlapKey(schedule) ?? job.unique }], id)
  const waiting = jobs.map((one) => ({ ...one, needs: [...one.needs, ...needs] }))
  return { tick, id, jobs: needs.length === 0 ? jobs : waiting }
}

function withTick(options: string | null, tick: NonNullable<StoredOptions['tick']>): string {
  return JSON.stringify({ ...readStoredOptions(options), tick } satisfies StoredOptions)
}

/** No task's key begins with a colon. */
function overlapKey({ name, overlap }: StoredSchedule): UniqueRule | null {
  if (overlap !== 'skip' && overlap !== 'queue-one') return null
  return {
    key: `:schedule:${name}`,
    during: during[overlap],
    forMs: null,
    onConflict: 'skip',
    maxWaitMs: null,
  }
}
