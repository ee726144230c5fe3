/** How soon an idle worker starts a job: from just before the call of `enqueue` to the start of the handler. */
import { checkResults, openApp } from '../kit/app.ts'
import { Drain } from '../kit/drain.ts'
import { percentile } from '../kit/numbers.ts'
import { enqueuePaced } from '../kit/paced.ts'
import { Peer } from '../kit/peer.ts'
import { atMost, row } from '../row.ts'
import { scaled, type Figures, type Setting, type Workload } from '../workload.ts'

const warmUp = 50

type Producer = (drain: Drain, setting: Setting, jobs: number) => Promise<readonly number[]>

function pickedUp(produce: Producer): (setting: Setting) => Promise<Figures> {
  return async (setting) => {
    const jobs = scaled(1_000, setting) / 2
    const drain = new Drain((ran) => openApp(setting, ran), jobs)
    await drain.start()
    const sentAt = await produce(drain, setting, jobs)
    await drain.settled(jobs)
    await drain.stop()
    drain.ledger.check()
    await checkResults(drain.app, jobs)
    await drain.close()
    const latencies = sentAt.map((at, id) => (drain.ledger.startedAt[id] ?? NaN) - at).slice(warmUp)
    return {
      p50: percentile(latencies, 0.5),
      p99: percentile(latencies, 0.99),
      worst: Math.max(...latencies),
    }
  }
}

export const pickUp: Workload = {
  name: 'pick-up',
  title: 'Pick-up by an idle worker, one job each 10 ms',
  durabilities: ['process', 'power'],
  cases: {
    same: pickedUp((drain, _, jobs) => enqueuePaced(drain.app, jobs)),
    other: pickedUp(async (_, place, jobs) => {
      const producer = new Peer(new URL('../peers/producer.ts', import.meta.url), { place, jobs })
      const sentAt = await producer.next<number[]>()
      await producer.ended()
      return sentAt
    }),
  },
  rows: (measured) => [
    row('enqueued in the same process, p50', 'ms', measured('same', 'p50'), atMost(2)),
    row('enqueued in the same process, p99', 'ms', measured('same', 'p99')),
    row('enqueued in another process, p50', 'ms', measured('other', 'p50'), atMost(10)),
    row('enqueued in another process, p99', 'ms', measured('other', 'p99')),
  ],
}
