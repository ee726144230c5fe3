/** Counts the events of one process, for Prometheus. */
import { BoundedNames, mostNames } from '../bounded-names.ts'
import type { EventHub } from '../events.ts'
import { LogHistogram } from '../log-histogram.ts'
import { runOutcomes, runTallies, type RunTally } from '../run-tallies.ts'
import type { Family, LabelValues } from './exposition.ts'
import { LoopLag } from './loop-lag.ts'
import { family } from './names.ts'

interface Counter {
  count: number
}

const counters = (most?: number): BoundedNames<Counter> =>
  new BoundedNames(() => ({ count: 0 }), most)
const histograms = (): BoundedNames<LogHistogram> => new BoundedNames(() => new LogHistogram())

export class ProcessMetrics {
  readonly #runs = runTallies()
  readonly #lag = histograms()
  readonly #calls = histograms()
  readonly #failedCalls = counters()
  readonly #parts = counters()
  readonly #requests = histograms()
  /** A route answers with several statuses. */
  readonly #statuses = counters(4 * mostNames)
  readonly #rounds = counters(4 * mostNames)
  readonly #roundTimes = histograms()
  readonly #loop = new LoopLag()
  readonly #stops: readonly (() => void)[]

  constructor(events: Pick<EventHub, 'on'>) {
    this.#stops = [
      events.on('run-ended', (run) => this.#runs.of(run.queue, run.task).add(run)),
      events.on('job-rescued', ({ queue, task, why }) => {
        if (why === 'lost') this.#runs.of(queue, task).losses++
      }),
      events.on('tick-fired', ({ schedule, lagMs }) => this.#lag.of(schedule).add(lagMs)),
      events.on('store-called', ({ call, durationMs, failed }) => {
        this.#calls.of(call).add(durationMs)
        if (failed) this.#failedCalls.of(call).count++
      }),
      events.on('part-failed', ({ part }) => this.#parts.of(part).count++),
      events.on('request-ended', ({ method, route, status, durationMs }) => {
        const name = `${method} ${route ?? 'unknown'}`
        this.#requests.of(name).add(durationMs)
        this.#statuses.of(name, String(status)).count++
      }),
      events.on('singleton-ended', ({ singleton, status, durationMs }) => {
        this.#rounds.of(singleton, status).count++
        this.#roundTimes.of(singleton).add(durationMs)
      }),
    ]
  }

  *families(): Generator<Family> {
    yield* this.#runFamilies()
    const of = named
    yield family('errand_schedule_lag_seconds', of(this.#lag, 'schedule'))
    yield family('errand_store_call_seconds', of(this.#calls, 'call'))
    yield family('errand_store_call_failures_total', counted(of(this.#failedCalls, 'call')))
    yield family('errand_part_failures_total', counted(of(this.#parts, 'part')))
    yield family('errand_http_request_seconds', of(this.#requests, 'route'))
    yield family('errand_http_requests_total', counted(of(this.#statuses, 'route', 'status')))
    yield family('errand_singleton_rounds_total', counted(of(this.#rounds, 'singleton', 'status')))
    yield family('errand_singleton_duration_seconds', of(this.#roundTimes, 'singleton'))
    yield family('errand_event_loop_lag_seconds', [[{}, this.#loop.mostMs / 1_000]])
  }

  stop(): void {
    for (const stop of this.#stops) stop()
    this.#loop.stop()
  }

  *#runFamilies(): Generator<Family> {
    const runs = [...named(this.#runs, 'queue', 'task')]
    const by = <V>(value: (tally: RunTally) => V): (readonly [LabelValues, V])[] =>
      runs.map(([labels, tally]) => [labels, value(tally)] as const)
    yield family('errand_attempts_total', runs.flatMap(attempts))
    yield family(
      'errand_job_wait_seconds',
      by(({ wait }) => wait),
    )
    yield family(
      'errand_job_duration_seconds',
      by(({ duration }) => duration),
    )
    yield family(
      'errand_job_total_seconds',
      by(({ total }) => total),
    )
    yield family(
      'errand_losses_total',
      by(({ losses }) => losses),
    )
    const stale = runOutcomes.indexOf('stale')
    yield family(
      'errand_stale_settlements_total',
      by(({ ended }) => ended[stale] ?? 0),
    )
  }
}

function attempts([labels, { ended }]: readonly [LabelValues, RunTally]): (readonly [
  LabelValues,
  number,
])[] {
  return runOutcomes.flatMap((outcome, n) => {
    const count = ended[n] ?? 0
    return count === 0 ? [] : [[{ ...labels, outcome }, count] as const]
  })
}

function* named<T>(
  names: BoundedNames<T>,
  first: string,
  second?: string,
): Generator<readonly [LabelValues, T]> {
  for (const [one, other, value] of names.entries())
    yield [second === undefined ? { [first]: one } : { [first]: one, [second]: other }, value]
}

function* counted(
  samples: Iterable<readonly [LabelValues, Counter]>,
): Generator<readonly [LabelValues, number]> {
  for (const [labels, { count }] of samples) yield [labels, count]
}
