/** The thread that waits for the end of the parent's pipe: see orphan-watch.ts. */
import { Socket } from 'node:net'
import { parentPort, workerData } from 'node:worker_threads'
import { setTimeout } from '../core/timers.ts'
import type { OrphanWatch } from './orphan-watch.ts'

const { fd, leftMs, hasGroup, leaders } = workerData as OrphanWatch
const groupOf = (leader: number): number => (process.platform === 'win32' ? leader : -leader)

const pipe = new Socket({ fd, readable: true, writable: false })
pipe.on('error', () => undefined)
pipe.once('close', () => {
  parentPort?.postMessage('orphaned')
  setTimeout(killAll, leftMs)
})
pipe.resume()

/** SIGKILL, since nothing of the process may be left to handle anything else. */
function killAll(): void {
  for (const leader of leaders) {
    if (leader === 0) continue
    try {
      process.kill(groupOf(leader), 'SIGKILL')
    } catch {
      // Nothing is left of its group.
    }
  }
  // 0 is its whole group.
  process.kill(hasGroup ? 0 : process.pid, 'SIGKILL')
}
