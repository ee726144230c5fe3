/** One run of a workflow: its graph, its states, its timeline. */
import { call, segment } from '../api.ts'
import { useData } from '../data.ts'
import { Badge, Facts, JobLink, Name, Section, Show, Span, Table, Time } from '../parts/basics.tsx'
import { confirm } from '../parts/dialog.tsx'
import { attempt } from '../parts/notices.tsx'
import { box, draw } from '../graph.ts'
import { go, to } from '../route.ts'
import { may } from '../session.ts'
import { now, number } from '../times.ts'
import type { WorkflowDetail, WorkflowNode } from '../types.ts'

/** A graph of more nodes is shown as its table alone. */
const mostDrawn = 400

export function WorkflowPage({ id }: { readonly id: string }) {
  const loaded = useData(
    `workflow/${id}`,
    (signal) => call<WorkflowDetail>('GET', `v1/workflows/${segment(id)}`, { signal }),
    { everyMs: 5_000 },
  )
  return (
    <>
      <h1>
        Run <code class="mono">{id}</code>
      </h1>
      <Show loaded={loaded}>{(run) => <Detail run={run} reload={loaded.reload} />}</Show>
    </>
  )
}

function Detail({ run, reload }: { readonly run: WorkflowDetail; readonly reload: () => void }) {
  const path = `v1/workflows/${segment(run.id)}`
  const act = async (verb: 'cancel' | 'retry'): Promise<void> => {
    if (verb === 'cancel') {
      const text = 'What waits is cancelled, and what runs is asked to end.'
      if (!(await confirm('Cancel this run?', text, 'Cancel the run'))) return
    }
    await attempt(
      () => call('POST', `${path}/${verb}`, verb === 'cancel' ? { body: {} } : {}),
      verb === 'cancel' ? 'The run is told to end.' : 'What failed runs again.',
    )
    reload()
  }
  return (
    <>
      <p class="row">
        <Badge state={run.state} />
        <strong>
          <Name text={run.workflow} />
        </strong>
        {run.reason !== null && <span>{run.reason}</span>}
        {may('operate') && (
          <span class="actions">
            {run.finishedAt === null ? (
              <button type="button" onClick={() => void act('cancel')}>
                Cancel
              </button>
            ) : (
              run.state !== 'completed' && (
                <button type="button" class="main" onClick={() => void act('retry')}>
                  Retry what failed
                </button>
              )
            )}
          </span>
        )}
      </p>
      <Facts
        of={{
          Started: <Time at={run.createdAt} />,
          Ended: run.finishedAt === null ? null : <Time at={run.finishedAt} />,
          Took: <Span from={run.createdAt} to={run.finishedAt} />,
          Jobs: Object.entries(run.counts).map(([state, n]) => (
            <span key={state} class="pair">
              {number(n ?? 0)} <Badge state={state} />
            </span>
          )),
          Output: <JobLink id={run.id}>the job at its end</JobLink>,
        }}
      />
      {run.nodes.length > 0 && run.nodes.length <= mostDrawn && <Graph nodes={run.nodes} />}
      {run.nodes.length > 0 && <Nodes run={run} />}
    </>
  )
}

function Graph({ nodes }: { readonly nodes: readonly WorkflowNode[] }) {
  const drawing = draw(nodes)
  return (
    <Section title="Graph">
      <div class="scroll graph" role="region" aria-label="Graph" tabIndex={0}>
        <svg
          role="img"
          aria-label={`A graph of ${nodes.length} nodes; the table below has the same.`}
          width={drawing.width + 4}
          height={drawing.height + 4}
          viewBox={`-2 -2 ${drawing.width + 4} ${drawing.height + 4}`}
        >
          {drawing.edges.map(({ from, to: end, onFailed }) => {
            const [x, y] = [from.x + box.width, from.y + box.height / 2]
            const [toX, toY] = [end.x, end.y + box.height / 2]
            const bend = (toX - x) / 2
            return (
              <path
                key={`${from.node.id} ${end.node.id}`}
                class={`edge is-${onFailed}`}
                d={`M${x} ${y}C${x + bend} ${y} ${toX - bend} ${toY} ${toX} ${toY}`}
              />
            )
          })}
          {drawing.nodes.map(({ node, x, y }) => (
            <g
              key={node.id}
              class={`node is-${node.state}`}
              transform={`translate(${x} ${y})`}
              onClick={() => go(to(['jobs', node.id]))}
            >
              <title>{`${node.name}: ${node.state}`}</title>
              <rect width={box.width} height={box.height} rx="6" />
              <text x="10" y="18" class="title">
                {cut(node.isEnd ? 'end' : node.name)}
              </text>
              <text x="10" y="34">
                {node.state}
              </text>
            </g>
          ))}
        </svg>
      </div>
    </Section>
  )
}

function cut(text: string): string {
  return text.length <= 20
    ? text
    : `${text
        .slice(0, 19)
        .toWellFormed()
        .replace(/\ufffd$/, '')}…`
}

function Nodes({ run }: { readonly run: WorkflowDetail }) {
  const begin = Date.parse(run.createdAt)
  const end = run.finishedAt === null ? now.value : Date.parse(run.finishedAt)
  const share = (at: number): number =>
    Math.min(1, Math.max(0, (at - begin) / Math.max(1, end - begin)))
  return (
    <Section title="Timeline">
      <Table label="Nodes" head={['Node', 'Task', 'State', 'Took', 'When']}>
        {run.nodes.slice(0, 1_000).map((node) => {
          const from = node.startedAt === null ? null : share(Date.parse(node.startedAt))
          const until = node.finishedAt === null ? 1 : share(Date.parse(node.finishedAt))
          return (
            <tr key={node.id}>
              <td>
                <a data-row href={to(['jobs', node.id])}>
                  <Name text={node.isEnd ? 'end' : node.name} />
                </a>
              </td>
              <td>
                <Name text={node.task} />
              </td>
              <td>
                <Badge state={node.state} />{' '}
                {node.reason !== null && <small class="hush">{node.reason}</small>}
              </td>
              <td>
                <Span from={node.startedAt} to={node.finishedAt} />
              </td>
              <td class="span">
                {from !== null && (
                  <span
                    class={`bar is-${node.state}`}
                    style={{
                      marginLeft: `${from * 100}%`,
                      width: `${Math.max(0.5, (until - from) * 100)}%`,
                    }}
                  />
                )}
              </td>
            </tr>
          )
        })}
      </Table>
    </Section>
  )
}
