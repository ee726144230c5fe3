/** The one door for new work. */
import type { NewJob } from './job.ts'

export interface Intake {
  /**
   * Adds jobs, each atomically; with `tx` the batch belongs to the caller's own transaction. One job that is `held` does not
   * keep the others of the call waiting. Repeating the insert of an id adds nothing while the job is known, nor later where a
   * store itself sends a call again; otherwise it rejects with `unknown-outcome`.
   */
  insert(jobs: readonly NewJob[], options?: InsertOptions): Promise<readonly InsertAnswer[]>
}

export interface InsertOptions {
  /** The caller's own open transaction, on stores that have them. */
  readonly tx?: unknown
  /** Records that move together with some of the jobs. */
  readonly advance?: readonly Advance[]
}

/**
 * A compare-and-set of one record in the same step as its jobs: a schedule's tick, an offset of a broker. Where the record is not
 * at `from`, those of its jobs that are not known yet are `stale` and are not inserted; the other jobs of the call are.
 * If one of its jobs is `held`, all of them are, and the record stays. On Redis, the jobs lie in the partition of the record.
 */
export interface Advance {
  readonly key: string
  /** What the record must hold; null for no record. */
  readonly from: string | null
  /** What it holds then; null removes it. */
  readonly to: string | null
  /** Ids of jobs of the call, at least one; none of them belongs to two advances. */
  readonly jobs: readonly string[]
}

export type InsertAnswer = Inserted | NotInserted

/** What became of one insert. `duplicate` and `replaced` carry the id of the job that holds the key. */
export interface Inserted {
  readonly id: string
  readonly status: 'created' | 'duplicate' | 'replaced'
  /** The lease's token when the job was inserted as running, else null. */
  readonly token: number | null
}

/** A job that was not stored. */
export interface NotInserted {
  readonly id: string
  /**
   * `held`: a user's transaction which is still open holds what it needs, mostly by taking the same key, or it needs such a job of
   * its call: insert it again soon. Never returned with `tx`. `stale`: its advance did not apply.
   */
  readonly status: 'held' | 'stale'
  readonly token: null
}
