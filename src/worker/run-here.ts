/** Runs handlers in this thread: from the encoded input to the outcome. */
import type { StandardSchemaV1 } from '@standard-schema/spec'
import type { CallEnd } from '../app/call-journal.ts'
import { attemptScope, type AttemptScope } from '../app/attempt-scope.ts'
import type { App } from '../app/app.ts'
import { withOutputs } from '../app/needed-input.ts'
import { decodePayload, encodePayload, validate } from '../app/payload.ts'
import { isEndTask, summarise, type EndInput } from '../app/workflow-end.ts'
import type { Client } from '../client/client.ts'
import type { Outcome } from '../core/decide.ts'
import { toMs, type Duration } from '../core/duration.ts'
import { ErrandError, isErrandError } from '../core/errors.ts'
import { instructionOf } from '../core/instructions.ts'
import { isRunnable } from '../core/task.ts'
import { wrapped } from '../core/wrap.ts'
import type { Ticks } from '../loops/time.ts'
import type { RunSpan } from '../observe/tracing.ts'
import type { ClaimedJob } from '../store/job.ts'
import { isCannotStart, type BrokenTasks } from './broken-tasks.ts'
import { handlerOf } from './handlers.ts'
import { asInvalidInput, asInvalidOutput, InvalidPayload } from './invalid-payload.ts'
import { judgedOf } from './judged-error.ts'
import { isRecordedFailure, JobView, type ViewSource } from './job-view.ts'
import {
  abortError,
  failed,
  type AbortCause,
  type CallRequest,
  type Encoded,
  type IsolatedHandlers,
  type RunResult,
  type Run,
  type Runner,
  type RunPort,
  type Running,
} from './runner.ts'

/** What handlers of this thread are given, and are run with. */
export interface Here {
  readonly app: App
  readonly client: Pick<Client, 'prepareAll'>
  readonly context: unknown
  readonly ticks: Ticks
  /** Runs handlers of isolated tasks; null where they run here, too. */
  readonly isolated: IsolatedHandlers | null
  /** Tasks that could not be started; null where there is nobody to leave their jobs to. */
  readonly broken: BrokenTasks | null
}

/** Makes the runner of this thread. */
export function runnerHere(here: Here): Runner {
  return {
    canRun: (definition) => isRunnable(definition) && !here.broken?.has(definition.name),
    run: (run, port) => new HereRun(here, run, port),
  }
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
  /** Null where nobody traces. */
  readonly #span: RunSpan | null
  #cause: AbortCause | null
  #controller: AbortController | null = null
  #hasEnded = false
  /** The output that went with the user's transaction. */
  #completed: Encoded | null = null
  #endsAt: number
  /** Why the job fails, whatever its handler makes of it; null for no such reason. */
  #callChanged: ErrandError | null = null

  constructor(here: Here, run: Run, port: RunPort) {
    this.here = here
    this.port = port
    this.#run = run
    this.#cause = run.aborted
    this.#endsAt = run.endsAt
    const span = here.app.events.tracing?.begin(run.job) ?? null
    this.#span = span
    this.ended = span === null ? this.#toItsEnd() : span.within(() => this.#toItsEnd())
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
    return app.store.clock.now() + this.#endsAt - ticks()
  }

  get isOver(): boolean {
    return this.#hasEnded
  }

  abort(cause: AbortCause): void {
    if (this.#cause !== null || this.#hasEnded) return
    this.#cause = cause
    this.#controller?.abort(abortError(cause, this.job))
  }

  endsAt(at: number): void {
    this.#endsAt = at
  }

  async call(request: CallRequest): Promise<CallEnd> {
    try {
      return await this.port.call(request)
    } catch (error) {
      if (isErrandError(error, 'call-changed')) this.#callChanged ??= error
      throw error
    }
  }

  async complete(tx: unknown, value: unknown): Promise<void> {
    const encoded = await this.#encodeOutput(value)
    await this.port.complete(tx, encoded)
    this.#completed = encoded
  }

  async #toItsEnd(): Promise<RunResult> {
    const { definition } = this.#run
    let result: RunResult
    try {
      const parsed = this.#readInput()
      const input = parsed instanceof Promise ? await parsed : parsed
      const view = new JobView(this)
      const returned = attemptScope.run(this, callHandler, this.here, this.#run, input, view)
      const value: unknown = isPromise(returned) ? await returned : returned
      if (this.#completed !== null) {
        result = { outcome: completed, ...this.#completed }
      } else if (this.#isTimedOut() || this.#callChanged !== null) {
        result = failed(this.#outcomeOf(null))
      } else {
        const encoding = this.#encodeOutput(value)
        const encoded = encoding instanceof Promise ? await encoding : encoding
        this.here.broken?.mended(definition.name)
        result = { outcome: completed, output: encoded.output, value: encoded.value }
      }
    } catch (error) {
      result = failed(this.#outcomeOf(error))
    } finally {
      this.#hasEnded = true
    }
    this.#span?.end(result.outcome)
    return result
  }

  #readInput(): unknown {
    const { input, codec } = this.job
    const { input: schema } = this.#run.definition
    try {
      const { app } = this.here
      const plain = decodePayload(app, input, codec, 'input')
      const { needed } = this.job
      const decoded = isEndTask(this.job.task)
        ? summarise(app, plain as EndInput, needed)
        : withOutputs(app, plain, needed)
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
    if (this.#cause === null && this.#endsAt <= this.here.ticks()) this.abort('timeout')
    return this.#cause === 'timeout'
  }

  #outcomeOf(error: unknown): Outcome {
    if (this.#callChanged !== null)
      return { kind: 'unrecoverable', reason: 'call-changed', error: this.#callChanged }
    if (this.#isTimedOut()) {
      return {
        kind: 'failed',
        reason: 'timeout',
        error: abortError(
          'timeout',
          this.job,
          this.#run.timeoutMs,
          isErrandError(error, 'child-died') ? error : undefined,
        ),
      }
    }
    if (InvalidPayload.is(error))
      return { kind: 'unrecoverable', reason: error.reason, error: error.cause }
    const instruction = instructionOf(error)
    if (instruction?.kind === 'discard') return { kind: 'discarded', reason: instruction.reason }
    if (this.#cause === 'cancelled') return { kind: 'cancelled' }
    if (this.#cause === 'interrupted') return { kind: 'interrupted' }
    if (isCannotStart(error)) return this.#notStarted(error)
    switch (instruction?.kind) {
      case 'postpone':
        return postponedBy(instruction.delay, error)
      case 'unrecoverable':
        return { kind: 'unrecoverable', reason: 'error', error }
      case 'retry-after':
        return retriedAfter(instruction.delay, error)
      case undefined:
        if (isRecordedFailure(error)) return { kind: 'unrecoverable', reason: 'error', error }
        return { kind: 'failed', reason: 'error', error, ...judgedOf(error) }
    }
  }

  /** The job goes to workers that can start it, and none is burnt; with nobody to take it, it fails. */
  #notStarted(error: unknown): Outcome {
    const { broken } = this.here
    if (broken === null) return { kind: 'failed', reason: 'error', error }
    broken.mark(this.#run.definition.name, error)
    return { kind: 'unknown' }
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

/** The app's wrap is outside of the task's; where an isolated task's is, its handler knows. */
function callHandler(
  { app, isolated }: Here,
  { definition, job }: Run,
  input: unknown,
  view: JobView,
): unknown {
  const { isolate, wrap } = definition
  const isElsewhere = isolate !== null && isolated !== null
  const handler = isElsewhere ? isolated.of(definition, job) : handlerOf(definition)
  const inside = isElsewhere ? null : wrap
  if (app.wrap === null && inside === null) return handler(input, view)
  return wrapped(app.wrap, view, () => wrapped(inside, view, () => handler(input, view)))
}

function isPromise(value: unknown): value is Promise<unknown> {
  return (
    typeof value === 'object' &&
    value !== null &&
    'then' in value &&
    typeof value.then === 'function'
  )
}
