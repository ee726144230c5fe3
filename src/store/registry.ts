/** What workers and operators share beside jobs: queues, workers, tasks. */

export interface Registry {
  /** Keeps queues from giving jobs. */
  pause(queues: readonly string[]): Promise<void>
  resume(queues: readonly string[]): Promise<void>
  /** Queues that hold a job, in whatever state, or are paused. No other name is remembered. */
  queues(): Promise<readonly QueueEntry[]>
  workers(): Promise<readonly WorkerRecord[]>
  /** Adds or replaces entries of the tasks registry. */
  registerTasks(tasks: readonly RegisteredTask[]): Promise<void>
  tasks(): Promise<readonly RegisteredTask[]>
}

export interface QueueEntry {
  readonly name: string
  readonly paused: boolean
}

/** A worker as the registry shows it. Kept for `workerRecordKeptMs` after its end. */
export interface WorkerRecord {
  readonly id: string
  readonly host: string
  readonly pid: number
  readonly version: string
  readonly queues: readonly string[]
  readonly slots: number
  /** The key of the record that lists the schedules of its code; null when that has none. */
  readonly schedules: string | null
  /** Where its leases are renewed: a thread goes on while the event loop is blocked. Left out for one that runs no jobs. */
  readonly renewer?: 'thread' | 'event-loop'
  /** Ids of the jobs that it runs, at most 100. */
  readonly running: readonly string[]
  /** By the store's clock; the store fills `lastSeenAt` itself. */
  readonly startedAt: number
  readonly lastSeenAt: number
  readonly stopped: boolean
  /** The group by which operators address it; null or absent for none. */
  readonly group?: string | null
  /** Why it claims nothing for now, such as `'control'` or `'cpu'`; empty or absent while it claims. */
  readonly paused?: readonly string[]
  /** Its place among the processes of a supervisor, counted from 0. */
  readonly process?: { readonly index: number; readonly of: number }
  /** The sources of messages that run in its process, at most 100; absent for none. */
  readonly sources?: readonly SourceRecord[]
}

/** How a source of messages is doing in one process. */
export interface SourceRecord {
  readonly name: string
  readonly state: 'connecting' | 'connected' | 'stopped'
  /** Failures in a row to connect or to pull; 0 is healthy. */
  readonly failures: number
  /** Failures in a row to store jobs; 0 is healthy. */
  readonly storeFailures: number
  /** What last went wrong, at most 500 bytes; null for nothing. */
  readonly lastError: string | null
  /** Since the start: messages that became jobs, that were known already, and that were parked. */
  readonly stored: number
  readonly known: number
  readonly parked: number
}

/** What the registry says about a task to those who do not have its code. */
export interface RegisteredTask {
  readonly name: string
  readonly aliases: readonly string[]
  readonly queue: string
  /** JSON Schema of the input as text; null when the schema library gives none. */
  readonly inputSchema: string | null
  /** The task's and its queue's options that hold at enqueue, as JSON. */
  readonly options: string
}
