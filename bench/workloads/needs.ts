/** What jobs that need others cost those beside them. */
import { openApp } from '../kit/app.ts'
import { needs as measure } from '../measures/needs.ts'
import { atLeast, row } from '../row.ts'
import { scaled, type Workload } from '../workload.ts'

export const needs: Workload = {
  name: 'needs',
  title: 'Jobs that need others among plain ones',
  durabilities: ['process', 'power'],
  mostRuns: 3,
  cases: {
    needs: (setting) => measure((ran) => openApp(setting, ran), scaled(50_000, setting)),
  },
  rows: (measured) => {
    const figure = (name: string): readonly number[] => measured('needs', name)
    return [
      row('drain of plain jobs', 'jobs/s', figure('none')),
      row('drain where 1 % need another', 'jobs/s', figure('some')),
      row(
        '1 % with needs / plain',
        'ratio',
        figure('some / none'),
        atLeast(0.97),
        'of five pairs; rates are of all jobs, the work of the 1 % included',
      ),
    ]
  },
}
