/** From a schedule of the code to what is stored of it, and how the two are told apart later. */
import { createHash } from 'node:crypto'
import type { JobOrigin } from '../../app/new-job.ts'
import { ErrandError, isErrandError } from '../../core/errors.ts'
import type { EnqueueOptions } from '../../core/enqueue-options.ts'
import { idOfTime } from '../../core/id.ts'
import { canonicalJson } from '../../core/json.ts'
import type { AnyTask } from '../../core/task.ts'
import type { NewJob } from '../../store/job.ts'
import type { RunRequest } from '../workflows/plan-run.ts'
import { runTemplate } from './run-template.ts'
import type { Overlap, Schedule, ScheduledFunction } from './schedule.ts'
import type { Cursor, Owner, StoredSchedule, TickTemplate } from './stored.ts'
import { readTiming, type TickChoice, type TickRule } from './timing.ts'

/** Makes the job of a call as `enqueue` would, the last, with those that run before it. */
export type Prepare = (
  task: AnyTask | string,
  input: unknown,
  options: EnqueueOptions,
  origin: JobOrigin,
) => Promise<readonly NewJob[]>

/** Makes the jobs of a run as `errand.start` would, that at its end last. */
export type PlanRun = (request: RunRequest) => Promise<readonly NewJob[]>

/** What a schedule says, whoever owns it and however far it is. */
export type ScheduleSays = Omit<
  StoredSchedule,
  'owner' | 'paused' | 'cursor' | 'fired' | 'open' | 'last'
>

/** A schedule of this process's code: what is stored of it, and what only code can hold. */
export interface Declared {
  readonly name: string
  readonly says: ScheduleSays
  /** The same in every process of one release. */
  readonly hash: string
  readonly rule: TickRule | null
  readonly choose: TickChoice | null
  readonly run: ScheduledFunction | null
}

/**
 * Reads a schedule of the code; null for one that runs once in every process, of which nothing is
 * stored. Rejects as `enqueue` does, naming the schedule.
 */
export async function readDeclared(
  { name, definition }: Schedule,
  timezone: string,
  { prepare, planRun }: { readonly prepare: Prepare; readonly planRun: PlanRun },
): Promise<Declared | null> {
  if (definition.kind === 'process') return null
  const { rule, choose, ...timing } = readTiming(definition.timing, `schedule ${name}`, timezone)
  const functions = { rule: rule?.toString(), choose: choose?.toString() }
  if (definition.kind === 'run') {
    const says = {
      name,
      ...timing,
      enqueues: null,
      overlap: 'allow',
      pauseOnFailure: false,
    } as const
    const hash = hashOf({ ...says, ...functions })
    return { name, says, hash, rule, choose, run: definition.run }
  }
  const { input, overlap, pauseOnFailure } = definition
  // The ids stay within the template: each tick has others.
  const origin = { id: idOfTime(0, `schedule/${name}`) }
  if (definition.kind === 'workflow') {
    const { workflow, labels } = definition
    const made = await prepareFor(name, () => planRun({ workflow, input, labels, ...origin }))
    const run = runTemplate(name, workflow.name, made)
    const says = { name, ...timing, enqueues: run, overlap, pauseOnFailure }
    return { name, says, hash: hashOf({ ...says, ...functions }), rule, choose, run: null }
  }
  const { task, options } = definition
  const jobs = await prepareFor(name, () => prepare(task, input, options, origin))
  const enqueues = templateOf(name, jobs, overlap)
  const says = { name, ...timing, enqueues, overlap, pauseOnFailure }
  // A codec may write the same input differently each time.
  const plain = {
    ...says,
    enqueues: jobs.map((job) => ({ ...job, input: null })),
    input: canonicalJson(input),
  }
  return { name, says, hash: hashOf({ ...plain, ...functions }), rule, choose, run: null }
}

/** Says which schedule an error is about. */
async function prepareFor(
  name: string,
  prepare: () => Promise<readonly NewJob[]>,
): Promise<readonly NewJob[]> {
  try {
    return await prepare()
  } catch (error) {
    if (!isErrandError(error)) throw error
    const { code, message, details } = error
    throw new ErrandError(code, `schedule ${name}: ${message}`, { cause: error, details })
  }
}

function templateOf(name: string, jobs: readonly NewJob[], overlap: Overlap): TickTemplate {
  const job = jobs.at(-1)
  if (job === undefined) throw new TypeError(`nothing was made for schedule ${name}`)
  const before = jobs.slice(0, -1)
  if (before.length > 0 && (overlap === 'skip' || overlap === 'queue-one'))
    throw new ErrandError(
      'invalid-option',
      `schedule ${name} has overlap: '${overlap}', so that a tick may be left out, but what runs before its task would not be: use 'queue', or leave out before.`,
    )
  return { job, before }
}

function hashOf(value: unknown): string {
  return createHash('sha256').update(canonicalJson(value)).digest('hex').slice(0, 16)
}

/** A schedule that the store does not know yet. It fires nothing from the past. */
export function firstStored(says: ScheduleSays, owner: Owner, now: number): StoredSchedule {
  const cursor = { at: now, name: null }
  return { ...says, owner, paused: null, cursor, fired: 0, open: [], last: [] }
}

/**
 * What a stored schedule becomes when it is put anew. It goes on where it was; with other times, from
 * now on. What was paused because of an error of the code goes on with other code.
 */
export function replaced(
  stored: StoredSchedule,
  says: ScheduleSays,
  owner: Owner,
  now: number,
): StoredSchedule {
  const { cursor, fired, open, last } = stored
  const paused = stored.paused?.by === 'error' ? null : stored.paused
  return {
    ...says,
    owner,
    paused,
    cursor: haveSameTimes(stored, says) ? cursor : laterOf(cursor, now),
    fired,
    open,
    last,
  }
}

function haveSameTimes(a: ScheduleSays, b: ScheduleSays): boolean {
  return canonicalJson([a.when, a.startMs]) === canonicalJson([b.when, b.startMs])
}

/** Lets ticks begin anew after now, and after what fired already. */
export function laterOf(cursor: Cursor, now: number): Cursor {
  return { at: Math.max(cursor.at, now), name: null }
}
