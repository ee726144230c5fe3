/** The frame of all pages: who looks, where they are, and what is shown there. */
import type { ComponentChildren } from 'preact'
import { useEffect } from 'preact/hooks'
import { Questions } from './parts/dialog.tsx'
import { Notices } from './parts/notices.tsx'
import { ApiPage } from './pages/api.tsx'
import { Fleet } from './pages/fleet.tsx'
import { JobPage } from './pages/job.tsx'
import { Jobs } from './pages/jobs.tsx'
import { Overview } from './pages/overview.tsx'
import { Queues } from './pages/queues.tsx'
import { Schedules } from './pages/schedules.tsx'
import { SignIn } from './pages/sign-in.tsx'
import { Singletons } from './pages/singletons.tsx'
import { Tokens } from './pages/tokens.tsx'
import { WorkflowPage } from './pages/workflow.tsx'
import { Workflows } from './pages/workflows.tsx'
import { place, to } from './route.ts'
import { may, readSession, session, sessionError, signOut } from './session.ts'
import { follow, live } from './stream.ts'

const menu: readonly (readonly [string, string])[] = [
  ['', 'Overview'],
  ['jobs', 'Jobs'],
  ['queues', 'Queues'],
  ['workflows', 'Workflows'],
  ['schedules', 'Schedules'],
  ['fleet', 'Workers'],
  ['singletons', 'Singletons'],
  ['api', 'API'],
  ['tokens', 'Tokens'],
]

export function App() {
  const who = session.value
  if (who === 'needed') return <SignIn />
  if (who === null)
    return (
      <main class="lone">
        {sessionError.value === null ? (
          <p role="status">Loading…</p>
        ) : (
          <p class="failure" role="alert">
            {sessionError.value}{' '}
            <button type="button" onClick={() => void readSession()}>
              Try again
            </button>
          </p>
        )}
      </main>
    )
  return <Frame />
}

function Frame() {
  const [first = '', id] = place.value.path
  const [, title = 'Errand'] = menu.find(([name]) => name === first) ?? []
  useEffect(() => {
    document.title = `${title} · Errand`
  }, [title])
  useEffect(() => {
    if (first !== 'jobs') follow({ only: 'queues' })
    else follow(id === undefined ? {} : { job: id })
  }, [first, id])
  // A stream that is refused may mean that the token is revoked.
  useEffect(() => {
    if (live.value === 'lost') void readSession()
  }, [live.value])
  const who = session.value
  const isSignedIn = who !== null && who !== 'needed' && who.signedIn
  return (
    <>
      <a class="skip" href="#main" onClick={skip}>
        Skip to the content
      </a>
      <nav aria-label="Pages">
        <strong>Errand</strong>
        {menu.map(
          ([name, label]) =>
            (name !== 'tokens' || may('admin')) && (
              <a
                key={name}
                href={to(name === '' ? [] : [name])}
                aria-current={name === first ? 'page' : undefined}
              >
                {label}
              </a>
            ),
        )}
        <span class="spring" />
        <span class={`live is-${live.value}`} role="status">
          {{ open: 'Live', lost: 'Connecting…', paused: 'Paused' }[live.value]}
        </span>
        {isSignedIn && (
          <button type="button" class="plain" onClick={() => void signOut()}>
            Sign out
          </button>
        )}
      </nav>
      <main id="main" tabIndex={-1}>
        {page(first, id)}
      </main>
      <Notices />
      <Questions />
    </>
  )
}

function skip(event: Event): void {
  event.preventDefault()
  document.getElementById('main')?.focus()
}

function page(first: string, id: string | undefined): ComponentChildren {
  switch (first) {
    case '':
      return <Overview />
    case 'jobs':
      return id === undefined ? <Jobs /> : <JobPage key={id} id={id} />
    case 'queues':
      return <Queues />
    case 'workflows':
      return id === undefined ? <Workflows /> : <WorkflowPage key={id} id={id} />
    case 'schedules':
      return <Schedules open={id ?? null} />
    case 'fleet':
      return <Fleet />
    case 'singletons':
      return <Singletons />
    case 'api':
      return <ApiPage task={id ?? null} />
    case 'tokens':
      return <Tokens />
    default:
      return (
        <>
          <h1>No such page</h1>
          <p>
            There is nothing here. <a href={to([])}>Go to the overview</a>.
          </p>
        </>
      )
  }
}
