/** How soon the jobs of a workflow follow each other on an idle worker. */
import { openApp } from '../kit/app.ts'
import { chain as measure } from '../measures/chain.ts'
import { children as measureChildren } from '../measures/children.ts'
import { atMost, row } from '../row.ts'
import { scaled, type Workload } from '../workload.ts'

export const chain: Workload = {
  name: 'chain',
  title: 'A chain of 1,000 jobs that each need the one before',
  durabilities: ['process'],
  mostRuns: 3,
  cases: { chain: (setting) => measure((ran) => openApp(setting, ran), scaled(1_000, setting)) },
  rows: (measured) => {
    const figure = (name: string): readonly number[] => measured('chain', name)
    return [
      row('from one start to the next, p50', 'ms', figure('link p50')),
      row('from one start to the next, mean', 'ms', figure('link')),
      row('ordinary job from its call, p50', 'ms', figure('pick-up')),
      row('link / ordinary job, p50', 'ratio', figure('link / pick-up'), atMost(1.5)),
    ]
  },
}

export const children: Workload = {
  name: 'children',
  title: 'A parent that needs 1,000 children',
  durabilities: ['process'],
  mostRuns: 3,
  cases: {
    children: (setting) => measureChildren((ran) => openApp(setting, ran), scaled(1_000, setting)),
  },
  rows: (measured) => [
    row('from the call to the start of the parent', 'ms', measured('children', 'ms')),
    row('children', 'jobs/s', measured('children', 'rate')),
  ],
}
