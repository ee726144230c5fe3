/** Queues: how deep, how old, whether anybody works on them. */
import { useState } from 'preact/hooks'
import { call, segment } from '../api.ts'
import { useData, type Loaded } from '../data.ts'
import { Empty, Name, Show, Table } from '../parts/basics.tsx'
import { attempt } from '../parts/notices.tsx'
import { to } from '../route.ts'
import { may } from '../session.ts'
import { duration, now, number } from '../times.ts'
import type { Queue, QueueStats, Worker } from '../types.ts'

/** Rows that a table shows at once; ten thousand queues are found by name. */
const page = 100

export function Queues() {
  const loaded = useQueues()
  return (
    <>
      <h1>Queues</h1>
      <Show loaded={loaded}>
        {(all) => <QueueTable all={all} reload={loaded.reload} most={null} />}
      </Show>
    </>
  )
}

/** All queues, how they stand, and who works on them. */
export function useQueues(): Loaded<All> {
  return useData('queues', readAll, { everyMs: 5_000 })
}

export interface All {
  readonly queues: readonly Queue[]
  readonly stats: ReadonlyMap<string, QueueStats>
  readonly workers: readonly Worker[]
  readonly served: (queue: string) => boolean
}

async function readAll(signal: AbortSignal): Promise<All> {
  const [{ queues }, stats, { workers }] = await Promise.all([
    call<{ queues: readonly Queue[] }>('GET', 'v1/queues', { signal }),
    call<{ at: string; queues: readonly QueueStats[] }>('GET', 'v1/stats', { signal }),
    call<{ workers: readonly Worker[] }>('GET', 'v1/workers', { signal }),
  ])
  const names = new Set(
    workers.filter(({ state }) => state === 'running').flatMap((worker) => worker.queues),
  )
  return {
    queues,
    stats: new Map(stats.queues.map((one) => [one.queue, one])),
    workers,
    served: (queue) => names.has('*') || names.has(queue),
  }
}

/** Queues by name with a way to find one, or the busiest `most` of them. */
export function QueueTable({
  all: { queues, stats, served },
  reload,
  most,
}: {
  readonly all: All
  readonly reload: () => void
  readonly most: number | null
}) {
  const [find, setFind] = useState('')
  const [shown, setShown] = useState(page)
  if (queues.length === 0)
    return (
      <Empty>
        No queue holds a job yet. <code>errand enqueue</code> adds one, and so does the{' '}
        <a href={to(['api'])}>API page</a>.
      </Empty>
    )
  const found = queues.filter(({ name }) => name.includes(find))
  const rows =
    most === null
      ? found.slice(0, shown)
      : found.toSorted((a, b) => waiting(b) - waiting(a)).slice(0, most)
  return (
    <>
      {most === null && queues.length > 10 && (
        <label class="field narrow">
          Find
          <input
            type="search"
            data-find
            value={find}
            onInput={(event) => setFind(event.currentTarget.value)}
          />
        </label>
      )}
      <Table
        label="Queues"
        numeric={[1, 2, 3, 4, 5, 6]}
        head={['Queue', 'Ready', 'Oldest', 'Running', 'Scheduled', 'Blocked', 'Failed', '']}
      >
        {rows.map((queue) => (
          <Row
            key={queue.name}
            queue={queue}
            oldest={stats.get(queue.name)?.oldestReadyAt ?? null}
            isServed={served(queue.name)}
            reload={reload}
          />
        ))}
      </Table>
      {most === null && found.length > shown && (
        <p class="actions">
          <button type="button" onClick={() => setShown(shown + page)}>
            Show more of {number(found.length)}
          </button>
        </p>
      )}
    </>
  )
}

function waiting({ counts }: Queue): number {
  return (counts.ready ?? 0) + (counts.running ?? 0) + (counts.scheduled ?? 0) / 1_000
}

function Row({
  queue: { name, paused, counts },
  oldest,
  isServed,
  reload,
}: {
  readonly queue: Queue
  readonly oldest: string | null
  readonly isServed: boolean
  readonly reload: () => void
}) {
  const isStranded = !isServed && !paused && (counts.ready ?? 0) > 0
  const verb = paused ? 'resume' : 'pause'
  const act = async (): Promise<void> => {
    const path = `v1/queues/${segment(name)}/${verb}`
    await attempt(() => call('POST', path), paused ? `${name} goes on.` : `${name} is paused.`)
    reload()
  }
  return (
    <tr>
      <td>
        <a data-row href={to(['jobs'], { queue: name })}>
          <Name text={name} />
        </a>{' '}
        {paused && <span class="badge is-scheduled">paused</span>}
        {isStranded && <span class="badge is-failed">nobody consumes this</span>}
      </td>
      {(['ready', null, 'running', 'scheduled', 'blocked', 'failed'] as const).map((state) =>
        state === null ? (
          <td key="oldest" class="number">
            {oldest === null ? '' : duration(Math.max(0, now.value - Date.parse(oldest)))}
          </td>
        ) : (
          <td key={state} class="number">
            {(counts[state] ?? 0) > 0 && (
              <a href={to(['jobs'], { queue: name, state })}>{number(counts[state] ?? 0)}</a>
            )}
          </td>
        ),
      )}
      <td>
        {may('operate') && (
          <button type="button" class="plain" onClick={() => void act()}>
            {verb === 'pause' ? 'Pause' : 'Resume'}
          </button>
        )}
      </td>
    </tr>
  )
}
