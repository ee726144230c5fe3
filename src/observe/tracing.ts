/**
 * How traces follow jobs: the four places at which a trace enters or leaves Errand. Whoever traces
 * implements this; nothing here knows how.
 */
import type { Outcome } from '../core/decide.ts'
import type { ClaimedJob, JobFacts, NewJob } from '../store/job.ts'
import type { EventHub } from './events.ts'

/** Headers of jobs. */
type Headers = Readonly<Record<string, string>>

/** A producer's call. */
export interface Produced {
  /** What is enqueued, and where; null where it is of several. */
  readonly task: string | null
  readonly queue: string | null
  /** How many jobs; null where that is not known before. */
  readonly count: number | null
  /** The headers that the caller gave. */
  readonly headers: Headers | undefined
}

/** The span of one run. */
export interface RunSpan {
  /** Calls once, so that the spans that a handler starts are below this one. */
  within<T>(call: () => Promise<T>): Promise<T>
  end(outcome: Outcome): void
}

/** Its functions never throw or reject by themselves; what they call may. */
export interface Tracing {
  /** Makes a producer's call; `make` is given the headers of its jobs, with the trace among them. */
  produce<T>(what: Produced, make: (headers: Headers | undefined) => Promise<T>): Promise<T>
  /** Begins the span of a run, in the trace that its job's headers name; null where it has none. */
  begin(job: ClaimedJob): RunSpan | null
  /** Jobs that a run leaves behind, in its trace. */
  following(job: JobFacts, jobs: readonly NewJob[]): readonly NewJob[]
  /** The jobs of a tick, in a trace of their own. */
  ticked(jobs: readonly NewJob[]): readonly NewJob[]
}

/** What `openTelemetry()` returns, for the `telemetry` of `createErrand`. */
export interface Telemetry {
  /** Begins to listen to an app. Called by `createErrand`. */
  readonly attach: (events: EventHub) => void
}
