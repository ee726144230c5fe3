/** Queues: how deep, how old, whether anybody works on them. */
import { useState } from 'preact/hooks'
import { call, segment } from '../api.ts'
import { useData } from '../data.ts'
import { Empty, Name, Show, Table } from '../parts/basics.tsx'
import { Find } from '../parts/find.tsx'
import { attempt } from '../parts/notices.tsx'
import { to } from '../route.ts'
import { may } from '../session.ts'
import { duration, now, number } from '../times.ts'
import type { Queue, QueuePage, Worker } from '../types.ts'

/** Rows that are shown at first, and more at a time up to as many; ten thousand queues are found by name. */
const rows = { first: 100, most: 1_000 } as const

export function Queues() {
  const [find, setFind] = useState('')
  const [limit, setLimit] = useState<number>(rows.first)
  const query = { limit: String(limit), ...(find === '' ? {} : { find }) }
  const loaded = useData(`queues/${limit}/${find}`, (signal) => readQueues(query, signal), {
    everyMs: 5_000,
    keeps: true,
  })
  return (
    <>
      <h1>Queues</h1>
      <Show loaded={loaded}>
        {(all) => (
          <>
            {(all.found > 10 || find !== '') && <Find text={find} onChange={setFind} />}
            {all.found === 0 && find !== '' ? (
              <Empty>No queue has that in its name.</Empty>
            ) : (
              <QueueTable all={all} reload={loaded.reload} />
            )}
            {all.found > all.queues.length && (
              <p class="actions">
                {limit < rows.most ? (
                  <button
                    type="button"
                    onClick={() => setLimit(Math.min(rows.most, limit + rows.first))}
                  >
                    Show more of {number(all.found)}
                  </button>
                ) : (
                  `These are the first ${number(limit)} of ${number(all.found)}: find the others by name.`
                )}
              </p>
            )}
          </>
        )}
      </Show>
    </>
  )
}

export interface All extends QueuePage {
  readonly workers: readonly Worker[]
  readonly served: (queue: string) => boolean
}

/** Reads some queues, how they stand, and who works on them. */
export async function readQueues(
  query: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<All> {
  const [page, { workers }] = await Promise.all([
    call<QueuePage>('GET', 'v1/queues', { query, signal }),
    call<{ workers: readonly Worker[] }>('GET', 'v1/workers', { signal }),
  ])
  const names = new Set(
    workers.filter(({ state }) => state === 'running').flatMap((worker) => worker.queues),
  )
  return { ...page, workers, served: (queue) => names.has('*') || names.has(queue) }
}

export function QueueTable({
  all: { queues, served },
  reload,
}: {
  readonly all: All
  readonly reload: () => void
}) {
  if (queues.length === 0)
    return (
      <Empty>
        No queue holds a job yet. <code>errand enqueue</code> adds one, and so does the{' '}
        <a href={to(['api'])}>API page</a>.
      </Empty>
    )
  return (
    <Table
      label="Queues"
      numeric={[1, 2, 3, 4, 5, 6]}
      head={['Queue', 'Ready', 'Oldest', 'Running', 'Scheduled', 'Blocked', 'Failed', '']}
    >
      {queues.map((queue) => (
        <Row key={queue.name} queue={queue} isServed={served(queue.name)} reload={reload} />
      ))}
    </Table>
  )
}

function Row({
  queue: { name, paused, counts, oldestReadyAt: oldest },
  isServed,
  reload,
}: {
  readonly queue: Queue
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
