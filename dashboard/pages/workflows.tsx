/** Runs of workflows, the newest first; start one. */
import { useState } from 'preact/hooks'
import { call } from '../api.ts'
import { useData } from '../data.ts'
import { Badge, Empty, Name, Show, Span, Table, Time } from '../parts/basics.tsx'
import { Dialog } from '../parts/dialog.tsx'
import { SchemaForm } from '../parts/schema-form.tsx'
import { go, place, to } from '../route.ts'
import { may } from '../session.ts'
import { number } from '../times.ts'
import type { WorkflowInfo, WorkflowRun } from '../types.ts'

interface Page {
  readonly names: readonly string[]
  readonly runs: readonly WorkflowRun[]
  readonly next: string | null
}

export function Workflows() {
  const after = place.value.query.get('after') ?? undefined
  const loaded = useData(after ?? '', (signal) =>
    call<Page>('GET', 'v1/workflows', { query: { limit: '50', after }, signal }),
  )
  const [starting, setStarting] = useState<string | null>(null)
  return (
    <>
      <h1>Workflows</h1>
      <Show loaded={loaded}>
        {({ names, runs, next }) => (
          <>
            {may('enqueue') && names.length > 0 && (
              <p class="actions">
                {names.map((name) => (
                  <button key={name} type="button" onClick={() => setStarting(name)}>
                    Start <Name text={name} />…
                  </button>
                ))}
              </p>
            )}
            {runs.length === 0 ? (
              <Empty>
                No run yet. <code>errand workflows start NAME</code> starts one.
              </Empty>
            ) : (
              <Table label="Runs" head={['Run', 'Workflow', 'State', 'Started', 'Took']}>
                {runs.map((run) => (
                  <tr key={run.id}>
                    <td>
                      <a data-row class="mono" href={to(['workflows', run.id])} title={run.id}>
                        …{run.id.slice(-12)}
                      </a>
                    </td>
                    <td>
                      <Name text={run.workflow} />
                      {run.total !== null && (
                        <small class="hush"> batch of {number(run.total)}</small>
                      )}
                    </td>
                    <td>
                      <Badge state={run.state} />{' '}
                      {run.reason !== null && <small class="hush">{run.reason}</small>}
                    </td>
                    <td>
                      <Time at={run.createdAt} />
                    </td>
                    <td>
                      <Span from={run.createdAt} to={run.finishedAt} />
                    </td>
                  </tr>
                ))}
              </Table>
            )}
            <p class="actions">
              {after !== undefined && <a href={to(['workflows'])}>Newest</a>}
              {next !== null && <a href={to(['workflows'], { after: next })}>Older</a>}
            </p>
          </>
        )}
      </Show>
      {starting !== null && <Start name={starting} onClose={() => setStarting(null)} />}
    </>
  )
}

function Start({ name, onClose }: { readonly name: string; readonly onClose: () => void }) {
  const definitions = useData(
    'definitions',
    (signal) =>
      call<{ workflows: readonly WorkflowInfo[] }>('GET', 'v1/workflows/definitions', { signal }),
    { on: () => false, everyMs: 0 },
  )
  return (
    <Dialog title={`Start ${name}`} onClose={onClose}>
      <Show loaded={definitions}>
        {({ workflows }) => (
          <SchemaForm
            schema={workflows.find((one) => one.name === name)?.inputSchema ?? null}
            action="Start"
            send={async (input) => {
              const body = { workflow: name, input }
              const { id } = await call<{ id: string }>('POST', 'v1/workflows', { body })
              onClose()
              go(to(['workflows', id]))
            }}
          />
        )}
      </Show>
    </Dialog>
  )
}
