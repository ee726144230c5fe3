/** Charts of the overview, from the minutes that the store keeps. */
import { useMemo } from 'preact/hooks'
import { call } from '../api.ts'
import { useData } from '../data.ts'
import { duration, number } from '../times.ts'
import type { HistoryPoint } from '../types.ts'
import { Chart, type Line } from './chart.tsx'

type Read = (point: HistoryPoint) => number | null

export function History() {
  const { data } = useData(
    'history',
    (signal) =>
      call<{ history: readonly HistoryPoint[] }>('GET', 'v1/stats', {
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
          ['completed', 'completed', (point) => sumOf(point, 'completed')],
          ['failed', 'failed', (point) => sumOf(point, 'failed')],
        ]}
      />
      <HistoryChart
        title="Waiting and running"
        history={history}
        show={number}
        lines={[
          ['ready', 'ready', ({ queues }) => queues.reduce((sum, { ready }) => sum + ready, 0)],
          ['running', 'running', ({ queues }) => queues.reduce((sum, one) => sum + one.running, 0)],
        ]}
      />
      <HistoryChart
        title="From due to start: the oldest that waits, and the slowest task"
        history={history}
        show={duration}
        lines={[
          [
            'oldest',
            'scheduled',
            ({ queues }) => Math.max(0, ...queues.map((one) => one.oldestMs)),
          ],
          ['p99', 'failed', (point) => worst(point, 'wait', 'p99Ms')],
          ['p50', 'ready', (point) => worst(point, 'wait', 'p50Ms')],
        ]}
      />
      <HistoryChart
        title="Runs of the slowest task"
        history={history}
        show={duration}
        lines={[
          ['p99', 'failed', (point) => worst(point, 'run', 'p99Ms')],
          ['p50', 'ready', (point) => worst(point, 'run', 'p50Ms')],
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

function sumOf({ runs }: HistoryPoint, outcome: string): number {
  return runs.reduce((sum, { ended }) => sum + (ended[outcome] ?? 0), 0)
}

/** Quantiles of several tasks have no sum: the highest of them says what is slow. */
function worst(
  { runs }: HistoryPoint,
  of: 'wait' | 'run',
  quantile: 'p50Ms' | 'p99Ms',
): number | null {
  const known = runs.flatMap((run) => run[of][quantile] ?? [])
  return known.length === 0 ? null : Math.max(...known)
}
