/** One job: what it was given, what it came to, and how it got there. */
import { useState } from 'preact/hooks'
import { call, segment } from '../api.ts'
import { useData } from '../data.ts'
import {
  Badge,
  Facts,
  fits,
  JobLink,
  Name,
  Section,
  Show,
  Span,
  Table,
  Time,
} from '../parts/basics.tsx'
import { confirm, Dialog } from '../parts/dialog.tsx'
import { JsonView } from '../parts/json-view.tsx'
import { attempt, notify } from '../parts/notices.tsx'
import { SchemaForm } from '../parts/schema-form.tsx'
import { go, to } from '../route.ts'
import { may } from '../session.ts'
import type { Job, KeptError, LogLine, TaskInfo } from '../types.ts'
import { Family } from './jobs.tsx'

export function JobPage({ id }: { readonly id: string }) {
  const loaded = useData(
    `job/${id}`,
    (signal) => call<Job>('GET', `v1/jobs/${segment(id)}`, { signal }),
    { everyMs: 5_000 },
  )
  return (
    <>
      <h1>
        Job <code class="mono">{id}</code>
      </h1>
      <Show loaded={loaded}>{(job) => <Detail job={job} reload={loaded.reload} />}</Show>
    </>
  )
}

function Detail({ job, reload }: { readonly job: Job; readonly reload: () => void }) {
  const isCoded = job.codec !== null
  return (
    <>
      <p class="row">
        <Badge state={job.state} />
        {job.cancelAsked && <span class="badge is-cancelled">asked to end</span>}
        <strong>
          <Name text={job.task} />
        </strong>
        {job.reason !== null && <span>{job.reason}</span>}
        <Verbs job={job} reload={reload} />
      </p>
      <Facts
        of={{
          Queue: (
            <a href={to(['jobs'], { queue: job.queue })}>
              <Name text={job.queue} />
            </a>
          ),
          Priority: job.priority === 0 ? null : job.priority,
          Created: <Time at={job.createdAt} />,
          Due: <Time at={job.dueAt} />,
          Started: job.startedAt === null ? null : <Time at={job.startedAt} />,
          Ended: job.finishedAt === null ? null : <Time at={job.finishedAt} />,
          Took: job.startedAt === null ? null : <Span from={job.startedAt} to={job.finishedAt} />,
          'Kept until': job.expiresAt === null ? null : <Time at={job.expiresAt} />,
          Deadline: job.deadlineAt === null ? null : <Time at={job.deadlineAt} />,
          Attempts: job.attempts,
          Failures: job.failures || null,
          Losses: job.losses || null,
          Postponed: job.postpones || null,
          Interrupted: job.interruptions || null,
          Worker: job.worker,
          Key: job.key === null ? null : <Name text={job.key} />,
          Tags:
            job.tags.length === 0
              ? null
              : job.tags.map((tag) => (
                  <a key={tag} class="chip" href={to(['jobs'], { tag })}>
                    <Name text={tag} />
                  </a>
                )),
          Group:
            job.group === null ? null : (
              <>
                <a href={to(['jobs'], { group: job.group })}>
                  <Name text={job.group} />
                </a>{' '}
                <a href={to(['workflows', job.group])}>as a workflow</a>
              </>
            ),
          'Follows from': job.parent === null ? null : <JobLink id={job.parent} />,
          Schedule:
            job.schedule === null ? null : (
              <a href={to(['schedules', job.schedule])}>
                <Name text={job.schedule} />
              </a>
            ),
          'Planned for': job.plannedAt === null ? null : <Time at={job.plannedAt} />,
          Token: job.token || null,
        }}
      />
      {job.progress !== undefined && job.progress !== null && (
        <Section title="Progress">
          <Progress of={job.progress} />
        </Section>
      )}
      <div class="halves">
        <Section title="Input">
          {isCoded && (
            <p class="hush">
              Written by the codec <code>{job.codec}</code>, which the manager may not know.
            </p>
          )}
          <JsonView label="The input" value={job.input} />
        </Section>
        <Section title="Output">
          <JsonView label="The output" value={job.output} />
        </Section>
      </div>
      <Attempts job={job} />
      {job.errors.length > 0 && (
        <Section title="Errors">
          {job.errors.toReversed().map((error, index) => (
            <ErrorView key={index} error={error} isOpen={index === 0} />
          ))}
        </Section>
      )}
      <Log id={job.id} />
      <Family title="Jobs that follow from it" filter={{ parent: job.id }} />
      {Object.keys(job.headers).length > 0 && (
        <Section title="Headers">
          <JsonView label="The headers" value={job.headers} />
        </Section>
      )}
    </>
  )
}

function Progress({ of }: { readonly of: unknown }) {
  const share = typeof of === 'number' && of >= 0 && of <= 1 ? of : null
  return share === null ? (
    <JsonView label="The progress" value={of} />
  ) : (
    <progress aria-label="Progress" max={1} value={share} />
  )
}

function Verbs({ job, reload }: { readonly job: Job; readonly reload: () => void }) {
  const [isCopying, setCopying] = useState(false)
  const path = `v1/jobs/${segment(job.id)}`
  const retry = async (): Promise<void> => {
    const body = { ids: [job.id] }
    const answer = await call<{ counts: Record<string, number> }>('POST', 'v1/jobs/retry', { body })
    const why = Object.keys(answer.counts)[0] ?? 'missing'
    if (why === 'retried') notify('It runs again.')
    else notify(refusals[why] ?? why, 'failed')
    reload()
  }
  const cancel = async (): Promise<void> => {
    await attempt(() => call('POST', `${path}/cancel`, { body: {} }), 'It is told to end.')
    reload()
  }
  const remove = async (): Promise<void> => {
    if (!(await confirm('Remove this job?', 'It is gone for good.', 'Remove'))) return
    if (await attempt(() => call('DELETE', path), 'It is removed.')) go(to(['jobs']))
  }
  return (
    <span class="actions">
      {may('operate') && fits('retry', job.state) && (
        <button type="button" class="main" onClick={() => void attempt(retry)}>
          Run again
        </button>
      )}
      {may('enqueue') && (
        <button type="button" onClick={() => setCopying(true)}>
          Run a copy…
        </button>
      )}
      {may('operate') && fits('cancel', job.state) && (
        <button type="button" onClick={() => void cancel()}>
          Cancel
        </button>
      )}
      {may('operate') && fits('remove', job.state) && (
        <button type="button" class="danger" onClick={() => void remove()}>
          Remove
        </button>
      )}
      {isCopying && <Copy job={job} onClose={() => setCopying(false)} />}
    </span>
  )
}

/** Why a job was not retried. */
const refusals: Readonly<Record<string, string>> = {
  duplicate: 'It is not retried: another job holds its unique key.',
  unfit: 'It is not retried: it has not ended, has completed, or its input does not fit the task.',
  missing: 'It is not there any more.',
}

function Copy({ job, onClose }: { readonly job: Job; readonly onClose: () => void }) {
  const tasks = useData(
    'tasks',
    (signal) => call<{ tasks: readonly TaskInfo[] }>('GET', 'v1/tasks', { signal }),
    { on: () => false, everyMs: 0 },
  )
  return (
    <Dialog title={`Run ${job.task} with another input`} onClose={onClose}>
      <Show loaded={tasks}>
        {({ tasks: all }) => {
          const task = all.find(({ name, aliases }) => [name, ...aliases].includes(job.task))
          return (
            <SchemaForm
              schema={task?.inputSchema ?? null}
              initial={job.input}
              action="Add the job"
              send={async (input) => {
                const path = `v1/queues/${segment(job.queue)}/tasks/${segment(job.task)}/jobs`
                const { id } = await call<{ id: string }>('POST', path, { body: input })
                onClose()
                go(to(['jobs', id]))
              }}
            />
          )
        }}
      </Show>
      <p class="actions">
        <button type="button" onClick={onClose}>
          Back
        </button>
      </p>
    </Dialog>
  )
}

function Attempts({ job }: { readonly job: Job }) {
  if (job.runs.length === 0) return null
  return (
    <Section title="Attempts">
      <Table label="Attempts" head={['Attempt', 'Outcome', 'Started', 'Took', 'Worker', 'Error']}>
        {job.runs.toReversed().map((run) => (
          <tr key={run.token}>
            <td title={`Token ${run.token}`}>{run.attempt}</td>
            <td>
              <Badge state={run.outcome} />
            </td>
            <td>
              <Time at={run.startedAt} />
            </td>
            <td>
              <Span from={run.startedAt} to={run.endedAt} />
            </td>
            <td>
              <Name text={run.worker} />
            </td>
            <td class="clip">
              <bdi>{run.error === null ? '' : `${run.error.type}: ${run.error.message}`}</bdi>
            </td>
          </tr>
        ))}
      </Table>
    </Section>
  )
}

function ErrorView({ error, isOpen }: { readonly error: KeptError; readonly isOpen: boolean }) {
  return (
    <details open={isOpen}>
      <summary>
        <strong>
          <bdi>{error.type}</bdi>
        </strong>
        {': '}
        <bdi>{error.message.slice(0, 300)}</bdi>{' '}
        <small class="hush">
          attempt {error.attempt}, <Time at={error.at} />
        </small>
      </summary>
      <pre tabIndex={0}>{error.stack ?? error.message}</pre>
    </details>
  )
}

function Log({ id }: { readonly id: string }) {
  const loaded = useData(`log/${id}`, (signal) =>
    call<{ lines: readonly LogLine[] }>('GET', `v1/jobs/${segment(id)}/logs`, { signal }),
  )
  if (loaded.data === undefined || loaded.data.lines.length === 0) return null
  return (
    <Section title="Log">
      <ol class="log">
        {loaded.data.lines.map((line, index) => (
          <li key={index} class={`is-${line.level}`}>
            <Time at={line.at} /> <bdi>{line.text}</bdi>
          </li>
        ))}
      </ol>
    </Section>
  )
}
