/** The one error class of Errand and its stable codes. */

/** What went wrong. Codes are stable: match on them, never on messages. */
export type ErrandErrorCode =
  // Mistakes in a program or its configuration.
  | 'invalid-option'
  | 'invalid-task'
  | 'duplicate-task'
  | 'unknown-task'
  | 'unknown-queue'
  | 'unknown-schedule'
  | 'unknown-codec'
  | 'invalid-config'
  | 'missing-peer'
  | 'no-thread'
  | 'tx-not-immediate'
  | 'tx-unsupported'
  // Input and output of jobs.
  | 'invalid-input'
  | 'invalid-output'
  | 'not-json'
  | 'too-large'
  // What became of a job.
  | 'job-failed'
  | 'job-cancelled'
  | 'job-discarded'
  | 'job-missing'
  | 'result-gone'
  | 'result-timeout'
  | 'not-committed'
  | 'follow-up-loop'
  | 'call-changed'
  // What a handler that runs elsewhere came to.
  | 'cannot-start'
  | 'child-died'
  | 'program-failed'
  // The store.
  | 'store-busy'
  | 'store-unavailable'
  | 'store-corrupt'
  | 'store-too-new'
  | 'store-replaced'
  | 'unknown-outcome'
  // A manager that stands before the store.
  | 'unauthorized'
  | 'forbidden'
  | 'protocol-mismatch'
  // A message that came in.
  | 'invalid-signature'
  // Servers of locks, liveness and metrics.
  | 'server-unavailable'
  | 'server-refused'
  // The program's own state.
  | 'overloaded'
  | 'closed'
  | 'timeout'
  | 'cancelled'
  | 'lease-lost'
  | 'interrupted'

/** Marks errors of every copy of this package, since a program may hold two: a class is known in its own copy only. */
const brand = Symbol.for('errand.error')

/** An error of Errand's own: a stable `code`, a message that says what to do, and its cause. */
export class ErrandError extends Error {
  override readonly name = 'ErrandError'
  readonly code: ErrandErrorCode
  /** Facts that belong to the error, such as the id of a job or the path of a wrong value. */
  readonly details: Readonly<Record<string, unknown>>

  static {
    Object.defineProperty(this.prototype, brand, { value: true })
  }

  constructor(
    code: ErrandErrorCode,
    message: string,
    options: { readonly cause?: unknown; readonly details?: Record<string, unknown> } = {},
  ) {
    super(message, 'cause' in options ? { cause: options.cause } : undefined)
    this.code = code
    this.details = options.details ?? {}
  }
}

/** Tells whether a value is an `ErrandError` of any copy of this package, with the given code if one is named. Never throws. */
export function isErrandError(value: unknown, code?: ErrandErrorCode): value is ErrandError {
  try {
    const error = value as
      | { readonly [brand]?: unknown; readonly code?: unknown }
      | null
      | undefined
    return error?.[brand] === true && (code === undefined || error.code === code)
  } catch {
    // A proxy may throw at any look.
    return false
  }
}
