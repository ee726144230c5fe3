/** One of several processes that drain one file. Starts when told to, reports what it settled, and ends when told to. */
import { openApp, type Place } from '../kit/app.ts'
import { Drain } from '../kit/drain.ts'
import { cpuMicroseconds } from '../kit/ticks.ts'
import { given, tell, told } from '../kit/peer.ts'

export interface Drained {
  readonly runs: Uint8Array
  readonly startedAt: number
  readonly settledAt: number
  /** Milliseconds of each store call. */
  readonly callsMs: readonly number[]
  /** Microseconds that its process used from the start to its last word. */
  readonly cpu: number
}

const reportEachMs = 10

const { place, jobs } = given<{ place: Place; jobs: number }>()
const drain = new Drain((ran) => openApp(place, ran), jobs)
await drain.app.errand.store.setup()
await tell('ready')
await told()
const cpuBefore = cpuMicroseconds()
await drain.start()
const reports = setInterval(() => void tell(drain.app.watched.settled), reportEachMs)
await told()
clearInterval(reports)
const callsMs = drain.app.watched.calls.map(({ ms }) => ms)
await drain.stop()
const cpu = cpuMicroseconds() - cpuBefore
await drain.close()
await tell({
  runs: drain.ledger.runs,
  startedAt: drain.startedAt,
  settledAt: drain.settledAt,
  callsMs,
  cpu,
} satisfies Drained)
process.disconnect?.()
