/**
 * How a process that exits right after stops its worker; for commands, and not part of the public
 * type.
 */
import type { StopOptions, Worker } from './worker-options.ts'

type Stop = (options: StopOptions) => Promise<void>

/** The same in all copies of Errand: the command and the app may come from two. */
const stopToExit = Symbol.for('errand.stop-to-exit')

/** Gives a worker a way to stop that gives up as interrupted what still runs at the end. */
export function mayStopToExit(worker: Worker, stop: Stop): void {
  Object.defineProperty(worker, stopToExit, { value: stop })
}

/**
 * Stops a worker because its process is about to exit: what still runs then runs elsewhere at once.
 */
export function stopWorkerToExit(worker: Worker, options: StopOptions = {}): Promise<void> {
  const stop = (worker as { readonly [stopToExit]?: Stop })[stopToExit]
  return stop === undefined ? worker.stop(options) : stop(options)
}
