/**
 * How a process that exits right after stops its worker; for commands, and not part of the public
 * type.
 */
import type { StopOptions, Worker } from './worker-options.ts'

/** The same in all copies of Errand: the command and the app may come from two. */
export const stopToExit: unique symbol = Symbol.for('errand.stop-to-exit') as never

export interface StopsToExit {
  /** Stops like `stop`, but gives up as interrupted what still runs at the end. */
  [stopToExit](options: StopOptions): Promise<void>
}

/**
 * Stops a worker because its process is about to exit: what still runs then runs elsewhere at once.
 */
export function stopWorkerToExit(worker: Worker, options: StopOptions = {}): Promise<void> {
  return stopToExit in worker
    ? (worker as Worker & StopsToExit)[stopToExit](options)
    : worker.stop(options)
}
