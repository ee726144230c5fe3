/**
 * Traces of jobs. A producer's call is a span, and so is each attempt, in the trace of the call: its
 * context travels in the job's headers. What a run enqueues is in the trace of that run.
 *
 * Whatever the API or an exporter throws stays here: it is reported once, and the job goes on.
 */
import type { Attributes, Context, Span, SpanContext, Tracer } from '@opentelemetry/api'
import type { Outcome } from '../../core/decide.ts'
import { version } from '../../core/version.ts'
import type { ClaimedJob, JobFacts, NewJob } from '../../store/job.ts'
import type { Produced, RunSpan, Tracing } from '../tracing.ts'
import type { OpenTelemetryApi } from './api.ts'
import { contextIn, withContext, type Headers } from './carrier.ts'
import { attribute, operation, system, traceHeader, type Operation } from './names.ts'

/**
 * Where a traced job keeps the context of its run's span, for what the run enqueues: cheaper than a
 * map of all jobs. Not the span itself, which would then live until the job is settled.
 */
const runContext: unique symbol = Symbol('run context')

interface TracedJob extends JobFacts {
  [runContext]?: SpanContext
}

/** Who hears of what was enqueued, and of failures of telemetry. */
interface Told {
  readonly sent: (what: Produced) => void
  readonly failed: (error: unknown) => void
}

export class Traces implements Tracing {
  readonly #api: OpenTelemetryApi
  readonly #told: Told
  #madeTracer: Tracer | null = null

  constructor(api: OpenTelemetryApi, told: Told) {
    this.#api = api
    this.#told = told
  }

  async produce<T>(what: Produced, make: (headers: Headers | undefined) => Promise<T>): Promise<T> {
    const { failed, sent } = this.#told
    const span = this.#safely(() => this.#producer(what))
    if (span === null) return make(what.headers)
    const headers = this.#safely(() => this.#linked(what.headers, span.spanContext()))
    try {
      const made = await within(this.#api, span, () => make(headers ?? what.headers), failed)
      this.#safely(() => sent(what))
      return made
    } catch (error) {
      this.#safely(() => markFailed(this.#api, span, error))
      throw error
    } finally {
      this.#safely(() => span.end())
    }
  }

  begin(job: ClaimedJob): RunSpan | null {
    try {
      const span = this.#consumer(job)
      ;(job as TracedJob)[runContext] = span.spanContext()
      return new ConsumerSpan(this.#api, span, this.#told.failed)
    } catch (error) {
      this.#told.failed(error)
      return null
    }
  }

  following(job: JobFacts, jobs: readonly NewJob[]): readonly NewJob[] {
    if (jobs.length === 0) return jobs
    const run = (job as TracedJob)[runContext]
    if (run === undefined) return jobs
    const inherited = job.headers[traceHeader]
    const linked = this.#safely(() =>
      jobs.map((one) => {
        // Headers that a handler set itself stay as they are.
        if (one.headers[traceHeader] !== inherited) return one
        return { ...one, headers: this.#linked(one.headers, run) ?? one.headers }
      }),
    )
    return linked ?? jobs
  }

  ticked(jobs: readonly NewJob[]): readonly NewJob[] {
    const [last] = jobs.slice(-1)
    if (last === undefined || last.headers[traceHeader] !== undefined) return jobs
    const linked = this.#safely(() => {
      const span = this.#start(operation.tick, last, this.#api.ROOT_CONTEXT)
      span.end()
      const tick = span.spanContext()
      return jobs.map((one) => ({
        ...one,
        headers: this.#linked(one.headers, tick) ?? one.headers,
      }))
    })
    return linked ?? jobs
  }

  #producer({ task, queue, count, headers }: Produced): Span {
    const parent = contextIn(this.#api, headers) ?? this.#api.context.active()
    const span = this.#start(operation.enqueue, { task, queue }, parent)
    if (count !== null && count !== 1) span.setAttribute(attribute.count, count)
    return span
  }

  #consumer({ id, queue, task, headers, counters }: ClaimedJob): Span {
    const parent = contextIn(this.#api, headers) ?? this.#api.ROOT_CONTEXT
    const { CONSUMER } = this.#api.SpanKind
    const span = this.#tracer.startSpan(...started(operation.run, queue, CONSUMER), parent)
    span.setAttribute(attribute.task, task)
    span.setAttribute(attribute.job, id)
    span.setAttribute(attribute.attempt, counters.attempts + 1)
    return span
  }

  #start(of: Operation, { task, queue }: Pick<Produced, 'task' | 'queue'>, parent: Context): Span {
    const { PRODUCER } = this.#api.SpanKind
    const span = this.#tracer.startSpan(...started(of, queue, PRODUCER), parent)
    if (task !== null) span.setAttribute(attribute.task, task)
    return span
  }

  /** Asked for once: it reaches an SDK that is started later, too. */
  get #tracer(): Tracer {
    return (this.#madeTracer ??= this.#api.trace.getTracer(system, version))
  }

  #linked(headers: Headers | undefined, to: SpanContext): Headers | undefined {
    return withContext(this.#api, headers, to)
  }

  #safely<T>(look: () => T): T | null {
    try {
      return look()
    } catch (error) {
      this.#told.failed(error)
      return null
    }
  }
}

/** The span of an attempt. */
class ConsumerSpan implements RunSpan {
  readonly #api: OpenTelemetryApi
  readonly #span: Span
  readonly #failed: (error: unknown) => void

  constructor(api: OpenTelemetryApi, span: Span, failed: (error: unknown) => void) {
    this.#api = api
    this.#span = span
    this.#failed = failed
  }

  within<T>(call: () => Promise<T>): Promise<T> {
    return within(this.#api, this.#span, call, this.#failed)
  }

  end(outcome: Outcome): void {
    try {
      this.#span.setAttribute(attribute.outcome, outcome.kind)
      if ('error' in outcome) markFailed(this.#api, this.#span, outcome.error)
      this.#span.end()
    } catch (error) {
      this.#failed(error)
    }
  }
}

/**
 * The title and the options of a span. An SDK copies what it is given at the start twice, once for
 * its sampler: what a sampler hardly asks for is set after it.
 */
function started(
  { name, type }: Operation,
  queue: string | null,
  kind: number,
): [title: string, options: { readonly kind: number; readonly attributes: Attributes }] {
  const attributes: Attributes = {
    [attribute.system]: system,
    [attribute.operation]: name,
    [attribute.operationType]: type,
  }
  if (queue === null) return [name, { kind, attributes }]
  attributes[attribute.queue] = queue
  return [`${name} ${queue}`, { kind, attributes }]
}

/** Calls once, in the context of a span if there can be one. */
function within<T>(
  { context, trace }: OpenTelemetryApi,
  span: Span,
  call: () => Promise<T>,
  failed: (error: unknown) => void,
): Promise<T> {
  let made: Promise<T> | null = null
  try {
    context.with(trace.setSpan(context.active(), span), () => {
      made = call()
    })
  } catch (error) {
    failed(error)
  }
  return made ?? call()
}

function markFailed({ SpanStatusCode }: OpenTelemetryApi, span: Span, error: unknown): void {
  const isError = error instanceof Error
  span.setAttribute(attribute.error, isError ? error.name : typeof error)
  if (isError) span.recordException(error)
  span.setStatus({
    code: SpanStatusCode.ERROR,
    message: isError ? error.message : String(error),
  })
}
