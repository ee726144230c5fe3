/** Whether queues that were used once slow what comes later. */
import { openApp } from '../kit/app.ts'
import { queuesUsedOnce as measure } from '../measures/queues-used-once.ts'
import { atLeast, atMost, ratio, row } from '../row.ts'
import { scaled, type Workload } from '../workload.ts'

export const queuesUsedOnce: Workload = {
  name: 'queues-used-once',
  title: 'Many queues that were used once',
  durabilities: ['process', 'power'],
  mostRuns: 3,
  cases: {
    once: (setting) =>
      measure((ran, options) => openApp(setting, ran, options), scaled(100_000, setting)),
  },
  rows: (measured) => {
    const once = (figure: string): readonly number[] => measured('once', figure)
    const [queues = NaN] = once('queues')
    const many = queues.toLocaleString('en-US')
    return [
      row(`one job in each of ${many} queues, enqueued and run`, 'jobs/s', once('once rate')),
      row('one job, enqueued to settled, before, p50', 'ms', once('p50 before')),
      row('one job, enqueued to settled, after, p50', 'ms', once('p50 after')),
      row(
        'one job, after / before',
        'ratio',
        ratio(once('p50 after'), once('p50 before')),
        atMost(1.2),
      ),
      row('drain of 10,000 jobs, before', 'jobs/s', once('rate before')),
      row('drain of 10,000 jobs, after', 'jobs/s', once('rate after')),
      row(
        'drain, after / before',
        'ratio',
        ratio(once('rate after'), once('rate before')),
        atLeast(0.8),
      ),
    ]
  },
}
