/** What people do to jobs. */
import type { StoredJob } from './job.ts'

/** Callers send at most 1,000 ids a call. */
export interface Operators {
  /** Cancels waiting jobs at once and asks running ones to end. */
  cancel(ids: readonly string[], reason: string | null): Promise<readonly CancelAnswer[]>
  /** Makes failed, cancelled and discarded jobs ready again: counters and clocks start anew, attempts are kept. */
  retry(ids: readonly string[]): Promise<readonly RetryAnswer[]>
  /**
   * Removes jobs that are not running, with their unique key, log and records of runs. Where a job
   * needs another one of the same call and is not kept once cancelled, `removed` and `missing` are
   * both right for it.
   */
  remove(ids: readonly string[]): Promise<readonly RemoveAnswer[]>
  /** Reads jobs and removes those that are final, in one step: of two takers one gets the job. */
  take(ids: readonly string[]): Promise<readonly (StoredJob | null)[]>
  /** Removes up to `limit` finished jobs beyond their retention or beyond the newest `cap`, and stale worker records. */
  prune(request: PruneRequest): Promise<Pruned>
}

export interface PruneRequest {
  readonly limit: number
  readonly cap: number
}

export interface Pruned {
  readonly removed: number
  readonly more: boolean
}

export type CancelAnswer = 'cancelled' | 'asked' | 'final' | 'missing'
/** `unfit` is a job that is waiting, running or completed. */
export type RetryAnswer = 'retried' | 'duplicate' | 'unfit' | 'missing'
export type RemoveAnswer = 'removed' | 'running' | 'missing'
