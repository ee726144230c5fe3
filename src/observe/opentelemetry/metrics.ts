/** Metrics by OpenTelemetry's API. Names of queues and tasks are bounded. */
import type { Attributes, Counter, Histogram } from '@opentelemetry/api'
import { version } from '../../core/version.ts'
import { BoundedNames } from '../bounded-names.ts'
import type { EventHub, Events } from '../events.ts'
import type { Produced } from '../tracing.ts'
import type { OpenTelemetryApi } from './api.ts'
import { attribute, metric, operation, system } from './names.ts'

const ofSystem: Attributes = { [attribute.system]: system }

/** Made at the first measurement: by then the program's SDK has started. */
class Instruments {
  readonly sent: Counter
  readonly consumed: Counter
  readonly lost: Counter
  readonly stale: Counter
  readonly duration: Histogram
  readonly wait: Histogram
  readonly total: Histogram
  readonly lag: Histogram
  readonly calls: Histogram

  constructor(api: OpenTelemetryApi) {
    const meter = api.metrics.getMeter(system, version)
    const counter = ([name, unit, description]: readonly [string, string, string]): Counter =>
      meter.createCounter(name, { unit, description })
    const histogram = ([name, unit, description]: readonly [string, string, string]): Histogram =>
      meter.createHistogram(name, { unit, description })
    this.sent = counter(metric.sent)
    this.consumed = counter(metric.consumed)
    this.lost = counter(metric.lost)
    this.stale = counter(metric.stale)
    this.duration = histogram(metric.duration)
    this.wait = histogram(metric.wait)
    this.total = histogram(metric.total)
    this.lag = histogram(metric.lag)
    this.calls = histogram(metric.calls)
  }
}

export class MeteredEvents {
  readonly #api: OpenTelemetryApi
  readonly #places: BoundedNames<Attributes> = new BoundedNames((queue, task) => ({
    ...ofSystem,
    [attribute.operation]: operation.run.name,
    [attribute.queue]: queue,
    [attribute.task]: task,
  }))
  readonly #queues: BoundedNames<string> = new BoundedNames((queue) => queue)
  #made: Instruments | null = null

  constructor(api: OpenTelemetryApi) {
    this.#api = api
  }

  /** Begins to listen. The hub reports what an instrument throws. */
  attach(events: Pick<EventHub, 'on'>): void {
    events.on('run-ended', (run) => this.#ended(run))
    events.on('job-rescued', ({ queue, task, why }) => {
      if (why === 'lost') this.#instruments.lost.add(1, this.#at(queue, task))
    })
    events.on('tick-fired', ({ lagMs }) => this.#instruments.lag.record(lagMs / 1_000, ofSystem))
    events.on('store-called', ({ call, durationMs }) =>
      this.#instruments.calls.record(durationMs / 1_000, { ...ofSystem, [attribute.call]: call }),
    )
  }

  /** Counts jobs that were enqueued. */
  sent({ queue, count }: Produced): void {
    if (count === null) return
    const at = { ...ofSystem, [attribute.operation]: operation.enqueue.name }
    const place = queue === null ? at : { ...at, [attribute.queue]: this.#queues.of(queue) }
    this.#instruments.sent.add(count, place)
  }

  #ended({ queue, task, outcome, durationMs, waitMs, totalMs }: Events['run-ended']): void {
    const { duration, consumed, wait, total, stale } = this.#instruments
    const at = this.#at(queue, task)
    const isFailed = outcome === 'failed' || outcome === 'retry'
    duration.record(durationMs / 1_000, isFailed ? { ...at, [attribute.error]: outcome } : at)
    consumed.add(1, at)
    if (waitMs !== null) wait.record(waitMs / 1_000, at)
    if (totalMs !== null) total.record(totalMs / 1_000, at)
    if (outcome === 'stale') stale.add(1, at)
  }

  #at(queue: string, task: string): Attributes {
    return this.#places.of(queue, task)
  }

  get #instruments(): Instruments {
    return (this.#made ??= new Instruments(this.#api))
  }
}
