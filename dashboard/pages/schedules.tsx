/** Schedules: when jobs come next, what the last ticks came to, and what operators change. */
import { useState } from 'preact/hooks'
import { call, segment, wordsOf } from '../api.ts'
import { useData } from '../data.ts'
import { Badge, Empty, Facts, JobLink, Name, Section, Show, Table, Time } from '../parts/basics.tsx'
import { confirm, Dialog } from '../parts/dialog.tsx'
import { attempt, notify } from '../parts/notices.tsx'
import { fieldOf } from '../fields.ts'
import { go, to } from '../route.ts'
import { may } from '../session.ts'
import { duration } from '../times.ts'
import type { Schedule } from '../types.ts'

export function Schedules({ open }: { readonly open: string | null }) {
  const loaded = useData(
    'schedules',
    (signal) => call<{ schedules: readonly Schedule[] }>('GET', 'v1/schedules', { signal }),
    { on: () => false, everyMs: 5_000 },
  )
  return (
    <>
      <h1>Schedules</h1>
      <Show loaded={loaded}>
        {({ schedules }) => {
          if (schedules.length === 0)
            return (
              <Empty>
                No schedule yet: give <code>schedules</code> to <code>createErrand</code>.
              </Empty>
            )
          const one = open === null ? undefined : schedules.find(({ name }) => name === open)
          return (
            <>
              {open !== null && (
                <>
                  {one === undefined ? (
                    <p class="failure">No schedule is called {open}.</p>
                  ) : (
                    <Detail schedule={one} reload={loaded.reload} />
                  )}
                </>
              )}
              <List schedules={schedules} />
            </>
          )
        }}
      </Show>
    </>
  )
}

function List({ schedules }: { readonly schedules: readonly Schedule[] }) {
  return (
    <Table label="Schedules" head={['Schedule', 'When', 'Next', 'Last', 'Lag', 'Owner']}>
      {schedules.map((one) => {
        const last = one.last[0]
        return (
          <tr key={one.name}>
            <td>
              <a data-row href={to(['schedules', one.name])}>
                <Name text={one.name} />
              </a>{' '}
              {one.paused !== null && <span class="badge is-scheduled">paused</span>}
            </td>
            <td>
              <Name text={one.when} />
            </td>
            <td>{one.paused === null ? <Time at={one.next} /> : ''}</td>
            <td>
              {last !== undefined && (
                <>
                  <Time at={last.plannedAt} /> <Badge state={last.state} />
                </>
              )}
            </td>
            <td>{one.lagMs >= 1_000 ? duration(one.lagMs) : ''}</td>
            <td>
              <Name text={one.owner} />
              {!one.declared && <small class="hush"> no living code declares it</small>}
            </td>
          </tr>
        )
      })}
    </Table>
  )
}

function Detail({
  schedule: one,
  reload,
}: {
  readonly schedule: Schedule
  readonly reload: () => void
}) {
  const path = `v1/schedules/${segment(one.name)}`
  const [dialog, setDialog] = useState<'pause' | 'backfill' | null>(null)
  const act = async (verb: string, done: string, body?: unknown): Promise<void> => {
    await call('POST', `${path}/${verb}`, body === undefined ? {} : { body })
    notify(done)
    setDialog(null)
    reload()
  }
  const trigger = async (): Promise<void> => {
    await attempt(async () => {
      const { id } = await call<{ id: string }>('POST', `${path}/trigger`)
      go(to(['jobs', id]))
    })
  }
  const remove = async (): Promise<void> => {
    const text = 'Its jobs stay. A schedule that code declares comes back with its next start.'
    if (!(await confirm(`Remove ${one.name}?`, text, 'Remove'))) return
    if (await attempt(() => call('DELETE', path), 'It is removed.')) go(to(['schedules']))
    reload()
  }
  return (
    <Section title={<Name text={one.name} />} aside={<a href={to(['schedules'])}>Close</a>}>
      {one.paused !== null && (
        <p class="note">
          Paused <Time at={one.paused.at} />
          {one.paused.note !== '' && (
            <>
              : <bdi>{one.paused.note}</bdi>
            </>
          )}
        </p>
      )}
      <Facts
        of={{
          When: <Name text={one.when} />,
          Task: one.task === null ? 'a function of the code' : <Name text={one.task} />,
          Queue: one.queue === null ? null : <Name text={one.queue} />,
          Overlap: one.overlap,
          Owner: <Name text={one.owner} />,
          Edited: one.edited ? 'by an operator, until the code changes' : null,
          Fired: one.fired,
        }}
      />
      {may('operate') && (
        <p class="actions">
          {one.paused === null ? (
            <button type="button" onClick={() => setDialog('pause')}>
              Pause…
            </button>
          ) : (
            <button
              type="button"
              class="main"
              onClick={() => void attempt(() => act('resume', 'It goes on.'))}
            >
              Resume
            </button>
          )}
          <button type="button" onClick={() => void trigger()}>
            Trigger now
          </button>
          <button type="button" onClick={() => setDialog('backfill')}>
            Backfill…
          </button>
          {(!one.declared || one.owner === 'operator') && (
            <button type="button" class="danger" onClick={() => void remove()}>
              Remove
            </button>
          )}
        </p>
      )}
      <div class="halves">
        <Next path={path} />
        <div>
          <h3>Last ticks</h3>
          <ul class="plainlist">
            {one.last.map((tick) => (
              <li key={tick.plannedAt}>
                <Time at={tick.plannedAt} /> <Badge state={tick.state} />{' '}
                {tick.job !== null && <JobLink id={tick.job} />}
              </li>
            ))}
            {one.last.length === 0 && <li class="hush">None yet.</li>}
          </ul>
        </div>
      </div>
      {dialog === 'pause' && (
        <Ask
          title={`Pause ${one.name}`}
          fields={[{ name: 'note', label: 'Why, for others', type: 'text', isRequired: false }]}
          action="Pause"
          onClose={() => setDialog(null)}
          send={({ note = '' }) => act('pause', 'It is paused.', note === '' ? {} : { note })}
        />
      )}
      {dialog === 'backfill' && (
        <Ask
          title={`Backfill ${one.name}`}
          fields={[
            { name: 'from', label: 'From', type: 'datetime-local', isRequired: true },
            { name: 'to', label: 'To', type: 'datetime-local', isRequired: true },
          ]}
          action="Add the missing jobs"
          onClose={() => setDialog(null)}
          send={({ from = '', to: end = '' }) =>
            act('backfill', 'The missing jobs are added.', {
              from: new Date(from).toISOString(),
              to: new Date(end).toISOString(),
            })
          }
        />
      )}
    </Section>
  )
}

function Next({ path }: { readonly path: string }) {
  const loaded = useData(
    `${path}/next`,
    (signal) =>
      call<{ times: readonly string[] }>('GET', `${path}/next`, {
        query: { count: '10' },
        signal,
      }),
    { on: () => false, everyMs: 60_000 },
  )
  return (
    <div>
      <h3>Next ticks</h3>
      <Show loaded={loaded}>
        {({ times }) => (
          <ul class="plainlist">
            {times.map((time) => (
              <li key={time}>
                <Time at={time} /> <small class="hush">{new Date(time).toLocaleString()}</small>
              </li>
            ))}
            {times.length === 0 && <li class="hush">No tick comes any more.</li>}
          </ul>
        )}
      </Show>
    </div>
  )
}

/** A dialog with a few fields. */
function Ask({
  title,
  fields,
  action,
  send,
  onClose,
}: {
  readonly title: string
  readonly fields: readonly {
    readonly name: string
    readonly label: string
    readonly type: 'text' | 'datetime-local'
    readonly isRequired: boolean
  }[]
  readonly action: string
  /** Rejects with what is wrong, which the dialog shows. */
  readonly send: (values: Readonly<Record<string, string>>) => Promise<void>
  readonly onClose: () => void
}) {
  const [problem, setProblem] = useState<string | null>(null)
  return (
    <Dialog title={title} onClose={onClose}>
      <form
        onSubmit={(event) => {
          event.preventDefault()
          const data = new FormData(event.currentTarget)
          const values = fields.map(({ name }) => [name, fieldOf(data, name)] as const)
          setProblem(null)
          void send(Object.fromEntries(values)).catch((error: unknown) =>
            setProblem(wordsOf(error)),
          )
        }}
      >
        {fields.map(({ name, label, type, isRequired }) => (
          <label key={name} class="field">
            {label}
            {type === 'text' ? (
              <input name={name} required={isRequired} />
            ) : (
              <input name={name} type="datetime-local" required={isRequired} />
            )}
          </label>
        ))}
        {problem !== null && (
          <p class="failure" role="alert">
            {problem}
          </p>
        )}
        <p class="actions">
          <button type="button" onClick={onClose}>
            Back
          </button>
          <button type="submit" class="main">
            {action}
          </button>
        </p>
      </form>
    </Dialog>
  )
}
