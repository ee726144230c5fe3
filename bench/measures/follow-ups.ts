/** What a follow-up costs the end of its job. */
import { task } from 'errand'
import { checkCompleted, type OpenApp } from '../kit/app.ts'
import { Drain } from '../kit/drain.ts'
import { mail } from '../kit/job.ts'
import { median } from '../kit/numbers.ts'
import type { Figures } from '../workload.ts'

const batch = 1_000
const pairs = 5
const queue = 'follow-ups'

/**
 * Drains so many jobs without and with a follow-up each, in turn and in pairs: which of the two goes
 * first alternates. The follow-ups wait in a queue that is paused, and run at the end. Throws unless
 * every job, and every follow-up, ran exactly once.
 */
export async function followUps(open: OpenApp, jobs: number): Promise<Figures> {
  const rounds = 1 + 2 * pairs
  /** The ids of each round's follow-ups begin there, in the order of the rounds that have any. */
  const follows = new Map<number, number>()
  const all = (rounds + 1 + pairs) * jobs
  const drain = new Drain((ran, options) => {
    const next = task({
      name: 'next',
      queue,
      run: ({ ok }: { readonly ok: number }) => {
        ran((follows.get(Math.floor(ok / jobs)) ?? NaN) + (ok % jobs))
      },
    })
    return open(ran, { ...options, queues: { default: {}, [queue]: {} }, tasks: [next] })
  }, all)
  const { errand } = drain.app
  await errand.queues.pause(queue)
  await drain.start()
  let round = 0
  const next = async (kind: 'with' | 'without'): Promise<number> => {
    if (kind === 'with') follows.set(round, (rounds + follows.size) * jobs)
    const rate = await drained(drain, round * jobs, jobs, kind)
    round += 1
    return rate
  }
  // The first drain warms up.
  await next('with')
  const rates: { readonly without: number; readonly with: number }[] = []
  for (let pair = 0; pair < pairs; pair++) {
    if (pair % 2 === 0) {
      const without = await next('without')
      rates.push({ without, with: await next('with') })
    } else {
      const rate = await next('with')
      rates.push({ without: await next('without'), with: rate })
    }
  }
  await errand.queues.resume(queue)
  await drain.settled(all)
  await drain.stop()
  drain.ledger.check()
  await checkCompleted(drain.app, all)
  await drain.close()
  return {
    jobs,
    without: median(rates.map(({ without }) => without)),
    with: median(rates.map((pair) => pair.with)),
    'with / without': median(rates.map((pair) => pair.with / pair.without)),
  }
}

/** Jobs per second, from the first start to the last settlement of those with ids from `first` on. */
async function drained(
  { app, ledger }: Drain,
  first: number,
  jobs: number,
  kind: 'with' | 'without',
): Promise<number> {
  const { errand, watched, task: mailTask } = app
  await errand.queues.pause('default')
  const options = kind === 'with' ? { onSuccess: ['next'] } : {}
  for (let from = first; from < first + jobs; from += batch) {
    await errand.enqueueMany(
      Array.from({ length: batch }, (_, n) => [mailTask, mail(from + n), options] as const),
    )
  }
  await errand.queues.resume('default')
  const settledAt = await watched.reached(first + jobs)
  const startedAt = ledger.startedAt.subarray(first, first + jobs)
  return (jobs / (settledAt - startedAt.reduce((a, b) => Math.min(a, b)))) * 1_000
}
