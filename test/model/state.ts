/** What the model remembers of a store: plain values that nobody changes. */
import type { JobState, LogLine } from '../../src/core/job.ts'
import type { ClaimedJob, Keep, Need, StoredJob, UniqueRule } from '../../src/store/job.ts'
import type { WorkerRecord } from '../../src/store/registry.ts'

/** A job as readers see it, and what the contract lets it remember beside. */
export interface ModelJob {
  readonly shown: StoredJob
  /** Rank by insertion. */
  readonly order: number
  /** Where it stands within its priority. */
  readonly place: number
  readonly headStartMs: number
  readonly startWithinMs: number | null
  readonly deadlineMs: number | null
  readonly keepCancelledMs: Keep
  readonly unique: UniqueRule | null
  /** The key is held at least until then. */
  readonly keyUntil: number
  /** Took its key and did not see another job take it since. */
  readonly tookKey: boolean
  /** Needs that are still open. */
  readonly needs: readonly Need[]
  readonly isSuspect: boolean
  /** The waiting state that lasted too long, while the job is leased for that. */
  readonly overdueFrom: Extract<JobState, 'blocked' | 'scheduled' | 'ready'> | null
  /** Why it was leased last. */
  readonly why: ClaimedJob['why']
  /** Every token it had, oldest first. */
  readonly tokens: readonly number[]
  /** The token of the lease it was inserted with; 0 without one. */
  readonly bornToken: number
  /** The tokens under which it was settled, oldest first. */
  readonly settled: readonly number[]
  readonly cancelReason: string | null
  readonly log: readonly LogLine[]
  /** What its runs recorded, by name. */
  readonly recorded: Readonly<Record<string, string>>
}

export interface ModelState {
  readonly jobs: ReadonlyMap<string, ModelJob>
  /** Keys held for a time that outlive their job. */
  readonly leftKeys: ReadonlyMap<string, { readonly job: string; readonly until: number }>
  readonly paused: ReadonlySet<string>
  readonly records: ReadonlyMap<string, string>
  readonly workers: ReadonlyMap<string, WorkerRecord>
  readonly inserted: number
}

/** A store in which nothing ever happened. */
export const emptyState: ModelState = {
  jobs: new Map(),
  leftKeys: new Map(),
  paused: new Set(),
  records: new Map(),
  workers: new Map(),
  inserted: 0,
}
