/** How things stand: queues, workers, what failed, what doctor says. */
import { call } from '../api.ts'
import { useData } from '../data.ts'
import { Badge, Empty, Section, Show, Table, Time, Name } from '../parts/basics.tsx'
import { History } from '../parts/history.tsx'
import { to } from '../route.ts'
import { session } from '../session.ts'
import { number } from '../times.ts'
import { states, type Finding, type Standing, type Worker } from '../types.ts'
import { QueueTable, readQueues, type All } from './queues.tsx'

export function Overview() {
  const loaded = useData('overview', read, { everyMs: 5_000 })
  const { data } = loaded
  const who = session.value
  const seesAll = who !== null && who !== 'needed' && who.queues === null
  return (
    <>
      <h1>Overview</h1>
      <Show loaded={loaded}>{({ counts }) => <Totals counts={counts} />}</Show>
      <History />
      {data !== undefined && (
        <>
          <Section title="Queues" aside={<a href={to(['queues'])}>All queues</a>}>
            <QueueTable all={data.all} reload={loaded.reload} />
          </Section>
          <Section title="Workers" aside={<a href={to(['fleet'])}>All workers</a>}>
            <WorkersNow workers={data.all.workers} />
          </Section>
        </>
      )}
      {seesAll && !loaded.isLoading && <Doctor />}
    </>
  )
}

interface Overall extends Pick<Standing, 'counts'> {
  readonly all: All
}

async function read(signal: AbortSignal): Promise<Overall> {
  const [all, { counts }] = await Promise.all([
    readQueues({ order: 'busiest', limit: '12' }, signal),
    call<Standing>('GET', 'v1/stats/all', { signal }),
  ])
  return { all, counts }
}

function Totals({ counts }: Pick<Standing, 'counts'>) {
  return (
    <ul class="totals">
      {states.map((state) => (
        <li key={state}>
          <a href={to(['jobs'], { state })}>
            <span class="big">{number(counts[state] ?? 0)}</span>
            <Badge state={state} />
          </a>
        </li>
      ))}
    </ul>
  )
}

function WorkersNow({ workers }: { readonly workers: readonly Worker[] }) {
  const running = workers.filter(({ state }) => state === 'running')
  if (running.length === 0)
    return (
      <Empty>
        No worker runs. Start one with <code>errand worker</code>.
      </Empty>
    )
  return (
    <Table label="Workers" head={['Worker', 'Queues', 'Running', 'Seen']}>
      {running.slice(0, 10).map((worker) => (
        <tr key={worker.id}>
          <td>
            <Name text={`${worker.host} · ${worker.pid}`} />
          </td>
          <td>
            <Name text={worker.queues.join(', ')} />
          </td>
          <td>
            {worker.running.length} of {worker.slots}
          </td>
          <td>
            <Time at={worker.lastSeenAt} />
          </td>
        </tr>
      ))}
    </Table>
  )
}

function Doctor() {
  const findings = useData(
    'doctor',
    (signal) => call<{ findings: readonly Finding[] }>('GET', 'v1/doctor', { signal }),
    { on: () => false, everyMs: 0 },
  )
  const again = (
    <button type="button" class="plain" onClick={findings.reload}>
      Look again
    </button>
  )
  return (
    <Section title="Doctor" aside={again}>
      {findings.data === undefined && findings.error === null && (
        <p class="hush">Examining the store, the workers and the jobs…</p>
      )}
      <Show loaded={findings} quiet>
        {({ findings: all }) => {
          const bad = all.filter(({ status }) => status !== 'ok')
          if (bad.length === 0) return <p>All {all.length} checks are well.</p>
          return (
            <ul class="findings">
              {bad.map((finding, index) => (
                <li key={index} class={`is-${finding.status}`}>
                  <strong>{finding.check}</strong> {finding.text}
                  {finding.advice !== undefined && <p class="hush">{finding.advice}</p>}
                </li>
              ))}
            </ul>
          )
        }}
      </Show>
    </Section>
  )
}
