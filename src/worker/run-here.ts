/** Runs handlers in this thread: from the encoded input to the outcome. */
import type { StandardSchemaV1 } from '@standard-schema/spec'
import { attemptScope, type AttemptScope } from '../app/attempt-scope.ts'
import type { App } from '../app/app.ts'
import { decodePayload, encodePayload, validate } from '../app/payload.ts'
import type { Client } from '../client/client.ts'
import type { Outcome } from '../core/decide.ts'
import { toMs, type Duration } from '../core/duration.ts'
import { ErrandError } from '../core/errors.ts'
import { instructionOf } from '../core/instructions.ts'
import type { Definition } from '../core/task.ts'
import type { Ticks } from '../loops/time.ts'
import type { ClaimedJob } from '../store/job.ts'
import { JobView, type ViewSource } from './job-view.ts'
import {
  abortError,
  failed,
  type AbortCause,
  type Encoded,
  type RunResult,
  type Run,
  type Runner,
  type RunPort,
  type Running,
} from './runner.ts'

/** What handlers of this thread are given, and are run with. */
export interface Here {
  readonly app: App
  readonly client: Pick<Client, 'prepare'>
  readonly context: unknown
  readonly ticks: Ticks
}

/** Makes the runner of this thread. */
export function runnerHere(here: Here): Runner {
  return { run: (run, port) => new HereRun(here, run, port) }
}

const completed: Outcome = { kind: 'completed' }

/**
 * One run. Modes: running → aborted (asked to end; the first cause decides what its end counts as)
 * → ended, which only the handler's own end brings.
 */
class HereRun implements Running, ViewSource, AttemptScope {
  readonly ended: Promise<RunResult>
  readonly here: Here
  readonly port: RunPort
  readonly #run: Run
  #cause: AbortCause | null
  #controller: AbortController | null = null
  #hasEnded = false
  /** The output that went with the user's transaction. */
  #completed: Encoded | null = null

  constructor(here: Here, run: Run, port: RunPort) {
    this.here = here
    this.port = port
    this.#run = run
    this.#cause = run.aborted
    this.ended = this.#toItsEnd()
  }

  get job(): ClaimedJob {
    return this.#run.job
  }

  /** Made when the handler first looks at it: most handlers never do. */
  get signal(): AbortSignal {
    if (this.#controller === null) {
      this.#controller = new AbortController()
      if (this.#cause !== null) this.#controller.abort(abortError(this.#cause, this.job))
    }
    return this.#controller.signal
  }

  /** When the attempt times out, by the store's clock. */
  get deadline(): number {
    const { app, ticks } = this.here
    return app.store.clock.now() + this.#run.endsAt - ticks()
  }

  get isOver(): boolean {
    return this.#hasEnded
  }

  abort(cause: AbortCause): void {
    if (this.#cause !== null || this.#hasEnded) return
    this.#cause = cause
    this.#controller?.abort(abortError(cause, this.job))
  }

  async complete(tx: unknown, value: unknown): Promise<void> {
    const encoded = await this.#encodeOutput(value)
    await this.port.complete(tx, encoded)
    this.#completed = encoded
  }

  async #toItsEnd(): Promise<RunResult> {
    const { definition } = this.#run
    try {
      const parsed = this.#readInput()
      const input = parsed instanceof Promise ? await parsed : parsed
      const view = new JobView(this)
      const result = attemptScope.run(this, callHandler, definition, input, view)
      const value: unknown = isPromise(result) ? await result : result
      if (this.#completed !== null) return { outcome: completed, ...this.#completed }
      if (this.#isTimedOut()) return failed(this.#outcomeOf(null))
      const encoding = this.#encodeOutput(value)
      const encoded = encoding instanceof Promise ? await encoding : encoding
      return { outcome: completed, output: encoded.output, value: encoded.value }
    } catch (error) {
      return failed(this.#outcomeOf(error))
    } finally {
      this.#hasEnded = true
    }
  }

  #readInput(): unknown {
    const { input, codec } = this.job
    const { input: schema } = this.#run.definition
    try {
      const decoded = decodePayload(this.here.app, input, codec, 'input')
      if (schema === null) return decoded
      if (decoded === null) return readNothing(schema).catch(asInvalidInput)
      const parsed = validate(schema, decoded, 'invalid-input', 'input')
      return parsed instanceof Promise ? parsed.catch(asInvalidInput) : parsed
    } catch (error) {
      return asInvalidInput(error)
    }
  }

  /**
   * Checks and encodes an output. Throws, or rejects with, a marked error that no retry repairs.
   */
  #encodeOutput(value: unknown): Encoded | Promise<Encoded> {
    const { output } = this.#run.definition
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
    const { app } = this.here
    const codec = this.job.codec === null ? null : (app.findCodec(this.job.codec) ?? null)
    return { output: encodePayload(app, value, codec, 'output'), value }
  }

  /** Whether the attempt took too long, even if its handler left nobody the time to say so. */
  #isTimedOut(): boolean {
    if (this.#cause === null && this.#run.endsAt <= this.here.ticks()) this.abort('timeout')
    return this.#cause === 'timeout'
  }

  #outcomeOf(error: unknown): Outcome {
    if (this.#isTimedOut()) {
      return {
        kind: 'failed',
        reason: 'timeout',
        error: abortError('timeout', this.job, this.#run.timeoutMs),
      }
    }
    if (InvalidPayload.is(error))
      return { kind: 'unrecoverable', reason: error.reason, error: error.cause }
    const instruction = instructionOf(error)
    if (instruction?.kind === 'discard') return { kind: 'discarded', reason: instruction.reason }
    if (this.#cause === 'cancelled') return { kind: 'cancelled' }
    if (this.#cause === 'interrupted') return { kind: 'interrupted' }
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

/** JSON has one word for null and for nothing given: what the schema accepts decides. */
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

/** Marks a payload that no retry repairs. */
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
