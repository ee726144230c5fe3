/** New jobs. */
import type { JobOrigin } from '../../app/new-job.ts'
import type { Entry, EnqueuedJob } from '../../client/enqueued-job.ts'
import { clientOf } from '../../client/own-client.ts'
import { both } from '../../core/digits.ts'
import { mostTags } from '../../core/job.ts'
import type { Duration } from '../../core/duration.ts'
import type { EnqueueOptions } from '../../core/enqueue-options.ts'
import { isPlain } from '../../core/text.ts'
import type { ApiRequest } from '../api-request.ts'
import { mayTouch, type Caller } from '../caller.ts'
import { endDetails, endOf, type End } from '../ends.ts'
import { readEntries, entriesSchema } from '../entries.ts'
import { enqueueOnce, keptAnswersOf } from '../once/index.ts'
import { Problem } from '../problem.ts'
import { checkQueue, readTimes, readWait, textsOf } from '../read.ts'
import { json, type Route, type RouteCall } from '../route.ts'
import {
  durationText,
  insertedSchema,
  list,
  object,
  problemAnswer,
  stateSchema,
  text,
  textOrNull,
  timeParameter,
  waitParameter,
} from '../schemas.ts'
import { tracedHeaders } from '../trace.ts'

export const enqueueRoutes: readonly Route[] = [
  {
    method: 'POST',
    path: '/v1/queues/{queue}/tasks/{task}/jobs',
    id: 'enqueue',
    summary: 'Add a job. The body is its input. With an `Idempotency-Key`, once in 24 hours.',
    tag: 'jobs',
    scopes: ['enqueue'],
    query: {
      delay: { schema: durationText, description: 'Due this long from now.' },
      runAt: timeParameter('Due at this time. Not together with `delay`.'),
      priority: {
        schema: { type: 'integer', minimum: -1_000, maximum: 1_000 },
        description: 'Lower runs first. Default: that of the task.',
      },
      key: {
        schema: text,
        description: 'A unique key: while a job of the task holds it, the answer is that job.',
      },
      group: { schema: text, description: 'A name that belongs to several jobs.' },
      tag: {
        schema: { type: 'array', items: text, maxItems: mostTags },
        description: 'A word to find the job by; may be repeated.',
      },
      wait: waitParameter,
    },
    body: {},
    answers: {
      201: {
        description: 'The job is stored, or was by an earlier request with the same key.',
        schema: object(
          {
            ...(insertedSchema['properties'] as Record<string, object>),
            state: { oneOf: [stateSchema, { enum: ['gone', null] }] },
            output: {},
            reason: textOrNull,
            errors: list({ type: 'object' }),
          },
          ['state', 'output', 'reason', 'errors'],
        ),
      },
      404: problemAnswer('No such task or queue.'),
      409: problemAnswer('The first request with this `Idempotency-Key` is under way.'),
      422: problemAnswer(
        'The input does not fit the task, or the `Idempotency-Key` came with another request.',
      ),
    },
    async handle(call) {
      const waitMs = readWait(call.query)
      const job = await enqueue(call)
      const { id, inserted } = job
      const isAwaited = waitMs !== null && (await isVisible(call, job))
      const ended = isAwaited ? await waitFor(call, id, waitMs) : {}
      return json({ id, inserted, ...ended }, 201, { location: `/v1/jobs/${id}` })
    },
  },
  {
    method: 'POST',
    path: '/v1/jobs',
    id: 'enqueueMany',
    summary: 'Add up to 1,000 jobs. All are checked before the first is stored.',
    tag: 'jobs',
    scopes: ['enqueue'],
    body: entriesSchema,
    answers: {
      201: {
        description: 'All are stored; in the order of the list.',
        schema: object({ jobs: list(insertedSchema) }),
      },
      404: problemAnswer('No such task or queue; `errors` points at the first job that has one.'),
      422: problemAnswer('An input does not fit its task; nothing is stored.'),
    },
    async handle(call) {
      const { errand, caller, request } = call
      if (request.headers.has('idempotency-key'))
        throw new Problem(
          'invalid-option',
          'Idempotency-Key is for single jobs: give each job of the list a `unique` key instead.',
        )
      const entries: readonly Entry[] = await readEntries(call)
      const jobs = await clientOf(errand).enqueueMany(entries, {}, originOf(caller))
      return json({ jobs: jobs.map(({ id, inserted }) => ({ id, inserted })) }, 201)
    },
  },
]

const anywhere: JobOrigin = {}
const withinQueue: JobOrigin = { isWithinQueue: true }

/** Who may touch some queues only replaces no job of another. */
function originOf({ queues }: Caller): JobOrigin {
  return queues === null ? anywhere : withinQueue
}

type Enqueued = Pick<EnqueuedJob<unknown>, 'id' | 'inserted'>

function enqueue(call: RouteCall): Promise<Enqueued> {
  const { errand, caller, params, query, request } = call
  const { queue = '', task = '' } = params
  checkQueue(caller, queue)
  const { delay, key, group } = textsOf(query, ['delay', 'key', 'group'])
  const tags = query['tag'] as readonly string[] | undefined
  const priority = query['priority'] as number | undefined
  const options: EnqueueOptions = {
    queue,
    ...readTimes(query, ['runAt']),
    ...tracedHeaders(request),
    ...(delay === undefined ? {} : { delay: delay as Duration }),
    ...(priority === undefined ? {} : { priority }),
    ...(key === undefined ? {} : { unique: { key } }),
    ...(group === undefined ? {} : { group }),
    ...(tags === undefined ? {} : { tags }),
  }
  const once = readKey(request)
  return once === null
    ? clientOf(errand).enqueue(task, inputOf(call), options, originOf(caller))
    : enqueueKeyed(call, { key: once, task, options })
}

/** The body is the input. */
function inputOf({ body, digits }: RouteCall): unknown {
  return both(body, digits)
}

async function enqueueKeyed(
  call: RouteCall,
  { key, task, options }: { key: string; task: string; options: EnqueueOptions },
): Promise<Enqueued> {
  const { errand, caller } = call
  const request = {
    token: caller.token,
    key,
    task,
    input: inputOf(call),
    options,
    origin: originOf(caller),
  }
  const answer = await enqueueOnce(clientOf(errand), keptAnswersOf(errand), request)
  if (answer === 'other')
    throw new Problem(
      'key-reused',
      'This Idempotency-Key came before with another request: use a key of its own for each.',
    )
  if (answer === 'begun')
    throw new Problem(
      'key-in-flight',
      'The first request with this Idempotency-Key is under way: send it again a little later.',
      { headers: { 'retry-after': '1' } },
    )
  return answer
}

const longestKey = 255

/** The key of a request, as a text or as the quoted text of the standard's draft; null for none. */
function readKey(request: ApiRequest): string | null {
  const given = request.headers.get('idempotency-key')
  if (given === null) return null
  const key = /^"((?:[^"\\]|\\["\\])*)"$/.exec(given.trim())?.[1] ?? given.trim()
  if (key !== '' && key.length <= longestKey && isPlain(key)) return key
  throw new Problem('invalid-option', `Idempotency-Key is a text of 1 to ${longestKey} characters.`)
}

/** Whether the caller may see the job: a unique key may be held by one of another queue. */
async function isVisible(
  { errand, caller }: RouteCall,
  { id, inserted }: Enqueued,
): Promise<boolean> {
  if (caller.queues === null || inserted === 'created') return true
  const job = await errand.jobs.get(id)
  return job !== null && mayTouch(caller, job.queue)
}

/** How the job ended, as far as it has within the time. The job is stored, so nothing here is an error of the request. */
async function waitFor(
  { errand, signal }: RouteCall,
  id: string,
  waitMs: number,
): Promise<Readonly<Record<string, unknown>>> {
  const unseen = (): End => ({ kind: 'open', state: null })
  const end = await endOf(errand, id, waitMs, signal).catch(unseen)
  switch (end.kind) {
    case 'completed':
      return { state: 'completed', output: end.output ?? null }
    case 'open':
      return { state: end.state }
    case 'missing':
      return { state: 'gone' }
    case 'ended': {
      const { reason = null, errors } = endDetails(end.error)
      const state = end.error.code.slice('job-'.length)
      return { state, reason, ...(errors === undefined ? {} : { errors }) }
    }
  }
}
