/**
 * The job as everyone outside a store sees it: its states, its counters and its records.
 * Times are milliseconds since the epoch, by the store's clock, unless a name says otherwise.
 */

import { ErrandError } from './errors.ts'
import { readList } from './read.ts'
import { shownValue } from './shown.ts'

/** Where a job stands. The last four are final. */
export type JobState = 'blocked' | 'scheduled' | 'ready' | 'running' | FinalState

/** A state that only an operator's retry leaves. */
export type FinalState = 'completed' | 'failed' | 'cancelled' | 'discarded'

/** Every state, in the order in which a job may pass them. */
export const jobStates: readonly JobState[] = [
  'blocked',
  'scheduled',
  'ready',
  'running',
  'completed',
  'failed',
  'cancelled',
  'discarded',
]

/** Checks a list of states that a caller gave. Throws `invalid-option`. */
export function readStates(states: readonly JobState[], where: string): readonly JobState[] {
  for (const state of readList(states, where, 'states')) {
    if (!jobStates.includes(state)) {
      throw new ErrandError(
        'invalid-option',
        `${where} lists ${shownValue(state)}, which is no state. States are: ${jobStates.join(', ')}.`,
      )
    }
  }
  return states
}

/** The final states. */
export const finalStates: readonly FinalState[] = ['completed', 'failed', 'cancelled', 'discarded']

/** Tells whether a state is final. */
export function isFinal(state: JobState): state is FinalState {
  return (finalStates as readonly JobState[]).includes(state)
}

/**
 * What a job went through so far. The counters are separate: none resets another,
 * and only an operator's retry sets them back to zero.
 */
export interface Counters {
  /** Attempts that ended with an outcome of their own (returned, threw, timed out, discarded, lost after start). */
  readonly attempts: number
  /** Attempts that threw or timed out; the retry limit counts these. */
  readonly failures: number
  /** Runs that asked to be run later. */
  readonly postpones: number
  /** Runs whose lease expired after their start was written. */
  readonly losses: number
  /** Runs cut off because their worker stopped. */
  readonly interruptions: number
  /** Times a worker gave the job back because it did not know its task or codec. */
  readonly deferrals: number
}

/** The counters of a job that never ran. */
export const noCounters: Counters = {
  attempts: 0,
  failures: 0,
  postpones: 0,
  losses: 0,
  interruptions: 0,
  deferrals: 0,
}

/** One error of a job's history, as it is kept: plain data, truncated to a bounded size. */
export interface KeptError {
  /** The error's class name, `'Error'` at least; of what is no error the name of its class, or its `typeof`. */
  readonly type: string
  /** With those of the inner errors of an `AggregateError`. */
  readonly message: string
  /** With those of its inner errors and causes. */
  readonly stack: string | null
  /** The error's own `code`, when it is a text or a number. */
  readonly code: string | null
  /** The number of the attempt that it ended, from 1. */
  readonly attempt: number
  /** When it was caught, by the store's clock as the worker knows it. */
  readonly at: number
}

/** What a run came to, as its record says. */
export type AttemptOutcome =
  | 'completed'
  | 'failed'
  | 'postponed'
  | 'discarded'
  | 'cancelled'
  | 'lost'
  | 'interrupted'

/** One run of a job, as the job's history keeps it. */
export interface KeptAttempt {
  /** The number of the attempt, from 1. */
  readonly attempt: number
  readonly token: number
  readonly worker: string
  readonly startedAt: number | null
  readonly endedAt: number
  readonly outcome: AttemptOutcome
  readonly error: KeptError | null
}

/** One line that a handler wrote with `job.log`. */
export interface LogLine {
  readonly at: number
  readonly level: LogLevel
  readonly text: string
}

export type LogLevel = 'debug' | 'info' | 'warn' | 'error'

/** Why a job that failed, was cancelled or was discarded ended, when the error alone does not tell. */
export type FailureReason =
  | 'error'
  | 'timeout'
  | 'poison'
  | 'lost'
  | 'postpone-limit'
  | 'start-within'
  | 'deadline'
  | 'invalid-input'
  | 'invalid-output'
  | 'not-committed'
  | 'call-changed'
  | 'unreadable'
  | 'need-failed'
  | 'invalid-message'

/** How many attempts a job keeps, with their errors; older ones fall out first. */
export const keptAttempts = 10

/** The most that a job may stand before or behind its due time: 20 years. */
export const mostHeadStartMs = 631_152_000_000

/** What holds for a job where nobody says otherwise, also for one that is enqueued from SQL. */
export const jobDefaults = { priority: 0, keepCancelledMs: 86_400_000 } as const

/** How many tags a job has at most. */
export const mostTags = 20

/** How many log lines a job keeps; later ones fall out. */
export const keptLogLines = 1_000

/** A call that hands out jobs takes no more once the inputs of those it has hold so many bytes; one job it always takes. */
export const handedBytes = 8_388_608

/** Inputs up to this length need not be counted: of these, as many as a claim asks for stay within `handedBytes`. */
export const smallInputBytes = 4_096
