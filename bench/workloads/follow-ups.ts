/** What a follow-up costs the end of its job. */
import { openApp } from '../kit/app.ts'
import { followUps as measure } from '../measures/follow-ups.ts'
import { atLeast, row } from '../row.ts'
import { scaled, type Workload } from '../workload.ts'

export const followUps: Workload = {
  name: 'follow-ups',
  title: 'Jobs with a follow-up each',
  durabilities: ['process'],
  mostRuns: 3,
  cases: {
    'follow-ups': (setting) =>
      measure((ran, options) => openApp(setting, ran, options), scaled(20_000, setting)),
  },
  rows: (measured) => {
    const figure = (name: string): readonly number[] => measured('follow-ups', name)
    return [
      row('drain of jobs without', 'jobs/s', figure('without')),
      row('drain of jobs with a follow-up', 'jobs/s', figure('with')),
      row('with / without', 'ratio', figure('with / without'), atLeast(0.7), 'of five pairs'),
    ]
  },
}
