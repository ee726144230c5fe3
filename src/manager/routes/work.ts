/**
 * Work for programs of any language: claim, renew, and say how it ended. What follows from an end is decided by the manager, by the
 * options of the task. `docs/remote-workers.md` describes it for those who write such a worker.
 */
import { handIn, type HandIn, type HasHandIn, type Said } from '../../app/hand-in.ts'
import { both } from '../../core/digits.ts'
import { toJson } from '../../core/json.ts'
import { cleanText } from '../../core/text.ts'
import { version } from '../../core/version.ts'
import type { LogLevel } from '../../core/job.ts'
import type { Store } from '../../store/store.ts'
import type { LeaseRef, Note } from '../../store/worker-calls.ts'
import { mayTouch, type Caller } from '../caller.ts'
import type { Managed } from '../managed.ts'
import { Problem } from '../problem.ts'
import { json, type Answer, type Route, type RouteCall } from '../route.ts'
import { hubOf } from '../store/hint-hub.ts'
import { bodies, leases, type Verb } from '../work/bodies.ts'
import { Line } from '../work/line.ts'
import { registered, type BroughtTask } from '../work/register.ts'
import { Seen } from '../work/seen.ts'

const scopes = ['work'] as const

const states: Readonly<Record<number, Answer>> = {
  200: {
    description: 'What became of the job.',
    schema: {
      type: 'object',
      required: ['state'],
      properties: {
        state: {
          enum: ['completed', 'failed', 'cancelled', 'discarded', 'scheduled', 'ready'],
        },
      },
    },
  },
  409: { description: 'The lease is not the caller’s any more: what it did is of no account.' },
}

export const workRoutes: readonly Route[] = [
  {
    method: 'POST',
    path: '/v1/work/tasks',
    id: 'work.tasks',
    summary: 'Tell of tasks that the worker knows.',
    tag: 'work',
    scopes,
    body: bodies.tasks,
    answers: { 200: { description: 'They are registered.' } },
    async handle({ errand, caller, body }) {
      const { tasks } = body as { readonly tasks: readonly BroughtTask[] }
      for (const { queue = 'default' } of tasks) checkQueue(caller, queue)
      await errand.store.registerTasks(await Promise.all(tasks.map(registered)))
      return json({ registered: tasks.length })
    },
  },
  {
    method: 'POST',
    path: '/v1/work/claim',
    id: 'work.claim',
    summary: 'Take jobs to run, or wait for some.',
    tag: 'work',
    scopes,
    body: bodies.claim,
    answers: {
      200: {
        description: 'The jobs; none when nothing came in time.',
        schema: {
          type: 'object',
          required: ['jobs', 'leaseMs'],
          properties: {
            jobs: { type: 'array', items: { type: 'object' } },
            leaseMs: { type: 'integer' },
          },
        },
      },
    },
    handle: claim,
  },
  {
    method: 'POST',
    path: '/v1/work/{id}/renew',
    id: 'work.renew',
    summary: 'Keep a job, say that it runs, and how far it is.',
    tag: 'work',
    scopes,
    body: bodies.renew,
    answers: {
      200: {
        description: 'It is the caller’s for `leaseMs` from now; `cancel` asks it to end.',
        schema: {
          type: 'object',
          required: ['leaseMs', 'cancel'],
          properties: { leaseMs: { type: 'integer' }, cancel: { type: 'boolean' } },
        },
      },
      409: states[409] as Answer,
    },
    handle: renew,
  },
  ended('complete', 'The job is done.', (said: OutputSaid, digits: OutputSaid) => ({
    kind: 'complete',
    output: both(said.output ?? null, digits.output ?? null),
  })),
  ended('fail', 'The attempt failed: retry as the task says, or not.', readFailure),
  ended('postpone', 'Run it again later, without counting a failure.', (said: DelaySaid) => ({
    kind: 'postpone',
    delayMs: said.delayMs ?? null,
  })),
  ended('discard', 'It need not be done.', (said: { readonly reason?: string }) => ({
    kind: 'discard',
    reason: cleanText(said.reason ?? 'discarded'),
  })),
  ended('release', 'Give it back for others.', () => ({ kind: 'release' })),
]

interface OutputSaid {
  readonly output?: unknown
}

interface DelaySaid {
  readonly delayMs?: number
}

interface Ending {
  readonly token: number
  readonly worker?: string
  readonly ranMs?: number
}

interface FailureSaid {
  readonly error?: {
    readonly message: string
    readonly type?: string
    readonly stack?: string
    readonly code?: string
  }
  readonly retry?: boolean
  readonly retryInMs?: number
}

/** A route that ends an attempt. `read` gets the body twice, then with all digits of its numbers. */
function ended<Given>(
  verb: Verb,
  summary: string,
  read: (given: Given, digits: Given) => WithoutTime<Said>,
): Route {
  return {
    method: 'POST',
    path: `/v1/work/{id}/${verb}`,
    id: `work.${verb}`,
    summary,
    tag: 'work',
    scopes,
    body: bodies[verb],
    answers: states,
    async handle({ errand, params, body, digits }) {
      const given = body as Given & Ending
      const said = { ...read(given, digits as Given), ranMs: given.ranMs ?? null } as Said
      const lease = { id: params['id'] ?? '', token: given.token }
      const state = await handInOf(errand).end(lease, given.worker ?? anonymous, said)
      if (state === 'stale') throw leaseLost()
      if (state === 'held')
        throw new Problem('store-busy', 'A transaction holds what the end needs: try again soon.')
      return json({ state })
    },
  }
}

type WithoutTime<S> = S extends unknown ? Omit<S, 'ranMs'> : never

const anonymous = 'http'

interface ClaimSaid {
  readonly tasks: readonly string[]
  readonly queues?: readonly string[]
  readonly worker?: string
  readonly limit?: number
  readonly wait?: number
  readonly claimId?: string
}

async function claim({ errand, caller, body, signal }: RouteCall): Promise<Response> {
  const said = body as ClaimSaid
  const { tasks, worker = anonymous, limit = 1, wait = 0, claimId = null } = said
  const queues = said.queues ?? [...new Set(await queuesOf(errand, tasks))]
  for (const queue of queues) checkQueue(caller, queue)
  const { store } = errand
  await seenBy(store).saw({ id: worker, queues, slots: limit, version })
  const request = { worker, queues, tasks, limit, leaseMs: leases.firstMs, id: claimId }
  const handed = await lineOf(errand).claim(request, wait * 1_000, signal)
  return json({ jobs: handed.jobs, leaseMs: leases.firstMs })
}

/** The queues in which jobs of these tasks lie, as far as is known. */
async function queuesOf({ store }: Managed, tasks: readonly string[]): Promise<readonly string[]> {
  const known = await store.tasks()
  const queues = known.flatMap(({ name, aliases, queue }) =>
    tasks.some((task) => task === name || aliases.includes(task)) ? [queue] : [],
  )
  return queues.length === 0 ? ['default'] : queues
}

interface RenewSaid {
  readonly token: number
  readonly leaseMs?: number
  readonly progress?: unknown
  readonly logs?: readonly {
    readonly text: string
    readonly level?: LogLevel
    readonly agoMs?: number
  }[]
}

async function renew({ errand: { store }, params, body, digits }: RouteCall): Promise<Response> {
  const said = body as RenewSaid
  const { leaseMs = leases.renewedMs } = said
  const lease = { id: params['id'] ?? '', token: said.token }
  const [answer] = await store.renew([lease], leaseMs)
  if (answer === undefined || answer === 'stale') throw leaseLost()
  const { progress } = digits as RenewSaid
  await store.note(notesOf(lease, { ...said, progress }))
  return json({ leaseMs, cancel: answer === 'cancel-asked' })
}

/** A renewal says that the job has begun; the first such note counts. */
function notesOf(lease: LeaseRef, { progress, logs = [] }: RenewSaid): readonly Note[] {
  const notes: Note[] = [{ ...lease, kind: 'start', agoMs: 0 }]
  if (progress !== undefined)
    notes.push({ ...lease, kind: 'progress', value: toJson(progress, 'progress') })
  for (const { text, level = 'info', agoMs = 0 } of logs)
    notes.push({ ...lease, kind: 'log', agoMs, level, text: cleanText(text) })
  return notes
}

function readFailure({ error, retry, retryInMs }: FailureSaid): WithoutTime<Said> {
  return {
    kind: 'fail',
    error: {
      type: error?.type ?? 'Error',
      message: error?.message ?? 'The worker does not say why.',
      stack: error?.stack ?? null,
      code: error?.code ?? null,
    },
    retry: retry === false ? 'no' : (retryInMs ?? 'yes'),
  }
}

function checkQueue(caller: Caller, queue: string): void {
  if (mayTouch(caller, queue)) return
  throw new Problem('forbidden', `The token is not for the queue ${JSON.stringify(queue)}.`)
}

function leaseLost(): Problem {
  return new Problem(
    'lease-lost',
    'The job is not this worker’s any more: its lease has ended, or it ended otherwise. Drop it.',
  )
}

const lines = new WeakMap<Store, Line>()
const seen = new WeakMap<Store, Seen>()

function lineOf(errand: Managed): Line {
  const { store } = errand
  let line = lines.get(store)
  if (line === undefined)
    lines.set(store, (line = new Line(handInOf(errand), hubOf(store), store.clock)))

  return line
}

function seenBy(store: Store): Seen {
  let one = seen.get(store)
  if (one === undefined) seen.set(store, (one = new Seen(store)))
  return one
}

function handInOf(errand: Managed): HandIn {
  return (errand as Managed & HasHandIn)[handIn]
}
