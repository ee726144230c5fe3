/** Whether queues that were used once slow what comes later. */
import { enqueueMails, type OpenApp } from '../kit/app.ts'
import { Drain } from '../kit/drain.ts'
import { mail } from '../kit/job.ts'
import { median, percentile } from '../kit/numbers.ts'
import { slept, ticks } from '../kit/ticks.ts'
import type { Figures } from '../workload.ts'

const batch = 1_000
/** Ordinary jobs of one look: some one at a time, the others in rounds of many at one go. */
const singles = 300
const together = 10_000
const rounds = 3
/** An empty queue is forgotten by then. */
const forgottenMs = 10_000
const ordinary = singles + rounds * together

/**
 * The cost of ordinary jobs before and after one job ran in each of so many queues, all in one
 * process.
 */
export async function queuesUsedOnce(open: OpenApp, queues: number): Promise<Figures> {
  const jobs = 3 * ordinary + queues
  // A worker of any queue.
  const drain = new Drain((ran) => open(ran, { queues: { '*': {} } }), jobs)
  const { errand, task } = drain.app
  await drain.start()
  await look(drain, 0)
  const before = await look(drain, ordinary)
  const since = ticks()
  for (let start = 0; start < queues; start += batch) {
    const entries = Array.from(
      { length: Math.min(batch, queues - start) },
      (_, i) => [task, mail(2 * ordinary + start + i), { queue: `once-${start + i}` }] as const,
    )
    await errand.enqueueMany(entries)
  }
  const settledAt = await drain.settled(2 * ordinary + queues)
  await slept(forgottenMs)
  const after = await look(drain, 2 * ordinary + queues)
  await drain.stop()
  drain.ledger.check()
  const counts = await errand.jobs.counts()
  const completed = counts.reduce((sum, { count }) => sum + count, 0)
  if (completed !== jobs || counts.some(({ state }) => state !== 'completed'))
    throw new Error(`${jobs} jobs should be completed, but the store counts ${completed} or others`)
  await drain.close()
  return {
    queues,
    'once rate': (queues / (settledAt - since)) * 1_000,
    'p50 before': before.p50,
    'p50 after': after.p50,
    'rate before': before.rate,
    'rate after': after.rate,
  }
}

/**
 * Ordinary jobs with ids from `first` on: how long one takes from the call to its settlement, and
 * how many a second drain.
 */
async function look(
  { app, ledger }: Drain,
  first: number,
): Promise<{ readonly p50: number; readonly rate: number }> {
  const { errand, task, watched } = app
  const ms: number[] = []
  for (let id = first; id < first + singles; id++) {
    const since = ticks()
    await errand.enqueue(task, mail(id))
    ms.push((await watched.reached(id + 1)) - since)
  }
  const rates: number[] = []
  for (let from = first + singles; from < first + ordinary; from += together) {
    const to = from + together
    await errand.queues.pause('default')
    await enqueueMails(app, from, to)
    await errand.queues.resume('default')
    const settledAt = await watched.reached(to)
    const span = settledAt - Math.min(...ledger.startedAt.subarray(from, to))
    rates.push((together / span) * 1_000)
  }
  return { p50: percentile(ms, 0.5), rate: median(rates) }
}
