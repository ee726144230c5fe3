/** What a handler may throw to say how its attempt ended, other than by an ordinary error. */
import { toMs, type Duration } from './duration.ts'

/** Runs the same job again later without burning an attempt, within the postpone limit. */
export class Postpone extends Error {
  override readonly name = 'Postpone'
  /** Milliseconds until the next run; null for the task's `postpone.delay`. */
  readonly delayMs: number | null

  constructor(delay?: Duration) {
    super(delay === undefined ? 'postponed' : `postponed by ${String(delay)}`)
    this.delayMs = delay === undefined ? null : toMs(delay, 'Postpone')
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

/** Fails the attempt and sets when the retry runs, in place of the backoff. Counts as a failure like any other. */
export class RetryAfter extends Error {
  override readonly name = 'RetryAfter'
  readonly delayMs: number

  constructor(delay: Duration, options?: { readonly message?: string; readonly cause?: unknown }) {
    super(
      options?.message ?? `retry after ${String(delay)}`,
      options && 'cause' in options ? { cause: options.cause } : undefined,
    )
    this.delayMs = toMs(delay, 'RetryAfter')
  }
}
