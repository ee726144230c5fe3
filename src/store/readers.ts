/** What reads jobs. */
import type { JobState, LogLine } from '../core/job.ts'
import type { StoredJob } from './job.ts'

export interface Readers {
  get(ids: readonly string[]): Promise<readonly (StoredJob | null)[]>
  /**
   * Newest first. A page may be short, even empty, while `next` is not null: the store bounds the work of one call, and ends a page
   * once the inputs and outputs in it hold `handedBytes`.
   */
  list(query: ListQuery): Promise<Page>
  counts(): Promise<readonly QueueCount[]>
  /** How each queue with jobs stands, for charts and alarms; by name. */
  stats(): Promise<readonly QueueStats[]>
  /** The log lines of one job, oldest first. */
  logs(id: string): Promise<readonly LogLine[]>
  /** The records of a job's runs by name, in the order of their names; at most `limit` of those after `after`. */
  recorded(query: RecordedQuery): Promise<readonly Recorded[]>
}

export interface ListQuery {
  readonly states?: readonly JobState[]
  /** Names of tasks; a task that was renamed has several. */
  readonly tasks?: readonly string[]
  readonly queue?: string
  readonly uniqueKey?: string
  readonly parent?: string
  readonly group?: string
  readonly tag?: string
  /** Of the ticks of this schedule: what `tick.schedule` in the JSON of their options is. */
  readonly schedule?: string
  readonly search?: Search
  readonly createdFrom?: number
  readonly createdTo?: number
  readonly finishedFrom?: number
  readonly finishedTo?: number
  /** `next` of the page before. */
  readonly after?: string
  readonly limit: number
}

/** Finds jobs by what their plain JSON holds. A payload with a codec matches nothing. */
export interface Search {
  readonly in: 'input' | 'output'
  /** Keys of objects and indexes of arrays, from the outside in; none for the whole payload. */
  readonly path: readonly string[]
  /** The value there, as canonical JSON. */
  readonly equals: string
}

export interface Page {
  readonly jobs: readonly StoredJob[]
  readonly next: string | null
  /** How many jobs were looked at for a tag, a schedule or a search; absent for a list without these. */
  readonly scanned?: number
}

export interface QueueCount {
  readonly queue: string
  readonly state: JobState
  readonly count: number
}

export interface QueueStats {
  readonly queue: string
  readonly counts: Readonly<Partial<Record<JobState, number>>>
  /** When the ready job that has been due for longest was due; null when none is ready. */
  readonly oldestReadyAt: number | null
}

export interface RecordedQuery {
  readonly id: string
  /** The last name of the page before; null from the first. */
  readonly after: string | null
  readonly limit: number
}

export interface Recorded {
  readonly name: string
  readonly text: string
}
