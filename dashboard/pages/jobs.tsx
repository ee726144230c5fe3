/** Jobs: find them, choose some or all that match, and act on them. */
import { useEffect, useState } from 'preact/hooks'
import { call } from '../api.ts'
import { useData } from '../data.ts'
import { Badge, Empty, JobLink, Name, Show, Table, Time } from '../parts/basics.tsx'
import { Bulk } from '../parts/bulk.tsx'
import { fieldOf } from '../fields.ts'
import { filterNames, filterOf, type Filter } from '../filter.ts'
import { shortJson } from '../json.ts'
import { go, place, to } from '../route.ts'
import { number } from '../times.ts'
import { states, type Job, type JobPage } from '../types.ts'

const pageSize = 50

export function Jobs() {
  const { query } = place.value
  const filter = filterOf(query)
  const after = query.get('after') ?? undefined
  const key = JSON.stringify([filter, after])
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set())
  useEffect(() => setChosen(new Set()), [key])
  const loaded = useData(
    key,
    (signal) =>
      call<JobPage>('GET', 'v1/jobs', {
        query: { ...filter, limit: String(pageSize), after },
        signal,
      }),
    // A search inside inputs reads many jobs: it is made anew when the reader asks.
    filter.input === undefined && filter.output === undefined
      ? {}
      : { on: () => false, everyMs: 0 },
  )
  return (
    <>
      <h1>Jobs</h1>
      <Filters filter={filter} />
      <Show loaded={loaded}>
        {({ jobs, next, scanned }) => (
          <>
            <Bulk
              filter={filter}
              jobs={jobs.filter(({ id }) => chosen.has(id))}
              onDone={() => {
                setChosen(new Set())
                loaded.reload()
              }}
            />
            {jobs.length === 0 ? (
              <Nothing filter={filter} isOver={next === null} />
            ) : (
              <List jobs={jobs} chosen={chosen} choose={setChosen} />
            )}
            <p class="actions">
              {scanned !== undefined && (
                <span class="hush">
                  {number(scanned)} jobs scanned{next === null ? ', which is all' : ''}.
                </span>
              )}
              {after !== undefined && <a href={to(['jobs'], { ...filter })}>Newest</a>}
              {next !== null && (
                <a href={to(['jobs'], { ...filter, after: next })}>
                  {jobs.length < pageSize ? 'Search on in older jobs' : 'Older'}
                </a>
              )}
            </p>
          </>
        )}
      </Show>
    </>
  )
}

function Nothing({ filter, isOver }: { readonly filter: Filter; readonly isOver: boolean }) {
  if (!isOver) return <Empty>Nothing among the jobs that were looked at.</Empty>
  return Object.keys(filter).length === 0 ? (
    <Empty>
      No job yet. The <a href={to(['api'])}>API page</a> shows how to add one.
    </Empty>
  ) : (
    <Empty>
      No job matches. <a href={to(['jobs'])}>Show all</a>
    </Empty>
  )
}

function Filters({ filter }: { readonly filter: Filter }) {
  const change = (name: string, value: string | readonly string[]): void => {
    const { [name as keyof Filter]: _old, ...others } = filter
    go(to(['jobs'], { ...others, [name]: value }))
  }
  const toggle = (state: string): void => {
    const old = filter.state ?? []
    change('state', old.includes(state) ? old.filter((one) => one !== state) : [...old, state])
  }
  return (
    <form
      class="filters"
      role="search"
      onSubmit={(event) => {
        event.preventDefault()
        const data = new FormData(event.currentTarget)
        const texts = filterNames.map((name) => [name, typed(name, fieldOf(data, name))])
        go(to(['jobs'], { ...Object.fromEntries(texts), state: filter.state ?? [] }))
      }}
    >
      <p class="chips">
        {states.map((state) => (
          <button
            key={state}
            type="button"
            class="chip"
            aria-pressed={filter.state?.includes(state) ?? false}
            onClick={() => toggle(state)}
          >
            {state}
          </button>
        ))}
      </p>
      {/* Made anew when the URL changes, so that the fields show what is asked for. */}
      <div class="fields" key={JSON.stringify(filter)}>
        {filterNames.slice(0, mainFilters).map((name) => (
          <Field key={name} name={name} value={filter[name]} />
        ))}
        <button type="submit" class="main">
          Find
        </button>
        <a href={to(['jobs'])}>Clear</a>
      </div>
      <details open={filterNames.slice(mainFilters).some((name) => filter[name] !== undefined)}>
        <summary>More filters</summary>
        <div class="fields" key={JSON.stringify(filter)}>
          {filterNames.slice(mainFilters).map((name) => (
            <Field key={name} name={name} value={filter[name]} />
          ))}
        </div>
      </details>
    </form>
  )
}

/** What a reader typed, as the API takes it: `user.id = 7` is `user.id=7`. */
function typed(name: string, text: string): string {
  const isSearch = name === 'input' || name === 'output'
  return isSearch ? text.replace(/^([^=]*?)\s*=\s*/, '$1=') : text
}

/** So many filters stand first; the others are a click away. */
const mainFilters = 3

type FieldName = (typeof filterNames)[number]

const labels: Readonly<Record<FieldName, readonly [label: string, example: string]>> = {
  task: ['Task', 'mail.send'],
  queue: ['Queue', 'mail'],
  input: ['Inside the input', 'user.id = 7'],
  output: ['Inside the output', 'total = 3'],
  key: ['Unique key', ''],
  tag: ['Tag', ''],
  group: ['Group or workflow', ''],
  parent: ['Follows from job', ''],
  createdFrom: ['Created from', '2026-11-28T12:00:00Z'],
  createdTo: ['Created before', '2026-11-29T12:00:00Z'],
}

function Field({ name, value }: { readonly name: FieldName; readonly value: string | undefined }) {
  const [label, example] = labels[name]
  return (
    <label class="field">
      {label}
      <input
        name={name}
        {...(name === 'task' ? { 'data-find': '' } : {})}
        defaultValue={value ?? ''}
        placeholder={example}
        spellcheck={false}
        autocomplete="off"
      />
    </label>
  )
}

function List({
  jobs,
  chosen,
  choose,
}: {
  readonly jobs: readonly Job[]
  readonly chosen: ReadonlySet<string>
  readonly choose: (ids: ReadonlySet<string>) => void
}) {
  const areAll = jobs.every(({ id }) => chosen.has(id))
  const all = (
    <input
      type="checkbox"
      aria-label="Choose all of this page"
      checked={areAll}
      onChange={() => choose(new Set(areAll ? [] : jobs.map(({ id }) => id)))}
    />
  )
  return (
    <Table label="Jobs" head={[all, 'Job', 'Task', 'Queue', 'State', 'Input', 'Created', 'Ended']}>
      {jobs.map((job) => (
        <tr key={job.id} class={chosen.has(job.id) ? 'is-chosen' : undefined}>
          <td>
            <input
              type="checkbox"
              aria-label={`Choose job ${job.id}`}
              checked={chosen.has(job.id)}
              onChange={() => {
                const ids = new Set(chosen)
                if (!ids.delete(job.id)) ids.add(job.id)
                choose(ids)
              }}
            />
          </td>
          <td>
            <a data-row class="mono" href={to(['jobs', job.id])} title={job.id}>
              …{job.id.slice(-12)}
            </a>
          </td>
          <td>
            <Name text={job.task} />
          </td>
          <td>
            <Name text={job.queue} />
          </td>
          <td>
            <Badge state={job.state} />
            {job.reason !== null && <small class="hush"> {job.reason}</small>}
          </td>
          <td class="mono clip">
            <bdi>{job.codec === null ? shortJson(job.input) : `(${job.codec})`}</bdi>
          </td>
          <td>
            <Time at={job.createdAt} />
          </td>
          <td>
            <Time at={job.finishedAt} />
          </td>
        </tr>
      ))}
    </Table>
  )
}

/** Jobs that follow from a job, or belong to it. */
export function Family({ title, filter }: { readonly title: string; readonly filter: Filter }) {
  const loaded = useData(JSON.stringify(filter), (signal) =>
    call<JobPage>('GET', 'v1/jobs', { query: { ...filter, limit: '20' }, signal }),
  )
  const { data } = loaded
  if (data === undefined || data.jobs.length === 0) return null
  return (
    <>
      <h3>{title}</h3>
      <ul class="plainlist">
        {data.jobs.map((job) => (
          <li key={job.id}>
            <Badge state={job.state} /> <Name text={job.task} /> <JobLink id={job.id} />
          </li>
        ))}
        {data.next !== null && (
          <li>
            <a href={to(['jobs'], { ...filter })}>More</a>
          </li>
        )}
      </ul>
    </>
  )
}
