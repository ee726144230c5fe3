/**
 * Traces of jobs. A producer's call is a span, and so is each attempt, in the trace of the call: its
 * context travels in the job's headers. What a run leaves behind is in the trace of that run.
 *
 * Whatever the API or an exporter throws stays here: it is told once, and the job goes on.
 */
import type { Attributes, Context, Span } from '@opentelemetry/api'
import type { Outcome } from '../../core/decide.ts'
import { version } from '../../core/version.ts'
import type { ClaimedJob, JobFacts, NewJob } from '../../store/job.ts'
import type { Produced, Tracing } from '../tracing.ts'
import type { OpenTelemetryApi } from './api.ts'
import { contextIn, withContext, type Headers } from './carrier.ts'
import { attribute, operation, system, traceHeader } from './names.ts'

/** The span of a run lies with its job, for what follows from it: a map of them all would cost more than the rest. */
const spanOf: unique symbol = Symbol('span')

interface TracedJob extends JobFacts {
  [spanOf]?: Span
}

/** Who hears of what was enqueued, and of failures of telemetry. */
interface Told {
  readonly sent: (what: Produced) => void
  readonly failed: (error: unknown) => void
}

export class Traces implements Tracing {
  readonly #api: OpenTelemetryApi
  readonly #told: Told

  constructor(api: OpenTelemetryApi, told: Told) {
    this.#api = api
    this.#told = told
  }

  async produce<T>(what: Produced, make: (headers: Headers | undefined) => Promise<T>): Promise<T> {
    const span = this.#safely(() => this.#producer(what))
    if (span === null) return make(what.headers)
    const headers = this.#safely(() => this.#linked(what.headers, span)) ?? what.headers
    try {
      const made = await this.#within(span, () => make(headers))
      this.#safely(() => this.#told.sent(what))
      return made
    } catch (error) {
      this.#safely(() => this.#fail(span, error))
      throw error
    } finally {
      this.#safely(() => span.end())
    }
  }

  run<T extends { readonly outcome: Outcome }>(job: ClaimedJob, run: () => Promise<T>): Promise<T> {
    const span = this.#consumer(job)
    if (span === null) return run()
    ;(job as TracedJob)[spanOf] = span
    return this.#within(span, run).then(
      (result) => {
        this.#end(span, result.outcome)
        return result
      },
      (error: unknown) => {
        this.#end(span, { kind: 'failed', reason: 'error', error })
        throw error
      },
    )
  }

  following(job: JobFacts, jobs: readonly NewJob[]): readonly NewJob[] {
    const span = (job as TracedJob)[spanOf]
    if (span === undefined || jobs.length === 0) return jobs
    const inherited = job.headers[traceHeader]
    return (
      this.#safely(() =>
        jobs.map((one) => {
          // What a handler named itself is left to it.
          if (one.headers[traceHeader] !== inherited) return one
          return { ...one, headers: this.#linked(one.headers, span) ?? one.headers }
        }),
      ) ?? jobs
    )
  }

  ticked(jobs: readonly NewJob[]): readonly NewJob[] {
    const [last] = jobs.slice(-1)
    if (last === undefined || last.headers[traceHeader] !== undefined) return jobs
    const linked = this.#safely(() => {
      const span = this.#start(operation.tick, last, null)
      span.end()
      return jobs.map((one) => ({
        ...one,
        headers: this.#linked(one.headers, span) ?? one.headers,
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

  #consumer(job: ClaimedJob): Span | null {
    const { name, type } = operation.run
    const { trace, ROOT_CONTEXT, SpanKind } = this.#api
    try {
      const attributes = {
        [attribute.system]: system,
        [attribute.operation]: name,
        [attribute.operationType]: type,
        [attribute.queue]: job.queue,
        [attribute.task]: job.task,
        [attribute.job]: job.id,
        [attribute.attempt]: job.counters.attempts + 1,
      }
      const parent = contextIn(this.#api, job.headers) ?? ROOT_CONTEXT
      const options = { kind: SpanKind.CONSUMER, attributes }
      return trace.getTracer(system, version).startSpan(`${name} ${job.queue}`, options, parent)
    } catch (error) {
      this.#told.failed(error)
      return null
    }
  }

  #start(
    { name, type }: { readonly name: string; readonly type: string },
    { task, queue }: Pick<Produced, 'task' | 'queue'>,
    parent: Context | null,
  ): Span {
    const { trace, ROOT_CONTEXT, SpanKind } = this.#api
    const attributes: Attributes = {
      [attribute.system]: system,
      [attribute.operation]: name,
      [attribute.operationType]: type,
      ...(queue === null ? {} : { [attribute.queue]: queue }),
      ...(task === null ? {} : { [attribute.task]: task }),
    }
    const title = queue === null ? name : `${name} ${queue}`
    const options = { kind: SpanKind.PRODUCER, attributes }
    return trace.getTracer(system, version).startSpan(title, options, parent ?? ROOT_CONTEXT)
  }

  #end(span: Span, outcome: Outcome): void {
    try {
      span.setAttribute(attribute.outcome, outcome.kind)
      if ('error' in outcome) this.#fail(span, outcome.error)
      span.end()
    } catch (error) {
      this.#told.failed(error)
    }
  }

  #fail(span: Span, error: unknown): void {
    const isError = error instanceof Error
    span.setAttribute(attribute.error, isError ? error.name : typeof error)
    if (isError) span.recordException(error)
    const message = isError ? error.message : String(error)
    span.setStatus({ code: this.#api.SpanStatusCode.ERROR, message })
  }

  #linked(headers: Headers | undefined, span: Span): Headers | undefined {
    return withContext(this.#api, headers, span.spanContext())
  }

  /** Calls once, in the context of a span if that can be had. */
  #within<T>(span: Span, call: () => Promise<T>): Promise<T> {
    const { context, trace } = this.#api
    let made: Promise<T> | null = null
    try {
      context.with(trace.setSpan(context.active(), span), () => {
        made = call()
      })
    } catch (error) {
      this.#told.failed(error)
    }
    return made ?? call()
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
