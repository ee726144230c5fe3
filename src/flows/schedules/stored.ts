/**
 * A schedule as it lies in the store: one record of JSON, with its definition, its cursor and its
 * last ticks. Every change is a compare-and-set of the whole text, so that a tick, a pause and an
 * edit never cross. Nothing in it belongs to one process: any of them may fire it.
 */
import { ErrandError } from '../../core/errors.ts'
import type { NewJob } from '../../store/job.ts'
import type { Overlap } from './schedule.ts'
import type { Tick } from './ticks.ts'
import type { Timing } from './timing.ts'

/** What each tick enqueues, but for the ids and the time, which are the tick's own. */
export interface TickTemplate {
  readonly job: NewJob
  /** Jobs that run before it, stored with it in one step. */
  readonly before: readonly NewJob[]
  /** The workflow of which these are the jobs of a run, by its name; left out for a task. */
  readonly workflow?: string
}

/** A schedule as stored. Times are the store's, in milliseconds. */
export interface StoredSchedule extends Omit<Timing, 'rule' | 'choose'> {
  readonly name: string
  /** What each tick enqueues; null for a function of the code that is called. */
  readonly enqueues: TickTemplate | null
  readonly overlap: Overlap
  readonly pauseOnFailure: boolean
  readonly owner: Owner
  /** Who or what paused it; null when it fires. */
  readonly paused: Paused | null
  /** Ticks up to this one have been dealt with. */
  readonly cursor: Cursor
  /** How many ticks ran. */
  readonly fired: number
  /** Jobs of earlier ticks that may not have ended; only where that matters. */
  readonly open: readonly string[]
  /** The last ticks that ran, oldest first. */
  readonly last: readonly FiredTick[]
}

/** Who says what a schedule is. */
export type Owner =
  | {
      readonly kind: 'code'
      readonly scheduler: string
      /** Of the definition in the code. */
      readonly hash: string
      /** Whether an operator has changed it since; it holds until the code changes. */
      readonly edited: boolean
      /** Since when no living worker declares it; null while one does. */
      readonly undeclaredSince: number | null
    }
  | { readonly kind: 'operator' }

export interface Paused {
  readonly at: number
  readonly by: 'operator' | 'failure' | 'error'
  readonly note: string
}

/** `name` is null where no tick has fired yet: then all after `at` are to come. */
export interface Cursor {
  readonly at: number
  readonly name: string | null
}

/** A tick that ran. */
export interface FiredTick extends Tick {
  readonly firedAt: number
  /** The id of its job; null for a function. */
  readonly job: string | null
  /** Whether it was left out because an earlier one had not ended; known a moment after it fired. */
  readonly skipped?: true
}

/** Ticks that a record shows. */
export const shownTicks = 5

/** Jobs of earlier ticks that a record remembers. */
export const mostOpen = 100

/** The longest record, in characters: it is written anew at each tick. */
const longestText = 65_536

const prefix = 'schedule:'

/** The records of all schedules begin so. */
export const schedulePrefix: string = prefix

/** Changes whenever a schedule is put, paused, resumed or removed, but not at a tick. */
export const versionKey = 'schedules-version'

export function scheduleKey(name: string): string {
  return prefix + name
}

/** Reads a version number that this code does not know. */
const formVersion = 1

/** Writes a schedule. Throws `too-large`. */
export function writeSchedule(stored: StoredSchedule): string {
  const text = JSON.stringify({ v: formVersion, ...stored })
  if (text.length <= longestText) return text
  throw new ErrandError(
    'too-large',
    `schedule ${stored.name} has ${text.length} characters; at most ${longestText} are kept, since they are written at each tick: put what is large elsewhere and pass its name; a large workflow, have a task start it.`,
  )
}

/** Reads what `writeSchedule` wrote; null for what another version or somebody else wrote. */
export function readSchedule(text: string): StoredSchedule | null {
  try {
    const { v, ...stored } = JSON.parse(text) as { readonly v?: unknown } & StoredSchedule
    return v === formVersion && typeof stored.cursor.at === 'number' ? stored : null
  } catch {
    return null
  }
}
