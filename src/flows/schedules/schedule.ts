/**
 * Schedules as code defines them: `schedule()`, its options, and what was read of them. What may be
 * stored of one is made in `stored.ts`.
 */
import { toMs, type Duration } from '../../core/duration.ts'
import type { EnqueueOptions } from '../../core/enqueue-options.ts'
import { ErrandError } from '../../core/errors.ts'
import { refuseUnknownKeys } from '../../core/option-keys.ts'
import { readChoice, readFlag, readFunction } from '../../core/read.ts'
import { shownValue } from '../../core/shown.ts'
import { isTask, type AnyTask, type InputOf } from '../../core/task.ts'
import { checkName } from '../../core/text.ts'
import { isWorkflow, type AnyWorkflow, type Workflow } from '../workflows/workflow.ts'
import { readTiming, timingKeys, type TimingOptions } from './timing.ts'

/** What becomes of a tick while the job of an earlier one has not ended. */
export type Overlap = 'allow' | 'skip' | 'queue-one' | 'queue' | 'cancel'

const overlaps: readonly Overlap[] = ['allow', 'skip', 'queue-one', 'queue', 'cancel']

/** The options of a call of `enqueue` that a schedule may give to each of its jobs. */
export type TickOptions = Omit<EnqueueOptions, 'runAt' | 'tx' | 'inline'>

/** A schedule that enqueues a job of a task at each tick. */
export interface TaskScheduleOptions<T extends AnyTask | string>
  extends TimingOptions, TickOptions {
  /** What the schedule is called in the store; unique there. */
  readonly name: string
  readonly task: T
  /**
   * While the job of an earlier tick has not ended: `allow` (default) runs both, `skip` leaves the
   * tick out, `queue` lets it wait for its turn, `queue-one` lets one wait and leaves out others,
   * `cancel` cancels the earlier one and runs when that has ended.
   */
  readonly overlap?: Overlap
  /** Pauses the schedule once a job of it has failed, before its next tick. Default false. */
  readonly pauseOnFailure?: boolean
}

/** Its input: needed where the task takes one. */
export type TickInput<T extends AnyTask | string> = T extends AnyTask
  ? undefined extends InputOf<T>
    ? { readonly input?: InputOf<T> }
    : { readonly input: InputOf<T> }
  : { readonly input?: unknown }

/** A schedule that starts a run of a workflow at each tick. */
export interface WorkflowScheduleOptions
  extends TimingOptions, Pick<EnqueueOptions, 'tags' | 'headers'> {
  readonly name: string
  /** Its nodes are built when the schedule is put, not at each tick. */
  readonly workflow: AnyWorkflow
  /** As for a task, between runs: `cancel` ends the earlier run with all of its nodes. */
  readonly overlap?: Overlap
  /** Pauses the schedule once a run has failed, before its next tick. Default false. */
  readonly pauseOnFailure?: boolean
}

/** The input of a workflow: needed where it takes one. */
export type RunInput<Input> = undefined extends Input
  ? { readonly input?: Input }
  : { readonly input: Input }

/** What a function of a schedule is called with. */
export interface ScheduledRun {
  readonly schedule: string
  /** The tick that it runs for; for `on` and `after`, now. */
  readonly plannedAt: Date
  /** The app's shared context. */
  readonly context: unknown
  /** Aborts when the worker stops. */
  readonly signal: AbortSignal
}

export type ScheduledFunction = (run: ScheduledRun) => unknown

/**
 * A schedule that calls a function, in one process for each tick. It is no job: a crash in the
 * middle loses that run.
 */
export interface RunScheduleOptions extends TimingOptions {
  readonly name: string
  readonly run: ScheduledFunction
}

/** A function that runs once in every process: at its start, some time later, or when it stops. */
export interface ProcessRunOptions {
  readonly name: string
  readonly run: ScheduledFunction
  readonly on?: 'start' | 'stop'
  /** So long after the start. */
  readonly after?: Duration
}

/** A defined schedule, for `createErrand({ schedules })` and `errand.schedules.put`. */
export interface Schedule {
  readonly name: string
  readonly definition: ScheduleDefinition
}

/** What a schedule does at each tick, or once in every process. */
export type ScheduleDefinition =
  | {
      readonly kind: 'task'
      readonly name: string
      readonly timing: TimingOptions
      readonly task: AnyTask | string
      readonly input: unknown
      readonly options: TickOptions
      readonly overlap: Overlap
      readonly pauseOnFailure: boolean
    }
  | {
      readonly kind: 'workflow'
      readonly name: string
      readonly timing: TimingOptions
      readonly workflow: AnyWorkflow
      readonly input: unknown
      readonly labels: Pick<EnqueueOptions, 'tags' | 'headers'>
      readonly overlap: Overlap
      readonly pauseOnFailure: boolean
    }
  | {
      readonly kind: 'run'
      readonly name: string
      readonly timing: TimingOptions
      readonly run: ScheduledFunction
    }
  | {
      readonly kind: 'process'
      readonly name: string
      readonly run: ScheduledFunction
      readonly on:
        | { readonly event: 'start'; readonly afterMs: number }
        | { readonly event: 'stop' }
    }

/**
 * Defines a schedule. Throws `invalid-option`, with one line that says what to do, for one that
 * cannot work.
 *
 * @example
 * const nightly = schedule({ name: 'nightly', task: report, input: { day: 'yesterday' }, cron: '0 3 * * MON-FRI' })
 */
export function schedule<T extends AnyTask | string>(
  options: TaskScheduleOptions<T> & TickInput<T>,
): Schedule
export function schedule<Input>(
  options: Omit<WorkflowScheduleOptions, 'workflow'> & {
    readonly workflow: Workflow<Input>
  } & RunInput<Input>,
): Schedule
export function schedule(options: RunScheduleOptions): Schedule
export function schedule(options: ProcessRunOptions): Schedule
export function schedule(options: Given): Schedule {
  if (typeof options !== 'object' || options === null)
    throw new ErrandError(
      'invalid-option',
      `schedule() needs an object such as { name: 'nightly', task: report, cron: '0 3 * * *' }, not ${shownValue(options)}.`,
    )
  checkName(options.name, 'schedule().name')
  const definition = readDefinition(options)
  return { name: definition.name, definition }
}

type Given = TimingOptions &
  Partial<Omit<TaskScheduleOptions<AnyTask | string>, 'name'>> &
  Partial<Omit<ProcessRunOptions, 'name'>> & {
    readonly name: string
    readonly input?: unknown
    readonly workflow?: AnyWorkflow
  }

/** Tells whether a value came from `schedule()`. */
export function isSchedule(value: unknown): value is Schedule {
  return (
    typeof value === 'object' &&
    value !== null &&
    'name' in value &&
    'definition' in value &&
    ['task', 'workflow', 'run', 'process'].includes(
      (value.definition as Partial<ScheduleDefinition>)?.kind ?? '',
    )
  )
}

function readDefinition(given: Given): ScheduleDefinition {
  const { name, task, run, workflow } = given
  const where = `schedule ${name}`
  if ([task, run, workflow].filter((one) => one !== undefined).length !== 1)
    throw new ErrandError(
      'invalid-option',
      `${where} needs one of task, workflow and run, and only one.`,
    )
  if (workflow !== undefined) return readWorkflowSchedule(given, workflow, where)
  if (run === undefined) return readTaskSchedule(given, where)
  readFunction(run, `${where}.run`)
  if (given.on !== undefined || given.after !== undefined) return readProcessRun(given, run, where)
  const { run: _, ...timing } = given
  refuseUnknownKeys(timing, ['name', ...timingKeys], where)
  return { kind: 'run', name, timing: checked(withoutName(timing), where), run }
}

function readTaskSchedule(given: Given, where: string): ScheduleDefinition {
  const { name, task, input, overlap = 'allow', pauseOnFailure = false, ...rest } = given
  if (typeof task === 'string') checkName(task, `${where}.task`)
  else if (!isTask(task))
    throw new ErrandError('invalid-option', `${where}.task must be a task or the name of one.`)
  readChoice(overlap, overlaps, `${where}.overlap`)
  readFlag(pauseOnFailure, `${where}.pauseOnFailure`)
  const timing: Record<string, unknown> = {}
  const options: Record<string, unknown> = {}
  for (const [key, value] of Object.entries(rest))
    (timingKeys.includes(key) ? timing : options)[key] = value
  refuseForTicks(options, where)
  if (options['unique'] !== undefined && (overlap === 'skip' || overlap === 'queue-one'))
    throw new ErrandError(
      'invalid-option',
      `${where} has overlap: '${overlap}', which is upheld by a unique key of its own: leave out unique.`,
    )
  return {
    kind: 'task',
    name,
    timing: checked(timing, where),
    task,
    input,
    options,
    overlap,
    pauseOnFailure,
  }
}

function readWorkflowSchedule(
  given: Given,
  workflow: AnyWorkflow,
  where: string,
): ScheduleDefinition {
  const { name, workflow: _, input, overlap = 'allow', pauseOnFailure = false } = given
  if (!isWorkflow(workflow))
    throw new ErrandError('invalid-option', `${where}.workflow must come from workflow().`)
  readChoice(overlap, overlaps, `${where}.overlap`)
  readFlag(pauseOnFailure, `${where}.pauseOnFailure`)
  const own = ['name', 'workflow', 'input', 'overlap', 'pauseOnFailure', 'tags', 'headers']
  refuseUnknownKeys(given, [...own, ...timingKeys], where)
  const timing = Object.fromEntries(
    Object.entries(given).filter(([key]) => timingKeys.includes(key)),
  )
  const { tags, headers } = given
  const labels = { ...(tags && { tags }), ...(headers && { headers }) }
  const read = { timing: checked(timing, where), labels, overlap, pauseOnFailure }
  return { kind: 'workflow', name, workflow, input, ...read }
}

/** The options of a call are checked in full when the first job is made; what can never be meant, here. */
function refuseForTicks(options: Readonly<Record<string, unknown>>, where: string): void {
  const wrong = ['runAt', 'tx', 'inline', 'on', 'after'].find((key) => options[key] !== undefined)
  if (wrong === undefined) return
  const advice = {
    runAt: 'Its ticks say when: use at.',
    tx: 'Its jobs are made later, by any process.',
    inline: 'Its jobs run in workers.',
    on: 'That is for a run function.',
    after: 'That is for a run function; a task takes delay.',
  }[wrong]
  throw new ErrandError('invalid-option', `${where} takes no ${wrong}. ${advice}`)
}

function readProcessRun(given: Given, run: ScheduledFunction, where: string): ScheduleDefinition {
  const { name, on, after } = given
  refuseUnknownKeys(given, ['name', 'run', 'on', 'after'], where)
  if (on !== undefined) readChoice(on, ['start', 'stop'], `${where}.on`)
  if (on === 'stop' && after !== undefined)
    throw new ErrandError('invalid-option', `${where} takes no after with on: 'stop'.`)
  if (on === 'stop') return { kind: 'process', name, run, on: { event: 'stop' } }
  const afterMs = after === undefined ? 0 : toMs(after, `${where}.after`)
  return { kind: 'process', name, run, on: { event: 'start', afterMs } }
}

function withoutName({ name: _, ...timing }: { readonly name: string }): TimingOptions {
  return timing
}

/** What cannot work is refused where it is written; the app's time zone is not known there yet. */
function checked(timing: TimingOptions, where: string): TimingOptions {
  readTiming(timing, where, 'UTC')
  return timing
}
