/** The options of one call of `enqueue`. */
import type { Duration } from './duration.ts'
import type { Labels } from './labels.ts'
import type { StorableOptions, Unique } from './options.ts'
import type { AnyTask } from './task.ts'

export interface EnqueueOptions extends StorableOptions, Labels {
  /** Due this long after the enqueue, by the store's clock. */
  readonly delay?: Duration
  /** Due at this time. Not together with `delay`. */
  readonly runAt?: Date
  readonly queue?: string
  readonly unique?: Unique<unknown>
  /** Tasks, or their names, that follow when the job completes, besides those of the task. The output is their input. */
  readonly onSuccess?: FollowUps
  /** Tasks, or their names, that follow when the job fails, besides those of the task. Their input is a `FailureReport`. */
  readonly onFailure?: FollowUps
  /** Tasks, or their names, of which each must have run before, besides those of the task. They get no input. */
  readonly before?: FollowUps
  /** What becomes of the job when one of those fails. Default `'run'`: it runs all the same. */
  readonly onNeedFailed?: 'cancel' | 'run' | 'fail'
  /** The caller's own transaction, on SQL stores: the job exists if it commits. */
  readonly tx?: unknown
  /** Runs the job at once in the calling process, without retries; its outcome is stored. */
  readonly inline?: boolean
}

/** One or several tasks or names of tasks. */
export type FollowUps = string | AnyTask | readonly (string | AnyTask)[]

/** The names of the options that belong to a call only. */
export const callOptionNames = [
  'delay',
  'runAt',
  'queue',
  'unique',
  'onSuccess',
  'onFailure',
  'before',
  'onNeedFailed',
  'tx',
  'inline',
  'group',
  'tags',
  'headers',
] as const

/** What `onFailure` tasks get as input. */
export interface FailureReport {
  readonly job: {
    readonly id: string
    readonly task: string
    readonly queue: string
    readonly parent: string | null
    /** ISO 8601. */
    readonly createdAt: string
  }
  /** The failed job's input; a cut text of its JSON when `inputTruncated`. */
  readonly input: unknown
  readonly inputTruncated: boolean
  /** Why it failed, such as `error`, `timeout` or `poison`. */
  readonly reason: string
  /** The errors of its attempts, oldest first, at most 10; without their stacks when the report would be too large. */
  readonly errors: readonly {
    readonly type: string
    readonly message: string
    readonly stack: string | null
    readonly code: string | null
    readonly attempt: number
    /** ISO 8601. */
    readonly at: string
  }[]
  readonly attempts: number
  readonly failures: number
  readonly losses: number
}
