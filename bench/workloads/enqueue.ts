/** How fast one process enqueues: one at a time, many at a time, in bulk. */
import { enqueueMails, openApp, type BenchApp } from '../kit/app.ts'
import { mail } from '../kit/job.ts'
import { ticks } from '../kit/ticks.ts'
import { rawInserts } from '../raw/measures.ts'
import { atLeast, best, ratio, row } from '../row.ts'
import { scaled, type Measure, type Workload } from '../workload.ts'

/** Times one way to enqueue, after a warm-up of 1,000 jobs, and reads back what is there. */
function enqueued(most: number, way: (app: BenchApp, jobs: number) => Promise<void>): Measure {
  return async (setting) => {
    const jobs = scaled(most, setting)
    const app = openApp(setting)
    await way(app, 1_000)
    const since = ticks()
    await way(app, jobs)
    const ms = ticks() - since
    const counts = await app.errand.jobs.counts()
    if (counts[0]?.state !== 'ready' || counts[0].count !== jobs + 1_000)
      throw new Error(
        `${jobs + 1_000} jobs should be ready, but the store counts ${JSON.stringify(counts)}`,
      )
    const { jobs: newest } = await app.errand.jobs.list({ limit: 100 })
    const ids = new Set(newest.map(({ input }) => (input as { readonly id: number }).id))
    if (ids.size !== 100) throw new Error('the newest jobs are not those that were enqueued')
    await app.errand.close()
    return { rate: (jobs / ms) * 1_000 }
  }
}

async function inFlight({ errand, task }: BenchApp, jobs: number, callers: number): Promise<void> {
  let next = 0
  const call = async (): Promise<void> => {
    while (next < jobs) await errand.enqueue(task, mail(next++))
  }
  await Promise.all(Array.from({ length: callers }, call))
}

export const enqueue: Workload = {
  name: 'enqueue',
  title: 'Enqueue',
  durabilities: ['process', 'power'],
  cases: {
    'raw-1': rawInserts(1, 20_000),
    'raw-100': rawInserts(100, 100_000),
    'raw-1000': rawInserts(1_000, 100_000),
    one: enqueued(10_000, (app, jobs) => inFlight(app, jobs, 1)),
    hundred: enqueued(50_000, (app, jobs) => inFlight(app, jobs, 100)),
    many: enqueued(100_000, (app, jobs) => enqueueMails(app, 0, jobs)),
  },
  rows: (measured) => {
    const rate = (name: string): readonly number[] => measured(name, 'rate')
    const raw = best(rate('raw-100'), rate('raw-1000'))
    return [
      row(
        'raw engine, one insert per transaction',
        'jobs/s',
        rate('raw-1'),
        null,
        'baseline.md: 36,746 process, 9,055 power',
      ),
      row(
        'raw engine, 100 inserts per transaction',
        'jobs/s',
        rate('raw-100'),
        null,
        'baseline.md: 169,235 process, 130,702 power',
      ),
      row(
        'raw engine, 1,000 inserts per transaction',
        'jobs/s',
        rate('raw-1000'),
        null,
        'baseline.md: 182,999 process, 175,706 power',
      ),
      row('enqueue, one awaited at a time', 'jobs/s', rate('one')),
      row('enqueue, 100 in flight', 'jobs/s', rate('hundred')),
      row('enqueueMany, 1,000 a call', 'jobs/s', rate('many')),
      row('one at a time / raw single inserts', 'ratio', ratio(rate('one'), rate('raw-1'))),
      row(
        '100 in flight / one at a time',
        'ratio',
        ratio(rate('hundred'), rate('one')),
        atLeast(5),
      ),
      row(
        'enqueueMany / raw batched inserts at their best',
        'ratio',
        ratio(rate('many'), raw),
        atLeast(0.5),
      ),
    ]
  },
}
