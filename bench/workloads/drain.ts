/** How fast one process drains a backlog, beside what the engine alone can do. */
import { checkResults, openApp, type AppOptions } from '../kit/app.ts'
import { Drain } from '../kit/drain.ts'
import { prepare } from '../kit/fixtures.ts'
import { cpuMicroseconds } from '../kit/ticks.ts'
import { rawDrain } from '../raw/measures.ts'
import { atLeast, best, ratio, row, type Row } from '../row.ts'
import { scaled, type Measure, type Measured, type Workload } from '../workload.ts'

/** The best settings found for jobs that take no time. */
const bestOptions: AppOptions = { slots: 100 }

function drained(options: AppOptions): Measure {
  return async (setting) => {
    const jobs = scaled(100_000, setting)
    await prepare(setting, { waiting: jobs })
    const drain = new Drain((ran) => openApp(setting, ran, options), jobs)
    await drain.start()
    const cpuSince = cpuMicroseconds()
    const settledAt = await drain.settled(jobs)
    const cpu = cpuMicroseconds() - cpuSince
    await drain.stop()
    drain.ledger.check()
    await checkResults(drain.app, jobs)
    await drain.close()
    return { rate: (jobs / (settledAt - drain.startedAt)) * 1_000, cpu: cpu / jobs }
  }
}

const batches = [100, 500, 1_000] as const

const baseline: Readonly<Record<number, string>> = {
  100: 'baseline.md, without history: 80,367 process, 83,913 power',
  1_000: 'baseline.md, without history: 90,904 process, 90,387 power',
}

function rows(measured: Measured): readonly Row[] {
  const rate = (name: string): readonly number[] => measured(name, 'rate')
  const raw = best(...batches.map((batch) => rate(`raw-${batch}`)))
  const least = best(...batches.map((batch) => rate(`raw-numbers-${batch}`)))
  return [
    ...batches.map((batch) =>
      row(
        `raw engine, claim and finish ${batch}`,
        'jobs/s',
        rate(`raw-${batch}`),
        null,
        baseline[batch],
      ),
    ),
    row('raw engine without ids, best batch', 'jobs/s', least, null, 'jobs cannot be found by id'),
    row('drain, default settings', 'jobs/s', rate('default'), null, 'hope: 40,000'),
    row('drain, best settings', 'jobs/s', rate('best'), null, `slots: ${bestOptions.slots}`),
    row(
      'drain (default) / raw engine at its best',
      'ratio',
      ratio(rate('default'), raw),
      atLeast(0.6),
    ),
    row(
      'drain (default) / raw engine at batch 100',
      'ratio',
      ratio(rate('default'), rate('raw-100')),
    ),
    row('drain (default) / raw engine without ids', 'ratio', ratio(rate('default'), least)),
    row('CPU of the raw engine, batch 1000', 'µs/job', measured('raw-1000', 'cpu')),
    row(
      'CPU of the drain, all threads',
      'µs/job',
      measured('default', 'cpu'),
      null,
      'steadier than the rate when others use the machine',
    ),
    row(
      'drain (default) / drain (best)',
      'ratio',
      ratio(rate('default'), rate('best')),
      atLeast(0.7),
    ),
  ]
}

export const drain: Workload = {
  name: 'drain',
  title: 'Drain, one process',
  durabilities: ['process', 'power'],
  cases: {
    ...Object.fromEntries(batches.map((batch) => [`raw-${batch}`, rawDrain('id', batch)])),
    default: drained({}),
    best: drained(bestOptions),
    ...Object.fromEntries(
      batches.map((batch) => [`raw-numbers-${batch}`, rawDrain('number', batch)]),
    ),
  },
  rows,
}
