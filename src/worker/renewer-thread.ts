/** The thread of the renewer: opens the store anew and runs the renew loop on it. */
import { parentPort, workerData } from 'node:worker_threads'
import type { Store } from '../store/store.ts'
import { openInThread, type Ready, type ThreadStart } from '../loops/in-thread.ts'
import type { SharedLeases } from './lease-table.ts'
import { RenewLoop, type RenewReport } from './renew-loop.ts'
import { sentError, type SentError } from '../loops/sent-error.ts'
import { machineTicks } from '../loops/time.ts'

/** What the worker hands to the thread at its start, beside what every thread is given. */
export interface RenewerData {
  readonly shared: SharedLeases
  readonly leaseMs: number
  /** Whether the last renewal failed, of whoever renewed before. */
  readonly failing: boolean
}

/** What the worker sends. */
export type ToThread =
  | { readonly kind: 'wake' }
  | { readonly kind: 'check' }
  | { readonly kind: 'stop' }

/** What the thread sends, beside that it is ready. */
export type FromThread =
  | Exclude<RenewReport, { readonly kind: 'failed' }>
  | { readonly kind: 'failed'; readonly error: SentError }

const port = parentPort
if (port === null) throw new Error('renewer-thread.ts runs as a thread only')

const { shared, leaseMs, failing, ...start } = workerData as RenewerData & ThreadStart
const store = await openInThread<Store>(start)
const loop = new RenewLoop({
  store,
  clock: store.clock,
  ticks: machineTicks,
  shared,
  leaseMs,
  firstLeaseMs: store.info.firstLeaseMs,
  failing,
  report: (report: RenewReport) => port.postMessage(sendable(report)),
})

port.on('message', (message: ToThread) => {
  switch (message.kind) {
    case 'wake':
      return loop.wake()
    case 'check':
      return loop.check()
    case 'stop':
      void loop
        .stop()
        .then(() => store.close())
        .finally(() => port.close())
  }
})

// The worker claims nothing before it has heard that somebody renews; then it wakes the loop, for
// leases that others looked after.
port.postMessage({ kind: 'ready' } satisfies Ready)

function sendable(report: RenewReport): FromThread {
  return report.kind === 'failed' ? { kind: 'failed', error: sentError(report.error) } : report
}
