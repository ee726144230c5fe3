/** The seam between the client and the worker's way of running an attempt. */
import type { AnyTask } from '../core/task.ts'
import type { ClaimedJob } from '../store/job.ts'

/** Runs jobs in the calling process, outside any worker. */
export interface InlineRunner {
  /**
   * Runs one attempt of a job that is leased already to `worker`, keeps its lease, and settles it with its follow-ups.
   * Resolves when the outcome is stored, whatever it is; rejects only when it could not be stored.
   */
  run(job: ClaimedJob, worker: string, task: AnyTask): Promise<void>
  /** Ends what it does in the background. */
  stop(): Promise<void>
}
