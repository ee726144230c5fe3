/** What schedules cost. */
import { openApp } from '../kit/app.ts'
import { schedulesAtOnce, tickToStart } from '../measures/schedules.ts'
import { atMost, ratio, row } from '../row.ts'
import { scaled, type Workload } from '../workload.ts'

export const schedules: Workload = {
  name: 'schedules',
  title: 'Schedules',
  durabilities: ['process'],
  mostRuns: 3,
  cases: {
    'at-once': (setting) =>
      schedulesAtOnce((ran, options) => openApp(setting, ran, options), scaled(10_000, setting)),
    'in-turn': (setting) => tickToStart((ran, options) => openApp(setting, ran, options)),
  },
  rows: (measured) => {
    const [together, turn] = ['at-once', 'in-turn'].map(
      (name) => (figure: string) => measured(name, figure),
    ) as [(figure: string) => readonly number[], (figure: string) => readonly number[]]
    const [count = NaN] = together('schedules')
    const many = count.toLocaleString('en-US')
    return [
      row(
        `${many} due in one second, all fired within`,
        'ms',
        together('fired within'),
        atMost(2_000),
      ),
      row('CPU of that minute', '%', together('cpu'), atMost(20)),
      row(`start of a worker that declares ${many}`, 'ms', together('start')),
      row(`CPU with ${many} at rest`, '%', together('idle cpu'), atMost(1)),
      row(`store calls in 5 s with ${many} at rest`, 'calls', together('idle calls'), atMost(1)),
      row('from a tick to its handler, p50', 'ms', turn('tick p50')),
      row('from a tick to its handler, p99', 'ms', turn('tick p99')),
      row(
        'tick / ordinary job from its call, p50',
        'ratio',
        ratio(turn('tick p50'), turn('job p50')),
        atMost(1.5),
      ),
    ]
  },
}
