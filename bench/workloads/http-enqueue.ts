/** How fast jobs are enqueued over HTTP. */
import { bareRoute, managed, withoutLoad } from '../measures/http-enqueue.ts'
import { atLeast, atMost, ratio, row } from '../row.ts'
import { scaled, type Workload } from '../workload.ts'

export const httpEnqueue: Workload = {
  name: 'http-enqueue',
  title: 'Enqueue over HTTP, 64 connections',
  durabilities: ['process'],
  obstacle: withoutLoad,
  cases: {
    bare: (setting) => bareRoute(scaled(100_000, setting)),
    manager: (setting) => managed(setting, scaled(100_000, setting)),
  },
  rows: (measured) => [
    row('a bare route of Hono, parses and answers', 'requests/s', measured('bare', 'rate')),
    row('a manager, with a token', 'jobs/s', measured('manager', 'rate'), atLeast(8_000)),
    row(
      'a manager / a bare route',
      'ratio',
      ratio(measured('manager', 'rate'), measured('bare', 'rate')),
      atLeast(0.6),
    ),
    row('CPU of a bare route', 'µs a request', measured('bare', 'cpu')),
    row('CPU of a manager', 'µs a request', measured('manager', 'cpu')),
    row('p50 of an answer of the manager', 'ms', measured('manager', 'p50')),
    row('p99 of an answer of the manager', 'ms', measured('manager', 'p99'), atMost(50)),
  ],
}
