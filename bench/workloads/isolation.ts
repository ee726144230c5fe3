/** What isolation costs. */
import { isolation as measure } from '../measures/isolation.ts'
import { atLeast, atMost, row } from '../row.ts'
import { scaled, type Workload } from '../workload.ts'

export const isolation: Workload = {
  name: 'isolation',
  title: 'Tasks in threads and processes',
  durabilities: ['process'],
  cases: {
    threads: (setting) => measure(setting, 'thread', scaled(20_000, setting)),
    processes: (setting) => measure(setting, 'process', scaled(20_000, setting)),
  },
  rows: (measured) => [
    row('drain in threads', 'jobs/s', measured('threads', 'rate'), atLeast(3_000)),
    row('drain in processes', 'jobs/s', measured('processes', 'rate')),
    row('start to first job, threads', 'ms', measured('threads', 'first job'), atMost(150)),
    row('start to first job, processes', 'ms', measured('processes', 'first job')),
  ],
}
