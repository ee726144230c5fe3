/** What a handler may throw to say how its attempt ended, other than by an ordinary error. */
import { toMs, type Duration } from './duration.ts'
import { messageOf, reasonBytes } from './kept-error.ts'
import { cutText } from './text.ts'

/** Marks instructions of every copy of this package: tasks may come from a package that brought its own. */
const brand = Symbol.for('errand.instruction')

/** What a thrown instruction asks for. */
export type Instruction =
  | { readonly kind: 'postpone'; readonly delayMs: number | null }
  | { readonly kind: 'discard'; readonly reason: string }
  | { readonly kind: 'unrecoverable' }
  | { readonly kind: 'retry-after'; readonly delayMs: number }

/** Runs the same job again later without burning an attempt, within the postpone limit. */
export class Postpone extends Error {
  override readonly name = 'Postpone'
  /** Milliseconds until the next run; null for the task's `postpone.delay`. */
  readonly delayMs: number | null

  static {
    mark(this, 'postpone')
  }

  constructor(delay?: Duration) {
    super(delay === undefined ? 'postponed' : `postponed by ${delay}`)
    this.delayMs = delay === undefined ? null : toMs(delay, 'Postpone')
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

/** Fails the attempt and sets when the retry runs, whatever backoff and `retry.when` say. Counts as a failure like any other. */
export class RetryAfter extends Error {
  override readonly name = 'RetryAfter'
  readonly delayMs: number

  static {
    mark(this, 'retry-after')
  }

  constructor(delay: Duration, options?: { readonly message?: string; readonly cause?: unknown }) {
    super(
      options?.message ?? `retry after ${delay}`,
      options && 'cause' in options ? { cause: options.cause } : undefined,
    )
    this.delayMs = toMs(delay, 'RetryAfter')
  }
}

/** Reads what a thrown value asks for; null when it is no instruction. Never throws, whatever the value does. */
export function instructionOf(thrown: unknown): Instruction | null {
  if (typeof thrown !== 'object' || thrown === null) return null
  try {
    const { [brand]: kind, delayMs } = thrown as { [brand]?: unknown; delayMs?: unknown }
    switch (kind) {
      case 'postpone':
        return { kind, delayMs: isDelay(delayMs) ? delayMs : null }
      case 'discard':
        return { kind, reason: cutText(messageOf(thrown), reasonBytes) }
      case 'unrecoverable':
        return { kind }
      case 'retry-after':
        return isDelay(delayMs) ? { kind, delayMs } : null
    }
    return null
  } catch {
    return null
  }
}

function mark(instruction: { readonly prototype: object }, kind: Instruction['kind']): void {
  Object.defineProperty(instruction.prototype, brand, { value: kind })
}

function isDelay(ms: unknown): ms is number {
  return typeof ms === 'number' && Number.isFinite(ms) && ms >= 0
}
