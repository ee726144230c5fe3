/** What a handler may throw to say how its attempt ended, other than by an ordinary error. */
import type { Duration } from './duration.ts'

/**
 * Runs the same job again later without burning an attempt, within the postpone limit. Thrown with a delay that is no duration of
 * at most 100 years, it fails the job as unrecoverable.
 */
export class Postpone extends Error {
  override readonly name = 'Postpone'
  /** Until the next run; undefined for the task's `postpone.delay`. */
  readonly delay: Duration | undefined

  constructor(delay?: Duration) {
    super(delay === undefined ? 'postponed' : `postponed by ${String(delay)}`)
    this.delay = delay
  }
}

/** Ends the job as `discarded`: there is nothing to do and nothing went wrong. */
export class Discard extends Error {
  override readonly name = 'Discard'

  constructor(reason = 'discarded') {
    super(reason)
  }
}

/** Fails the job at once, whatever retries are left. */
export class Unrecoverable extends Error {
  override readonly name = 'Unrecoverable'
}

/**
 * Fails the attempt and sets when the retry runs, in place of the backoff. Counts as a failure like any other. Thrown with a delay
 * that is no duration of at most 100 years, it fails the job as unrecoverable.
 */
export class RetryAfter extends Error {
  override readonly name = 'RetryAfter'
  /** Until the retry. */
  readonly delay: Duration

  constructor(delay: Duration, options?: { readonly message?: string; readonly cause?: unknown }) {
    super(
      options?.message ?? `retry after ${String(delay)}`,
      options && 'cause' in options ? { cause: options.cause } : undefined,
    )
    this.delay = delay
  }
}
