/** What runs of many jobs cost. */
import { openApp } from '../kit/app.ts'
import { fanIn, largeBatch } from '../measures/large-runs.ts'
import { atMost, ratio, row, type Row } from '../row.ts'
import { scaled, type Measured, type Workload } from '../workload.ts'

export const largeRuns: Workload = {
  name: 'large-runs',
  title: 'Runs of many jobs',
  durabilities: ['process'],
  mostRuns: 3,
  cases: {
    batch: (setting) => largeBatch((ran) => openApp(setting, ran), scaled(100_000, setting)),
    'fan-in': (setting) => fanIn((ran) => openApp(setting, ran), scaled(10_000, setting)),
  },
  rows: (measured) => [...largeRunRows(measured, 'batch'), ...largeRunRows(measured, 'fan-in')],
}

/** The rows of one of the two. */
function largeRunRows(measured: Measured, name: 'batch' | 'fan-in'): readonly Row[] {
  const figure = (one: string): readonly number[] => measured(name, one)
  const [jobs = NaN] = figure('jobs')
  const linear = ratio(figure('whole'), figure('whole at a tenth'))
  return [
    row(`${name} of ${jobs}: start of 1,000`, 'ms', figure('start')),
    row(`${name} of ${jobs}: start and run of 1,000`, 'ms', figure('whole')),
    row(`${name}: 1,000 of all / 1,000 of a tenth`, 'ratio', linear, atMost(1.5)),
    row(
      `${name}: longest call of the start`,
      'ms',
      figure('longest call of the start'),
      atMost(50),
    ),
    row(`${name}: longest call of the worker`, 'ms', figure('longest call of the worker')),
    row(`${name}: longest settlement`, 'ms', figure('longest settle')),
  ]
}
