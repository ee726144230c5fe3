/** The public face of a worker. */
import type { Duration } from '../core/duration.ts'
import type { HoldReason } from '../core/hold-reason.ts'
import type { PauseWhen } from '../core/pause-when.ts'

export interface WorkerOptions {
  /** Which queues; default: all that the app names, and any other if it is open to them. */
  readonly queues?: readonly string[]
  /** Jobs at a time, over all queues. Default: the app's. */
  readonly slots?: number
  /** The longest an idle worker waits before it looks for work unasked. Default: the app's. */
  readonly poll?: Duration
  /** A name by which operators address several workers, as in `errand control pause --group api`. */
  readonly group?: string
  /** From which load on it claims nothing. Default: the app's. */
  readonly pauseWhen?: PauseWhen
  /**
   * Whether it looks after the store beside its jobs: rescues those of dead workers, prunes and fires schedules. A function
   * gets the index of this process among those of its supervisor, from 0. Default: the app's.
   */
  readonly keeper?: boolean | ((index: number) => boolean)
  /** Stops by itself once nothing is ready or due in its queues and nothing runs here. Default false. */
  readonly burst?: boolean
}

export interface StopOptions {
  /**
   * How long running jobs may go on before they are aborted. Default 25 s; `'none'` waits for them
   * without limit.
   */
  readonly grace?: Duration | 'none'
  /** How long aborted jobs may take to end before they are left as interrupted. Default 5 s. */
  readonly abortGrace?: Duration
}

/** How a worker is doing. */
export interface WorkerStatus {
  readonly id: string
  readonly state: 'new' | 'running' | 'stopping' | 'stopped'
  /** Why it claims nothing for now; empty while it claims. */
  readonly paused: readonly HoldReason[]
  readonly queues: readonly string[]
  readonly slots: number
  readonly running: number
  /** Handlers that wait for jobs they have called, without a slot. */
  readonly waiting: number
  /** Claimed and not started yet. */
  readonly buffered: number
  /** Handlers that ignored their abort. */
  readonly stuck: number
  /** Each part's failures in a row; 0 is healthy. */
  readonly parts: Readonly<Record<string, number>>
  /** Where leases are renewed: `thread` goes on while the event loop is blocked. */
  readonly renewer: 'thread' | 'event-loop'
}

/** A running consumer of jobs. It installs no signal handler and never ends the process. */
export interface Worker extends AsyncDisposable {
  readonly id: string
  readonly status: WorkerStatus
  /**
   * Loads the tasks, makes the context and starts to claim. Rejects when tasks or context fail, and
   * starts nothing then. A worker starts once.
   */
  start(): Promise<void>
  /** Claims nothing more and gives back what is buffered; what runs goes on. Before `start` as well. */
  pause(): void
  /** Ends what `pause` began. What operators or the load of the machine keep paused stays so. */
  resume(): void
  /**
   * Stops as the page on workers tells; resolves within its bounds even when the store is gone. A
   * second call may shorten them.
   */
  stop(options?: StopOptions): Promise<void>
}
