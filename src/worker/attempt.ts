/**
 * One attempt: a claimed job on its way through its handler to an outcome. An attempt ends only when its handler has;
 * an abort asks it to, and tells by its reason what the end will count as.
 */
import type { StandardSchemaV1 } from '@standard-schema/spec'
import { attemptScope, type AttemptScope } from '../app/attempt-scope.ts'
import type { App } from '../app/app.ts'
import { decodePayload, encodePayload, validate } from '../app/payload.ts'
import type { Outcome } from '../core/decide.ts'
import { toMs, type Duration } from '../core/duration.ts'
import { ErrandError, type ErrandErrorCode } from '../core/errors.ts'
import { instructionOf } from '../core/instructions.ts'
import type { Policy } from '../core/options.ts'
import type { Definition } from '../core/task.ts'
import type { StoredOptions } from '../app/new-job.ts'
import type { ClaimedJob, NewJob } from '../store/job.ts'
import type { JobNotes } from './notes.ts'
import { JobView, type ViewServices } from './job-view.ts'

/** Why an attempt was aborted. */
export type AbortCause = Extract<
  ErrandErrorCode,
  'timeout' | 'cancelled' | 'interrupted' | 'lease-lost'
>

/** What an attempt came to, with what its settlement carries. */
export interface Ended {
  readonly outcome: Outcome
  /** Encoded output of a completed attempt, and the value itself for its follow-ups. */
  readonly output: string | null
  readonly value: unknown
}

const completed: Outcome = { kind: 'completed' }

/** An output as it is stored, and as the schema made it. */
interface Encoded {
  readonly output: string
  readonly value: unknown
}

/** What an attempt needs beside its job. */
export interface AttemptParts {
  readonly app: App
  readonly definition: Definition
  readonly policy: Policy
  readonly stored: StoredOptions
  readonly context: unknown
  readonly notes: JobNotes
  readonly services: ViewServices
}

export class Attempt implements AttemptScope {
  readonly job: ClaimedJob
  readonly parts: AttemptParts
  /** Jobs to insert with the settlement. */
  readonly enqueued: NewJob[] = []
  /** How long their inputs are, together. */
  enqueuedChars = 0
  /** When the handler was started, by the worker's ticks; 0 before. */
  startedAt = 0
  /** Where it is in the lease table. */
  lease = -1
  /** Whether its lease is known to be someone else's. */
  leaseLost = false
  /** The cause of the first abort. */
  abortCause: AbortCause | null = null
  abortedAt = 0
  /** Until when a stop lets it end, by the worker's ticks; 0 before. */
  mayEndUntil = 0
  /** Whether it has ignored its abort for longer than the grace. */
  stuck = false
  /** Whether `job.complete` was called: the settlement went with the user's transaction. */
  completedInTx: Encoded | null = null
  #controller: AbortController | null = null
  #ended = false

  constructor(job: ClaimedJob, parts: AttemptParts) {
    this.job = job
    this.parts = parts
  }

  /** Made when the handler first looks at it: most handlers never do. */
  get signal(): AbortSignal {
    if (this.#controller === null) {
      this.#controller = new AbortController()
      if (this.abortCause !== null) this.#controller.abort(abortError(this.abortCause, this.job))
    }
    return this.#controller.signal
  }

  /** When the attempt times out, by the worker's ticks. */
  get endsAt(): number {
    const { timeoutMs } = this.parts.policy
    return timeoutMs === null || this.startedAt === 0 ? Infinity : this.startedAt + timeoutMs
  }

  /** When the attempt times out, by the store's clock. */
  get deadline(): number {
    const { app, services } = this.parts
    return app.store.clock.now() + this.endsAt - services.ticks()
  }

  get ended(): boolean {
    return this.#ended
  }

  /** Asks the handler to end. The first cause stays, but a lost lease is always remembered. */
  abort(cause: AbortCause, now: number): void {
    if (cause === 'lease-lost') this.leaseLost = true
    if (this.abortCause !== null || this.#ended) return
    this.abortCause = cause
    this.abortedAt = now
    this.#controller?.abort(abortError(cause, this.job))
  }

  /** Runs the handler to its end. Never rejects. */
  async run(): Promise<Ended> {
    const { definition } = this.parts
    try {
      const parsed = this.#readInput()
      const input = parsed instanceof Promise ? await parsed : parsed
      const view = new JobView(this)
      const result = attemptScope.run(this, callHandler, definition, input, view)
      const value: unknown = isPromise(result) ? await result : result
      if (this.completedInTx !== null) return { outcome: completed, ...this.completedInTx }
      if (this.#isTimedOut()) return this.#threw(null)
      const encoded = this.encodeOutput(value)
      const output = encoded instanceof Promise ? await encoded : encoded
      return { outcome: completed, output: output.output, value: output.value }
    } catch (error) {
      return this.#threw(error)
    } finally {
      this.#ended = true
    }
  }

  #readInput(): unknown {
    const { app, definition } = this.parts
    try {
      const input = decodePayload(app, this.job.input, this.job.codec, 'input')
      if (definition.input === null) return input
      if (input === null) return readNothing(definition.input).catch(asInvalidInput)
      const parsed = validate(definition.input, input, 'invalid-input', 'input')
      return parsed instanceof Promise ? parsed.catch(asInvalidInput) : parsed
    } catch (error) {
      return asInvalidInput(error)
    }
  }

  /** Checks and encodes an output. Throws, or rejects with, a marked error that no retry mends. */
  encodeOutput(value: unknown): Encoded | Promise<Encoded> {
    const { output } = this.parts.definition
    try {
      if (output === null) return this.#encode(value)
      const parsed = validate(output, value, 'invalid-output', 'output')
      if (!(parsed instanceof Promise)) return this.#encode(parsed)
      return parsed.then((settled) => this.#encode(settled)).catch(asInvalidOutput)
    } catch (error) {
      return asInvalidOutput(error)
    }
  }

  #encode(value: unknown): Encoded {
    const { app } = this.parts
    const codec = this.job.codec === null ? null : (app.findCodec(this.job.codec) ?? null)
    return { output: encodePayload(app, value, codec, 'output'), value }
  }

  /** Whether the attempt took too long, even if its handler left nobody the time to say so. */
  #isTimedOut(): boolean {
    const { services } = this.parts
    if (this.abortCause === null && this.endsAt <= services.ticks())
      this.abort('timeout', this.endsAt)
    return this.abortCause === 'timeout'
  }

  #threw(error: unknown): Ended {
    return { outcome: this.#outcomeOf(error), output: null, value: undefined }
  }

  #outcomeOf(error: unknown): Outcome {
    if (this.#isTimedOut()) {
      return {
        kind: 'failed',
        reason: 'timeout',
        error: abortError('timeout', this.job, this.parts.policy.timeoutMs),
      }
    }
    if (InvalidPayload.is(error))
      return { kind: 'unrecoverable', reason: error.reason, error: error.cause }
    const instruction = instructionOf(error)
    if (instruction?.kind === 'discard') return { kind: 'discarded', reason: instruction.reason }
    if (this.abortCause === 'cancelled') return { kind: 'cancelled' }
    if (this.abortCause === 'interrupted') return { kind: 'interrupted' }
    switch (instruction?.kind) {
      case 'postpone':
        return postponedBy(instruction.delay, error)
      case 'unrecoverable':
        return { kind: 'unrecoverable', reason: 'error', error }
      case 'retry-after':
        return retriedAfter(instruction.delay, error)
      case undefined:
        return { kind: 'failed', reason: 'error', error }
    }
  }
}

function postponedBy(delay: unknown, thrown: unknown): Outcome {
  if (delay === undefined) return { kind: 'postponed', delayMs: null }
  const delayMs = readDelay(delay, 'Postpone', thrown)
  return typeof delayMs === 'number' ? { kind: 'postponed', delayMs } : delayMs
}

function retriedAfter(delay: unknown, thrown: unknown): Outcome {
  const delayMs = readDelay(delay, 'RetryAfter', thrown)
  return typeof delayMs === 'number' ? { kind: 'retry-after', error: thrown, delayMs } : delayMs
}

/** The delay of an instruction. One that no job can wait for is a mistake that no retry repairs. */
function readDelay(delay: unknown, name: string, thrown: unknown): number | Outcome {
  try {
    return toMs(delay as Duration, `The delay of ${name}`)
  } catch (error) {
    const refusal = new ErrandError('invalid-option', (error as Error).message, { cause: thrown })
    return { kind: 'unrecoverable', reason: 'error', error: refusal }
  }
}

/** The error that a handler's signal carries. */
function abortError(
  cause: AbortCause,
  job: { readonly task: string; readonly id: string },
  timeoutMs: number | null = null,
): ErrandError {
  const which = `${job.task} ${job.id}`
  switch (cause) {
    case 'timeout':
      return new ErrandError(
        'timeout',
        `${which} took longer than its timeout${timeoutMs === null ? '' : ` of ${timeoutMs} ms`}.`,
      )
    case 'cancelled':
      return new ErrandError('cancelled', `${which} was asked to cancel.`)
    case 'interrupted':
      return new ErrandError(
        'interrupted',
        `${which} was cut off because its worker stops; it runs again elsewhere.`,
      )
    case 'lease-lost':
      return new ErrandError(
        'lease-lost',
        `${which} is no longer this worker's; its outcome will be refused.`,
      )
  }
}

/** JSON has one word for null and for nothing given: what the schema takes decides. */
async function readNothing(schema: StandardSchemaV1): Promise<unknown> {
  try {
    return await validate(schema, null, 'invalid-input', 'input')
  } catch (refusal) {
    try {
      return await validate(schema, undefined, 'invalid-input', 'input')
    } catch {
      throw refusal
    }
  }
}

/** Marks a payload that no retry mends. */
class InvalidPayload extends Error {
  readonly #reason: 'invalid-input' | 'invalid-output'

  constructor(reason: 'invalid-input' | 'invalid-output', cause: unknown) {
    super(reason, { cause })
    this.#reason = reason
  }

  /** Unlike `instanceof` this runs no trap of a proxy. */
  static is(thrown: unknown): thrown is InvalidPayload {
    return typeof thrown === 'object' && thrown !== null && #reason in thrown
  }

  get reason(): 'invalid-input' | 'invalid-output' {
    return this.#reason
  }
}

function asInvalidInput(error: unknown): never {
  throw new InvalidPayload('invalid-input', error)
}

function asInvalidOutput(error: unknown): never {
  throw new InvalidPayload('invalid-output', error)
}

function callHandler(definition: Definition, input: unknown, view: JobView): unknown {
  return definition.handler?.(input, view)
}

function isPromise(value: unknown): value is Promise<unknown> {
  return (
    typeof value === 'object' &&
    value !== null &&
    'then' in value &&
    typeof value.then === 'function'
  )
}
