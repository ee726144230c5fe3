/** One of several processes that drain one file. Starts when told to, reports what it settled, and ends when told to. */
import { openApp, type Place } from '../kit/app.ts'
import { Drain } from '../kit/drain.ts'
import { given, tell, told } from '../kit/peer.ts'

export interface Drained {
  readonly runs: Uint8Array
  readonly startedAt: number
  readonly settledAt: number
  /** Milliseconds of each store call. */
  readonly callsMs: readonly number[]
}

const reportEachMs = 10

const { place, jobs } = given<{ place: Place; jobs: number }>()
const drain = new Drain((ran) => openApp(place, ran), jobs)
await drain.app.errand.store.setup()
await tell('ready')
await told()
await drain.start()
const reports = setInterval(() => void tell(drain.app.watched.settled), reportEachMs)
await told()
clearInterval(reports)
const callsMs = drain.app.watched.calls.map(({ ms }) => ms)
await drain.stop()
await drain.close()
await tell({
  runs: drain.ledger.runs,
  startedAt: drain.startedAt,
  settledAt: drain.settledAt,
  callsMs,
} satisfies Drained)
process.disconnect?.()
