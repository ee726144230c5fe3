/** Tasks for worker processes that are meant to get into trouble. */
import { setTimeout as sleep } from 'node:timers/promises'
import { constant } from '../../src/core/backoff.ts'
import { task } from '../../src/core/task.ts'

/** Blocks the event loop; it sleeps, so that tests beside it keep the cores. */
function block(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)
}

export const nap = task({
  name: 'nap',
  queue: 'naps',
  run: async (ms: number) => {
    await sleep(ms)
    return process.pid
  },
})

/** Kills its process at once. */
export const killer = task({
  name: 'killer',
  queue: 'naps',
  run: () => process.kill(process.pid, 'SIGKILL'),
})

/** Blocks the event loop of its process for a while. */
export const blocker = task({
  name: 'blocker',
  retry: { limit: 3, backoff: constant(100) },
  run: (ms: number) => {
    block(ms)
    return process.pid
  },
})

/** Runs until it is asked to cancel. */
export const patient = task({
  name: 'patient',
  retry: 'never',
  run: async (_: undefined, { signal }) => {
    await new Promise((resolve) => signal.addEventListener('abort', resolve))
    signal.throwIfAborted()
  },
})
