/**
 * How traces follow jobs: the four places at which a trace enters or leaves Errand. Whoever traces
 * implements this; nothing here knows how.
 */
import type { Outcome } from '../core/decide.ts'
import type { JobFacts, NewJob } from '../store/job.ts'
import type { ClaimedJob } from '../store/job.ts'
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

/** None of its functions fails for a reason of its own. */
export interface Tracing {
  /** Makes a producer's call; `make` is given the headers of its jobs, with the trace among them. */
  produce<T>(what: Produced, make: (headers: Headers | undefined) => Promise<T>): Promise<T>
  /** Runs a job, in the trace that its headers name. */
  run<T extends { readonly outcome: Outcome }>(job: ClaimedJob, run: () => Promise<T>): Promise<T>
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
