/** Charts of the overview, from the minutes that the store keeps. */
import { useMemo } from 'preact/hooks'
import { call } from '../api.ts'
import { useData } from '../data.ts'
import { duration, number } from '../times.ts'
import type { HistoryPoint, Standing } from '../types.ts'
import { Chart, type Line } from './chart.tsx'

type Read = (point: HistoryPoint) => number | null

export function History() {
  const { data } = useData(
    'history',
    (signal) =>
      call<Standing>('GET', 'v1/stats/all', {
        query: { by: 'minute' },
        signal,
      }),
    { on: () => false, everyMs: 30_000 },
  )
  const history = useMemo(() => data?.history ?? [], [data])
  if (history.length < 2)
    return data === undefined ? null : (
      <p class="hush">Charts come once workers have run for two minutes.</p>
    )
  return (
    <div class="charts">
      <HistoryChart
        title="Ended a minute"
        history={history}
        show={number}
        lines={[
          ['completed', 'completed', ({ all }) => all.ended['completed'] ?? 0],
          ['failed', 'failed', ({ all }) => all.ended['failed'] ?? 0],
        ]}
      />
      <HistoryChart
        title="Waiting and running"
        history={history}
        show={number}
        lines={[
          ['ready', 'ready', ({ depth }) => depth.ready],
          ['running', 'running', ({ depth }) => depth.running],
        ]}
      />
      <HistoryChart
        title="From due to start: all jobs, and the oldest that waits"
        history={history}
        show={duration}
        lines={[
          ['oldest', 'scheduled', ({ depth }) => depth.oldestMs],
          ['p99', 'failed', ({ all }) => all.wait.p99Ms],
          ['p50', 'ready', ({ all }) => all.wait.p50Ms],
        ]}
      />
      <HistoryChart
        title="Runs of all tasks"
        history={history}
        show={duration}
        lines={[
          ['p99', 'failed', ({ all }) => all.run.p99Ms],
          ['p50', 'ready', ({ all }) => all.run.p50Ms],
        ]}
      />
    </div>
  )
}

function HistoryChart({
  title,
  history,
  show,
  lines,
}: {
  readonly title: string
  readonly history: readonly HistoryPoint[]
  readonly show: (value: number) => string
  readonly lines: readonly (readonly [label: string, colour: string, read: Read])[]
}) {
  const times = useMemo(() => history.map(({ at }) => Date.parse(at) / 1_000), [history])
  const drawn = useMemo(
    () =>
      lines.map(([label, colour, read]): Line => ({ label, colour, values: history.map(read) })),
    [history],
  )
  return <Chart title={title} times={times} lines={drawn} show={show} />
}
