/** The thread of a lock's keeper: opens the locks anew and runs the hold loop on them. */
import { parentPort, workerData } from 'node:worker_threads'
import { HoldLoop, type HoldReport } from './hold-loop.ts'
import type { HoldAnswer, Locks } from '../store/locks.ts'
import { openInThread, type Ready, type ThreadStart } from '../loops/in-thread.ts'
import { sentError, type SentError } from '../loops/sent-error.ts'
import { machineTicks } from '../loops/time.ts'

/** What the keeper hands to the thread at its start, beside what every thread is given. */
export interface LockThreadData {
  readonly name: string
  readonly holder: string
  readonly ttlMs: number
  readonly host: string
  readonly pid: number
  /** The memory of `SharedBelief.until`. */
  readonly until: SharedArrayBuffer
}

/** What the keeper sends. Calls have a number, by which their answer is known. */
export type ToLockThread =
  | { readonly kind: 'take' | 'extend' | 'release'; readonly call: number }
  | { readonly kind: 'stop' }

/** What the thread sends. */
export type FromLockThread =
  | Exclude<HoldReport, { readonly kind: 'failed' }>
  | { readonly kind: 'failed'; readonly error: SentError }
  | { readonly kind: 'answer'; readonly call: number; readonly answer: HoldAnswer | boolean | null }
  | { readonly kind: 'refused'; readonly call: number; readonly code: string; readonly why: string }

const port = parentPort
if (port === null) throw new Error('lock-thread.ts runs as a thread only')

const { until, version, connector, ...rest } = workerData as LockThreadData & ThreadStart
const locks = await openInThread<Locks>({ version, connector })
const send = (message: FromLockThread): void => port.postMessage(message)
const loop = new HoldLoop({
  locks,
  ...rest,
  belief: { until: new Float64Array(until) },
  ticks: machineTicks,
  report: (report) =>
    send(report.kind === 'failed' ? { kind: 'failed', error: sentError(report.error) } : report),
})

port.on('message', (message: ToLockThread) => {
  switch (message.kind) {
    case 'take':
      return answer(message.call, loop.take())
    case 'extend':
      return answer(message.call, loop.extend())
    case 'release':
      return answer(
        message.call,
        loop.release().then(() => null),
      )
    case 'stop':
      void loop
        .release()
        .catch(() => {})
        .then(() => locks.close())
        .finally(() => port.close())
  }
})

port.postMessage({ kind: 'ready' } satisfies Ready)

function answer(call: number, reply: Promise<HoldAnswer | boolean | null>): void {
  reply.then(
    (value) => send({ kind: 'answer', call, answer: value }),
    (error: Error & { readonly code?: string }) =>
      send({ kind: 'refused', call, code: error.code ?? 'server-unavailable', why: error.message }),
  )
}
