/** A job as it crosses the boundary: on its way in, leased to a worker, and as readers see it. */
import type { Counters, FinalState, JobState } from '../core/job.ts'

/** What is given with a job at its insert, and shown wherever it appears. */
export interface JobFacts {
  /** UUIDv7. */
  readonly id: string
  readonly task: string
  readonly queue: string
  /** −1000…1000, lower runs first. */
  readonly priority: number
  /** Encoded input. */
  readonly input: string
  /** Name of the codec of input, output and errors; null for plain JSON. */
  readonly codec: string | null
  /** The call's own options as JSON; null when it gave none. The store only keeps it. */
  readonly options: string | null
  /** The job whose settlement or handler inserted this one. */
  readonly parent: string | null
  /** The id of the workflow or batch that the job belongs to; null for none. */
  readonly group: string | null
  /** Words to find it by, at most `mostTags`. */
  readonly tags: readonly string[]
  /** Small texts by name that travel with the job, such as a trace context or a tenant. */
  readonly headers: Readonly<Record<string, string>>
}

/** A job as it enters a store. */
export interface NewJob extends JobFacts {
  /** Due this long after the insert, by the store's clock; 0 is now. Not used when `runAt` is set. */
  readonly delayMs: number
  /** Due at this time; null for `delayMs`. */
  readonly runAt: number | null
  /** The first attempt must start this long after the first due time; null for no bound. */
  readonly startWithinMs: number | null
  /** Retries end this long after the insert; null for no bound. */
  readonly deadlineMs: number | null
  /** How long to keep the job if it ends before it runs: is cancelled, or fails for a need. */
  readonly keepCancelledMs: Keep
  readonly unique: UniqueRule | null
  /** Jobs that must be final before this one is due. Without any, the job is never `blocked`. */
  readonly needs: readonly Need[]
  /** Jobs that are blocked at the insert and wait for this one, too, from then on; of others nothing becomes. */
  readonly holds?: readonly Hold[]
  /** How it enters, if it does not wait its turn; null for the ordinary way. */
  readonly entry: Entry | null
  /**
   * Whenever it is due, it stands among the jobs of its priority as if it had been due this much earlier, or later where it is
   * below 0; at most `mostHeadStartMs` either way. Left out: 0.
   */
  readonly headStartMs?: number
}

/** A job that does not enter by waiting its turn. It has no needs. */
export type Entry =
  /** It runs at once, under a lease of the caller: an inline run. */
  | { readonly kind: 'running'; readonly worker: string; readonly leaseMs: number }
  /** It has failed already, such as a message that could not be read. An operator's `retry` makes it ready. It holds no unique key. */
  | {
      readonly kind: 'failed'
      readonly reason: string
      /** An encoded attempt with its error, or null. */
      readonly attempt: string | null
      readonly keepMs: Keep
    }

/** Milliseconds to keep a finished job: 0 removes it at once, null keeps it for ever. */
export type Keep = number | null

/** At most one job holds a unique key. It is held while the job is in a listed state, and at least until `forMs` after the insert. */
export interface UniqueRule {
  readonly key: string
  readonly during: readonly JobState[]
  readonly forMs: number | null
  /**
   * `replace` gives a waiting holder this job's input, options, priority, labels, due time and clocks. It is new work: it starts
   * with fresh counters. The holder keeps its id, its attempts, and, if it was due and still is, its place. `replace-in-queue` does
   * so where the holder is in this job's queue, and leaves it as it is elsewhere.
   */
  readonly onConflict: 'skip' | 'replace' | 'replace-in-queue'
  /** A holder that is replaced is due no later than this after its own insert, or at once where that has passed; null for no bound. */
  readonly maxWaitMs: number | null
}

/** What a blocked job waits for. */
export type Need = JobNeed

/** Waits for the end of a job. A needed job that is cancelled, discarded, failed or unknown has failed. */
export interface JobNeed {
  readonly kind: 'job'
  readonly id: string
  /** What becomes of the waiting job then: `cancelled` or `failed`, both with the reason `need-failed`, or it goes on as if it were met. */
  readonly onFailed: 'cancel' | 'fail' | 'run'
  /**
   * Left out, nothing is kept of it once it is met. `keep`: how the needed job ended while the other waited is kept, with its output,
   * for as long as a job of the waiting one's group is known, whatever becomes of the needed job; the next `prune` after that
   * removes it at the latest. `hand`:
   * so it is, and the claim of the waiting job hands the output out. With either, an operator's retry of the waiting job lets it wait
   * again for the needed one while that has not ended. Only for jobs with a group.
   */
  readonly output?: 'keep' | 'hand'
}

/** Lets a job that is blocked wait for a new one as well, as if it had been inserted with that need. On Redis both lie in one partition. */
export interface Hold {
  /** The job that waits. */
  readonly id: string
  readonly onFailed: Need['onFailed']
  readonly output?: 'keep' | 'hand'
}

/** How a needed job ended, as the claim of a job that asked for it tells. */
export interface NeededJob {
  readonly id: string
  /** Null for a job that was not known when it was looked for. */
  readonly state: FinalState | null
  /** Encoded; null where it has none, and where the need said `keep`. */
  readonly output: string | null
  /** The codec of the output. */
  readonly codec: string | null
}

/**
 * The needs with `output` of a claimed job, in no order. `later`: their outputs did not fit the claim, which is bounded by
 * `handedBytes`; who gives the job back unstarted gets it with them at the latest when it comes first. `too-large`: they never fit.
 */
export type Needed = readonly NeededJob[] | 'later' | 'too-large'

/** A job that the store knows. */
export interface KnownJob extends JobFacts {
  readonly uniqueKey: string | null
  readonly createdAt: number
  readonly dueAt: number
  readonly startBy: number | null
  readonly deadlineAt: number | null
  readonly counters: Counters
  /**
   * The fencing number of the last lease: greater than any that the store gave before, and at most a second behind its clock in
   * microseconds, so that none comes twice, even after a crash, a fail-over or a restored copy took back what was written.
   * 0 before the first claim.
   */
  readonly token: number
  /** When its run was written as started; null when it was not. */
  readonly startedAt: number | null
  readonly cancelAsked: boolean
}

/** A leased job: all that is needed to run it and to decide what comes next. */
export interface ClaimedJob extends KnownJob {
  /** `claim` gives `ready`, `rescue` another; both `unreadable`, for the caller to fail it, when values here stand for what cannot be read. */
  readonly why: 'ready' | 'lost' | 'overdue' | 'unreadable'
  /** The expired lease that `rescue` took a lost job from; null for any other. `startedAt` is that of its run. */
  readonly lostBy: { readonly worker: string; readonly token: number } | null
  /** How those of its needs ended that have `output`. */
  readonly needed: Needed
}

/** A job as readers see it, its texts still encoded. */
export interface StoredJob extends KnownJob {
  readonly state: JobState
  /** The worker that runs it, or ran it last. */
  readonly worker: string | null
  readonly leaseUntil: number | null
  readonly finishedAt: number | null
  /** When retention ends; null for ever, and for jobs that are not final. */
  readonly expiresAt: number | null
  /** JSON of the last progress. */
  readonly progress: string | null
  /** Encoded attempts, as settlements gave them, oldest first, at most `keptAttempts`. */
  readonly attempts: readonly string[]
  readonly output: string | null
  readonly reason: string | null
}
