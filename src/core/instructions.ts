/** What a handler may throw to say how its attempt ended, other than by an ordinary error. */
import type { Duration } from './duration.ts'
import { messageOf, reasonBytes } from './kept-error.ts'
import { cutText } from './text.ts'

/** Marks instructions of every copy of this package: tasks may come from a package that brought its own. */
const brand = Symbol.for('errand.instruction')

/** What a thrown instruction asks for. A delay is as the handler gave it. */
export type Instruction =
  | { readonly kind: 'postpone'; readonly delay: unknown }
  | { readonly kind: 'discard'; readonly reason: string }
  | { readonly kind: 'unrecoverable' }
  | { readonly kind: 'retry-after'; readonly delay: unknown }

/**
 * Runs the same job again later without burning an attempt, within the postpone limit. Thrown with a delay that is no duration of
 * at most 100 years, it fails the job as unrecoverable.
 */
export class Postpone extends Error {
  override readonly name = 'Postpone'
  /** Until the next run; undefined for the task's `postpone.delay`. */
  readonly delay: Duration | undefined

  static {
    mark(this, 'postpone')
  }

  constructor(delay?: Duration) {
    super(delay === undefined ? 'postponed' : `postponed by ${String(delay)}`)
    this.delay = delay
  }
}

/** Ends the job as `discarded`: there is nothing to do and nothing went wrong. */
export class Discard extends Error {
  override readonly name = 'Discard'

  static {
    mark(this, 'discard')
  }

  constructor(reason = 'discarded') {
    super(reason)
  }
}

/** Fails the job at once, whatever retries are left. */
export class Unrecoverable extends Error {
  override readonly name = 'Unrecoverable'

  static {
    mark(this, 'unrecoverable')
  }
}

/**
 * Fails the attempt and sets when the retry runs, whatever backoff and `retry.when` say. Counts as a failure like any other. Thrown
 * with a delay that is no duration of at most 100 years, it fails the job as unrecoverable.
 */
export class RetryAfter extends Error {
  override readonly name = 'RetryAfter'
  /** Until the retry. */
  readonly delay: Duration

  static {
    mark(this, 'retry-after')
  }

  constructor(delay: Duration, options?: { readonly message?: string; readonly cause?: unknown }) {
    super(
      options?.message ?? `retry after ${String(delay)}`,
      options && 'cause' in options ? { cause: options.cause } : undefined,
    )
    this.delay = delay
  }
}

/** Reads what a thrown value asks for; null when it is no instruction. Never throws, whatever the value does. */
export function instructionOf(thrown: unknown): Instruction | null {
  if (typeof thrown !== 'object' || thrown === null) return null
  try {
    const { [brand]: kind, delay } = thrown as { [brand]?: unknown; delay?: unknown }
    switch (kind) {
      case 'postpone':
      case 'retry-after':
        return { kind, delay }
      case 'discard':
        return { kind, reason: cutText(messageOf(thrown), reasonBytes) }
      case 'unrecoverable':
        return { kind }
    }
    return null
  } catch {
    return null
  }
}

function mark(instruction: { readonly prototype: object }, kind: Instruction['kind']): void {
  Object.defineProperty(instruction.prototype, brand, { value: kind })
}
