/** Processes that run jobs. */
import { mail } from '../../kit/job.ts'
import { Ledger } from '../../kit/ledger.ts'
import { tell, told } from '../../kit/peer.ts'
import { cpuMicroseconds } from '../../kit/ticks.ts'
import type { Drained, JobsPart } from '../part.ts'
import { openErrand } from '../sides/errand.ts'
import { openSide } from '../sides/index.ts'

const reportEachMs = 20

/** Starts a worker at a word, reports how many jobs ran, and at the next word stops and tells which. */
export async function drainJobs({ setup, jobs }: JobsPart): Promise<void> {
  const side = await openSide(setup)
  await side.setup()
  const ledger = new Ledger(jobs)
  await tell('ready')
  await told()
  const cpuBefore = cpuMicroseconds()
  const stop = await side.work((id) => ledger.ran(id))
  const reports = setInterval(() => void tell(ledger.count), reportEachMs)
  await told()
  clearInterval(reports)
  await stop()
  const cpu = cpuMicroseconds() - cpuBefore
  await side.close()
  const { runs, startedAt } = ledger
  await tell({ runs, startedAt, seen: side.seen(), cpu } satisfies Drained)
}

/** Reads back what jobs came to. */
export async function check({ setup, jobs }: JobsPart): Promise<void> {
  const side = await openSide(setup)
  await side.check(jobs)
  await side.close()
  await tell('as it should be')
}

const few = 10_000

/** Lets Errand drain ten thousand waiting jobs several times over; the first time warms up. */
export async function drainRounds({ setup, jobs }: JobsPart): Promise<void> {
  const side = openErrand(setup)
  await side.setup()
  const ledger = new Ledger(jobs)
  const stop = await side.work((id) => ledger.ran(id))
  let ms = 0
  for (let from = 0; from < jobs; from += few) {
    await side.pause()
    for (let start = from; start < from + few; start += 1_000)
      await side.enqueueMany(Array.from({ length: 1_000 }, (_, i) => mail(start + i)))
    await side.resume()
    // Until the last is settled, not started: of so few jobs, many are claimed together and start before any is settled.
    const settledAt = await side.watched.reached(from + few)
    if (from > 0) ms += settledAt - Math.min(...ledger.startedAt.subarray(from, from + few))
  }
  await stop()
  ledger.check()
  await side.close()
  await tell({ rate: ((jobs - few) / ms) * 1_000 })
}
