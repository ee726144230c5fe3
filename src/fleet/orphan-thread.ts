/** The thread that waits for the end of the parent's pipe: see orphan-watch.ts. */
import { Socket } from 'node:net'
import { parentPort, workerData } from 'node:worker_threads'
import { setTimeout } from '../core/timers.ts'
import type { OrphanWatch } from './orphan-watch.ts'

const { fd, leftMs, hasGroup } = workerData as OrphanWatch

const pipe = new Socket({ fd, readable: true, writable: false })
pipe.on('error', () => undefined)
pipe.once('close', () => {
  parentPort?.postMessage('orphaned')
  // 0 is its whole group. SIGKILL, since nothing of the process may be left to handle anything else.
  setTimeout(() => process.kill(hasGroup ? 0 : process.pid, 'SIGKILL'), leftMs)
})
pipe.resume()
