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
  /** Ids of the jobs that it runs, at most 100. */
  readonly running: readonly string[]
  /** By the store's clock; the store fills `lastSeenAt` itself. */
  readonly startedAt: number
  readonly lastSeenAt: number
  readonly stopped: boolean
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
