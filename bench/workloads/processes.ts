/** One and two processes on jobs that compute. */
import { createErrand } from 'errand'
import { startProcesses } from 'errand/fleet'
import { sqlite } from 'errand/sqlite'
import { checkCompleted, fileOf } from '../kit/app.ts'
import { compute } from '../kit/computing.ts'
import { slept } from '../kit/ticks.ts'
import { atLeast, ratio, row } from '../row.ts'
import { scaled, type Measure, type Workload } from '../workload.ts'

/** From the first start of a handler to the last end, by the store's clock. */
function computedBy(processes: number): Measure {
  return async (setting) => {
    const jobs = scaled(1_000, setting)
    const file = fileOf(setting)
    const store = sqlite(file, { durability: setting.durability })
    const errand = createErrand({ store, tasks: [compute] })
    await errand.enqueueMany(Array.from({ length: jobs }, (_, id) => [compute, { id }] as const))
    await errand.queues.pause('default')
    // They log to stdout otherwise, which is the bench's.
    process.env['ERRAND_LOG_LEVEL'] = 'error'
    const fleet = await startProcesses({
      processes,
      config: new URL('../kit/computing.ts', import.meta.url),
      store: `sqlite:${file}?durability=${setting.durability}`,
    })
    try {
      await errand.queues.resume('default')
      for (;;) {
        const counts = await errand.jobs.counts()
        if (counts.every(({ state }) => state === 'completed')) break
        await slept(50)
      }
    } finally {
      await fleet.stop()
    }
    await checkCompleted({ errand }, jobs)
    const { jobs: ended } = await errand.jobs.list({ limit: jobs })
    await errand.close()
    const startedAt = Math.min(...ended.map((job) => job.startedAt?.getTime() ?? NaN))
    const finishedAt = Math.max(...ended.map((job) => job.finishedAt?.getTime() ?? NaN))
    return { rate: (jobs / (finishedAt - startedAt)) * 1_000 }
  }
}

export const processes: Workload = {
  name: 'processes',
  title: 'Jobs that compute, in one process and in two',
  durabilities: ['process'],
  cases: { one: computedBy(1), two: computedBy(2) },
  rows: (measured) => [
    row('one process', 'jobs/s', measured('one', 'rate')),
    row('two processes', 'jobs/s', measured('two', 'rate')),
    row(
      'two / one',
      'ratio',
      ratio(measured('two', 'rate'), measured('one', 'rate')),
      atLeast(1.6),
    ),
  ],
}
