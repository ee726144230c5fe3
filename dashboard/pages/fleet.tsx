/** Workers and what they run, what they are told, and the sources of messages. */
import { useState } from 'preact/hooks'
import { call } from '../api.ts'
import { useData } from '../data.ts'
import { Badge, Empty, JobLink, Name, Section, Show, Table, Time } from '../parts/basics.tsx'
import { confirm } from '../parts/dialog.tsx'
import { attempt } from '../parts/notices.tsx'
import { may } from '../session.ts'
import { number } from '../times.ts'
import type { Order, SourceState, Worker } from '../types.ts'

const mostRunning = 8

interface All {
  readonly workers: readonly Worker[]
  readonly orders: readonly Order[]
}

async function readAll(signal: AbortSignal): Promise<All> {
  const [{ workers }, { orders }] = await Promise.all([
    call<{ workers: readonly Worker[] }>('GET', 'v1/workers', { signal }),
    call<{ orders: readonly Order[] }>('GET', 'v1/control', { signal }),
  ])
  return { workers, orders }
}

export function Fleet() {
  const loaded = useData('fleet', readAll, { on: () => false, everyMs: 3_000 })
  return (
    <>
      <h1>Workers</h1>
      <Show loaded={loaded}>
        {({ workers, orders }) => (
          <>
            {workers.length === 0 ? (
              <Empty>
                No worker in the last day. <code>errand worker</code> starts one.
              </Empty>
            ) : (
              <Workers workers={workers} reload={loaded.reload} />
            )}
            <Orders orders={orders} workers={workers} reload={loaded.reload} />
            <Sources workers={workers} />
          </>
        )}
      </Show>
    </>
  )
}

function Workers({
  workers,
  reload,
}: {
  readonly workers: readonly Worker[]
  readonly reload: () => void
}) {
  const head = ['Worker', 'State', 'Group', 'Queues', 'Slots', 'Runs', 'Since', 'Seen', '']
  return (
    <Table label="Workers" numeric={[4]} head={head}>
      {workers.map((worker) => (
        <tr key={worker.id}>
          <td>
            <Name text={placeOf(worker)} />
            {worker.process !== null && ` ${worker.process.index + 1}/${worker.process.of}`}
            <small class="hush"> {worker.version}</small>
          </td>
          <td>
            <Badge state={worker.state} />
            {worker.paused.map((why) => (
              <span key={why} class="badge is-scheduled">
                paused: {why}
              </span>
            ))}
          </td>
          <td>{worker.group !== null && <Name text={worker.group} />}</td>
          <td>
            <Name text={worker.queues.join(', ')} />
          </td>
          <td class="number">
            {worker.running.length} of {worker.slots}
          </td>
          <td>
            {worker.running.slice(0, mostRunning).map((id) => (
              <span key={id} class="pair">
                <JobLink id={id} />
              </span>
            ))}
            {worker.running.length > mostRunning &&
              `and ${worker.running.length - mostRunning} more`}
          </td>
          <td>
            <Time at={worker.startedAt} />
          </td>
          <td>
            <Time at={worker.lastSeenAt} />
          </td>
          <td>
            {worker.state === 'running' && (
              <Verbs target={{ worker: worker.id }} name={placeOf(worker)} reload={reload} />
            )}
          </td>
        </tr>
      ))}
    </Table>
  )
}

type Target = Readonly<Record<string, string | true>>

const verbs = ['pause', 'drain', 'restart', 'stop'] as const

/** What each does, for the question before it. */
const explained: Readonly<Record<(typeof verbs)[number], string>> = {
  pause: 'It claims no more jobs. What runs goes on.',
  drain: 'It claims no more jobs, and stops once none of its jobs runs.',
  restart: 'It stops as on SIGTERM and is started again; of several, one after another.',
  stop: 'It stops as on SIGTERM, and is not started again.',
}

function Verbs({
  target,
  name,
  reload,
}: {
  readonly target: Target
  readonly name: string
  readonly reload: () => void
}) {
  if (!may('operate')) return null
  const tell = async (verb: (typeof verbs)[number]): Promise<void> => {
    const label = `${verb.charAt(0).toUpperCase()}${verb.slice(1)}`
    if (!(await confirm(`${label} ${name}?`, explained[verb], label))) return
    await attempt(() => call('POST', `v1/control/${verb}`, { body: target }), 'It is told.')
    reload()
  }
  return (
    <select
      aria-label={`Tell ${name}`}
      value=""
      onChange={(event) => {
        const { value } = event.currentTarget
        event.currentTarget.value = ''
        const verb = verbs.find((one) => one === value)
        if (verb !== undefined) void tell(verb)
      }}
    >
      <option value="">Tell it…</option>
      {verbs.map((verb) => (
        <option key={verb} value={verb}>
          {verb}
        </option>
      ))}
    </select>
  )
}

function Orders({
  orders,
  workers,
  reload,
}: Pick<All, 'orders' | 'workers'> & { readonly reload: () => void }) {
  const [group, setGroup] = useState('')
  const groups = [...new Set(workers.flatMap((worker) => worker.group ?? []))].toSorted()
  const end = async ({ target }: Order): Promise<void> => {
    await attempt(() => call('POST', 'v1/control/resume', { body: target }), 'It is taken back.')
    reload()
  }
  return (
    <Section title="What workers are told">
      {may('operate') && (
        <p class="actions">
          <label>
            For{' '}
            <select value={group} onChange={(event) => setGroup(event.currentTarget.value)}>
              <option value="">all workers</option>
              {groups.map((name) => (
                <option key={name} value={name}>
                  {name}
                </option>
              ))}
            </select>
          </label>
          <Verbs
            target={group === '' ? { all: true } : { group }}
            name={group === '' ? 'all workers' : `the group ${group}`}
            reload={reload}
          />
        </p>
      )}
      {orders.length === 0 ? (
        <p class="hush">Nothing: all of them work.</p>
      ) : (
        <Table label="Orders" head={['Order', 'For', 'Since', 'By', 'Note', '']}>
          {orders.map((order) => (
            <tr key={JSON.stringify(order.target) + order.verb}>
              <td>{order.verb}</td>
              <td>
                <Name text={wordsOf(order.target)} />
              </td>
              <td>
                <Time at={order.at} />
              </td>
              <td>{order.by !== null && <Name text={order.by} />}</td>
              <td>
                <bdi>{order.note}</bdi>
              </td>
              <td>
                {may('operate') && (
                  <button type="button" class="plain" onClick={() => void end(order)}>
                    Take back
                  </button>
                )}
              </td>
            </tr>
          ))}
        </Table>
      )}
    </Section>
  )
}

function wordsOf(target: Target): string {
  const [kind = '', value] = Object.entries(target)[0] ?? []
  return value === true ? 'all workers' : `${kind} ${value ?? ''}`
}

/** The sources of all processes: who runs one, and whether messages come in. */
function Sources({ workers }: { readonly workers: readonly Worker[] }) {
  // Each worker of a process reports the same sources; the newest comes first.
  const rows = new Map<string, { readonly worker: Worker; readonly source: SourceState }>()
  for (const worker of workers)
    for (const source of worker.sources) {
      const key = JSON.stringify([worker.host, worker.pid, source.name])
      if (!rows.has(key)) rows.set(key, { worker, source })
    }
  if (rows.size === 0) return null
  return (
    <Section title="Sources of messages">
      <Table
        label="Sources"
        numeric={[3, 4, 5]}
        head={['Source', 'Process', 'State', 'Stored', 'Known', 'Parked', 'What last went wrong']}
      >
        {[...rows].map(([key, { worker, source }]) => (
          <tr key={key}>
            <td>
              <Name text={source.name} />
            </td>
            <td>
              <Name text={placeOf(worker)} />
            </td>
            <td>
              <Badge state={worker.state === 'lost' ? 'lost' : source.state} />{' '}
              <Trouble of={source} />
            </td>
            <td class="number">{number(source.stored)}</td>
            <td class="number">{number(source.known)}</td>
            <td class="number">{number(source.parked)}</td>
            <td class="clip" title={source.lastError ?? undefined}>
              <bdi>{source.lastError}</bdi>
            </td>
          </tr>
        ))}
      </Table>
    </Section>
  )
}

function Trouble({ of: { failures, storeFailures } }: { readonly of: SourceState }) {
  return (
    <>
      {failures > 0 && <span class="badge is-failed">{number(failures)} failures in a row</span>}
      {storeFailures > 0 && (
        <span class="badge is-failed">the store fails {number(storeFailures)} times in a row</span>
      )}
    </>
  )
}

function placeOf({ host, pid }: Worker): string {
  return `${host} · ${pid}`
}
