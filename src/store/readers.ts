/** The part of the contract that reads jobs. */
import type { Counters, JobState, LogLine } from '../core/job.ts'

export interface Readers {
  get(ids: readonly string[]): Promise<readonly (StoredJob | null)[]>
  /**
   * Newest first. A page may be short, even empty, while `next` is not null: the store bounds the work of one call, and ends a page
   * once the inputs and outputs in it hold `handedBytes`.
   */
  list(query: ListQuery): Promise<Page>
  counts(): Promise<readonly QueueCount[]>
  /** The log lines of one job, oldest first. */
  logs(id: string): Promise<readonly LogLine[]>
}

/** A job as it lies in the store, its texts still encoded. */
export interface StoredJob {
  readonly id: string
  readonly task: string
  readonly queue: string
  readonly state: JobState
  readonly priority: number
  readonly input: string
  readonly codec: string | null
  readonly options: string | null
  readonly parent: string | null
  readonly uniqueKey: string | null
  readonly createdAt: number
  readonly dueAt: number
  readonly startBy: number | null
  readonly deadlineAt: number | null
  readonly counters: Counters
  /** The last token, 0 before the first claim. */
  readonly token: number
  /** The worker that runs it, or ran it last. */
  readonly worker: string | null
  readonly leaseUntil: number | null
  readonly startedAt: number | null
  readonly finishedAt: number | null
  /** When retention ends; null for ever, and for jobs that are not final. */
  readonly expiresAt: number | null
  readonly cancelAsked: boolean
  /** JSON of the last progress. */
  readonly progress: string | null
  /** Encoded errors, oldest first, at most `keptErrors`. */
  readonly errors: readonly string[]
  readonly output: string | null
  readonly reason: string | null
}

export interface ListQuery {
  readonly states?: readonly JobState[]
  /** Names of tasks; a task that was renamed has several. */
  readonly tasks?: readonly string[]
  readonly queue?: string
  readonly uniqueKey?: string
  readonly parent?: string
  readonly createdFrom?: number
  readonly createdTo?: number
  readonly finishedFrom?: number
  readonly finishedTo?: number
  /** `next` of the page before. */
  readonly after?: string
  readonly limit: number
}

export interface Page {
  readonly jobs: readonly StoredJob[]
  readonly next: string | null
}

export interface QueueCount {
  readonly queue: string
  readonly state: JobState
  readonly count: number
}
