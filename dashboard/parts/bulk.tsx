/** Acts on chosen jobs, or on all that match; says what happened to how many. */
import { useRef, useState } from 'preact/hooks'
import { call, wordsOf } from '../api.ts'
import type { Filter } from '../filter.ts'
import { may } from '../session.ts'
import { number } from '../times.ts'
import type { Job, JobPage } from '../types.ts'
import { fits, verbStates, type Verb } from './basics.tsx'
import { Dialog } from './dialog.tsx'

const verbs = ['retry', 'cancel', 'remove'] as const

const words: Readonly<Record<Verb, readonly [string, string]>> = {
  retry: ['Retry', 'Retrying'],
  cancel: ['Cancel', 'Cancelling'],
  remove: ['Remove', 'Removing'],
}

/** So many jobs go in one call, and are asked for at once. */
const chunk = 1_000
/** Counting stops here: more is said to be more. */
const mostCounted = 20_000

type Tally = Readonly<Record<string, number>>

interface Props {
  readonly filter: Filter
  /** The chosen jobs of this page. */
  readonly jobs: readonly Job[]
  readonly onDone: () => void
}

export function Bulk({ filter, jobs, onDone }: Props) {
  const [asked, setAsked] = useState<{ verb: Verb; ids: readonly string[] | null } | null>(null)
  if (!may('operate')) return null
  return (
    <p class="bulk">
      {jobs.length > 0 && <span>{jobs.length} chosen:</span>}
      {verbs.map((verb) => {
        const ids = jobs.filter(({ state }) => fits(verb, state)).map(({ id }) => id)
        if (jobs.length > 0 && ids.length === 0) return null
        return (
          <button
            key={verb}
            type="button"
            class={verb === 'remove' ? 'danger' : undefined}
            onClick={() => setAsked({ verb, ids: jobs.length === 0 ? null : ids })}
          >
            {words[verb][0]} {jobs.length === 0 ? 'all that match' : ids.length}
          </button>
        )
      })}
      {asked !== null && (
        <Work
          {...asked}
          filter={filter}
          onClose={() => {
            setAsked(null)
            onDone()
          }}
        />
      )}
    </p>
  )
}

/** The states of a filter that a verb fits. */
function statesFor(verb: Verb, { state }: Filter): readonly string[] {
  return verbStates[verb].filter((one) => state === undefined || state.includes(one))
}

interface WorkProps {
  readonly verb: Verb
  /** Null for all that match. */
  readonly ids: readonly string[] | null
  readonly filter: Filter
  readonly onClose: () => void
}

interface Progress {
  readonly phase: 'counting' | 'asking' | 'working' | 'over'
  /** How many match; for more than were counted, those that were. */
  readonly total: number
  readonly isMore: boolean
  readonly done: number
  readonly tally: Tally
  readonly error: string | null
}

function Work({ verb, ids, filter, onClose }: WorkProps) {
  const [progress, setProgress] = useState<Progress>({
    phase: ids === null ? 'counting' : 'asking',
    total: ids?.length ?? 0,
    isMore: false,
    done: 0,
    tally: {},
    error: null,
  })
  const gone = useRef<AbortController | null>(null)
  if (gone.current === null) {
    gone.current = new AbortController()
    if (ids === null)
      void count(verb, filter, gone.current.signal, setProgress).catch((error: unknown) =>
        setProgress((old) => ({ ...old, phase: 'over', error: wordsOf(error) })),
      )
  }
  const { signal } = gone.current
  const close = (): void => {
    gone.current?.abort()
    onClose()
  }
  const start = (): void => {
    setProgress((old) => ({ ...old, phase: 'working' }))
    void work({ verb, ids, filter, signal, tell: setProgress })
  }
  const { phase, total, isMore, done, tally, error } = progress
  const [verbWord, workWord] = words[verb]
  const many = `${number(total)}${isMore ? ' or more' : ''} ${total === 1 ? 'job' : 'jobs'}`
  return (
    <Dialog title={`${verbWord} jobs`} onClose={close}>
      {phase === 'counting' && <p role="status">Counting: {many} so far…</p>}
      {phase === 'asking' &&
        (total === 0 ? (
          <p>No job that matches can be {pastOf(verb)}.</p>
        ) : (
          <p>
            {verbWord} {many}? {verb === 'remove' && 'They are gone for good.'}
          </p>
        ))}
      {(phase === 'working' || phase === 'over') && (
        <>
          <progress
            max={isMore ? undefined : Math.max(total, done)}
            value={isMore ? undefined : done}
          />
          <p role="status">
            {phase === 'working' ? `${workWord}: ` : ''}
            {number(done)} {isMore ? '' : `of ${number(total)} `}done.
          </p>
          <ul class="plainlist">
            {Object.entries(tally).map(([answer, n]) => (
              <li key={answer}>
                {number(n)} {answers[answer] ?? answer}
              </li>
            ))}
          </ul>
        </>
      )}
      {error !== null && (
        <p class="failure" role="alert">
          {error}
        </p>
      )}
      <p class="actions">
        <button type="button" onClick={close}>
          {phase === 'working' ? 'Stop' : phase === 'over' ? 'Close' : 'Keep them'}
        </button>
        {phase === 'asking' && total > 0 && (
          <button type="button" class={verb === 'remove' ? 'danger' : 'main'} onClick={start}>
            {verbWord} {many}
          </button>
        )}
      </p>
    </Dialog>
  )
}

function pastOf(verb: Verb): string {
  return { retry: 'retried', cancel: 'cancelled', remove: 'removed' }[verb]
}

/** What the API returns for a job, in words. */
const answers: Readonly<Record<string, string>> = {
  retried: 'retried',
  duplicate: 'not retried: another job holds their unique key',
  unfit: 'not retried: their input does not fit the task, or they run again already',
  missing: 'not there any more',
  cancelled: 'cancelled',
  asked: 'asked to end, for they run',
  final: 'had ended before',
  removed: 'removed',
  running: 'not removed, for they run',
}

type Tell = (change: (old: Progress) => Progress) => void

async function count(verb: Verb, filter: Filter, signal: AbortSignal, tell: Tell): Promise<void> {
  let total = 0
  for await (const { jobs, isLast } of pages(verb, filter, signal)) {
    total += jobs.length
    const isMore = !isLast && total >= mostCounted
    const phase = isLast || isMore ? 'asking' : 'counting'
    tell((old) => ({ ...old, total, isMore, phase }))
    if (isMore) return
  }
}

/** All that match, page by page. Acting on a page does not move those that come after. */
async function* pages(
  verb: Verb,
  filter: Filter,
  signal: AbortSignal,
): AsyncGenerator<{ jobs: readonly Job[]; isLast: boolean }> {
  const state = statesFor(verb, filter)
  if (state.length === 0) return void (yield { jobs: [], isLast: true })
  let after: string | undefined
  do {
    const query = { ...filter, state, limit: String(chunk), after }
    const { jobs, next } = await call<JobPage>('GET', 'v1/jobs', { query, signal })
    after = next ?? undefined
    yield { jobs, isLast: next === null }
  } while (after !== undefined)
}

async function work({
  verb,
  ids,
  filter,
  signal,
  tell,
}: {
  readonly verb: Verb
  readonly ids: readonly string[] | null
  readonly filter: Filter
  readonly signal: AbortSignal
  readonly tell: Tell
}): Promise<void> {
  const act = async (some: readonly string[]): Promise<void> => {
    if (some.length === 0) return
    const body = { ids: some }
    const { counts } = await call<{ counts: Tally }>('POST', `v1/jobs/${verb}`, { body, signal })
    tell((old) => ({ ...old, done: old.done + some.length, tally: sum(old.tally, counts) }))
  }
  try {
    if (ids !== null) await act(ids)
    else
      for await (const { jobs } of pages(verb, filter, signal)) await act(jobs.map(({ id }) => id))
    tell((old) => ({ ...old, phase: 'over' }))
  } catch (error) {
    if (!signal.aborted) tell((old) => ({ ...old, phase: 'over', error: wordsOf(error) }))
  }
}

function sum(a: Tally, b: Tally): Tally {
  const all: Record<string, number> = { ...a }
  for (const [name, n] of Object.entries(b)) all[name] = (all[name] ?? 0) + n
  return all
}
