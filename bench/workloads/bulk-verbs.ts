/** What cancel, retry, take and remove take on many jobs. */
import { openApp } from '../kit/app.ts'
import { verbs } from '../measures/verbs.ts'
import { row } from '../row.ts'
import { scaled, type Workload } from '../workload.ts'

export const bulkVerbs: Workload = {
  name: 'bulk-verbs',
  title: 'The verbs of operators on many jobs',
  durabilities: ['process', 'power'],
  mostRuns: 3,
  cases: {
    verbs: (setting) => verbs((ran) => openApp(setting, ran), scaled(100_000, setting)),
  },
  rows: (measured) => {
    const [jobs = NaN] = measured('verbs', 'jobs')
    const many = jobs.toLocaleString('en-US')
    const seconds = (verb: string): readonly number[] => measured('verbs', verb)
    return [
      row(`cancel of ${many} waiting jobs`, 's', seconds('cancel')),
      row(`retry of ${many} cancelled jobs`, 's', seconds('retry')),
      row(`take of ${many} completed jobs`, 's', seconds('take'), null, '100 calls in flight'),
      row(`remove of ${many} waiting jobs`, 's', seconds('remove')),
    ]
  },
}
