/** What operators do to several jobs, or to all that a filter fits. */
import type { JobFilter } from '../../client/job-filter.ts'
import { verbStates, type Tally } from '../../client/jobs.ts'
import type { JobState } from '../../core/job.ts'
import { answered } from '../../loops/call-deadline.ts'
import { mayTouch } from '../caller.ts'
import { filterOfBody, filterSchema, type FilterBody } from '../job-filters.ts'
import { narrowed } from '../read.ts'
import { json, type Route, type RouteCall } from '../route.ts'
import { count, idSchema, list, object, text, textOrNull } from '../schemas.ts'

type VerbName = keyof typeof verbStates

/** What each verb may answer of a job. */
const answersOf: Readonly<Record<VerbName, readonly string[]>> = {
  cancel: ['cancelled', 'asked', 'final', 'missing'],
  retry: ['retried', 'duplicate', 'unfit', 'missing'],
  remove: ['removed', 'running', 'missing'],
}

/** How long one call works through what a filter fits: shorter than what proxies give a request. */
const budgetMs = 20_000
const chunk = 500

interface BulkBody {
  readonly ids?: readonly string[]
  readonly filter?: FilterBody
  readonly after?: string
  readonly reason?: string
}

function bulk(verb: VerbName, summary: string): Route {
  return {
    method: 'POST',
    path: `/v1/jobs/${verb}`,
    id: `${verb}Jobs`,
    summary: `${summary} While \`next\` is not null, send the filter again with it as \`after\`.`,
    tag: 'jobs',
    scopes: ['operate'],
    body: {
      oneOf: [
        object(
          {
            ids: { ...list(idSchema), maxItems: 1_000 },
            ...(verb === 'cancel' ? { reason: text } : {}),
          },
          ['reason'],
        ),
        object(
          {
            filter: filterSchema,
            after: text,
            ...(verb === 'cancel' ? { reason: text } : {}),
          },
          ['after', 'reason'],
        ),
      ],
    },
    answers: {
      200: {
        description: 'How many jobs came to what.',
        schema: object({
          counts: object(
            Object.fromEntries(answersOf[verb].map((answer) => [answer, count])),
            answersOf[verb],
          ),
          next: textOrNull,
        }),
      },
    },
    async handle(call) {
      const { ids, after, reason } = call.body as BulkBody
      const act = (some: readonly string[]): Promise<Tally<string>> =>
        verb === 'cancel'
          ? call.errand.jobs.cancel(some, reason === undefined ? {} : { reason })
          : call.errand.jobs[verb](some)
      if (ids !== undefined) return json({ counts: await onIds(call, ids, act), next: null })
      return json(await onFilter(call, verb, narrowed(call.caller, filterOf(call)), after, act))
    },
  }
}

/** The filter of a body, with all digits of what it searches for. */
function filterOf({ body, digits }: RouteCall): JobFilter {
  const { filter = {} } = body as BulkBody
  const { search } = filter
  if (search === undefined) return filterOfBody(filter)
  const equals = (digits as BulkBody).filter?.search?.equals
  return filterOfBody({ ...filter, search: { ...search, equals } })
}

type Act = (ids: readonly string[]) => Promise<Tally<string>>

/** Of those that the caller may not touch nothing is known. */
async function onIds(
  { errand, caller }: RouteCall,
  ids: readonly string[],
  act: Act,
): Promise<Tally<string>> {
  if (caller.queues === null) return act(ids)
  const jobs = await answered(errand.store.clock, errand.store.get(ids))
  const mine = jobs.flatMap((job) => (job !== null && mayTouch(caller, job.queue) ? job.id : []))
  const missing = ids.length - mine.length
  return sum(mine.length === 0 ? {} : await act(mine), missing === 0 ? {} : { missing })
}

/** Page by page, until the time is over, the caller has gone, or the manager stops. */
async function onFilter(
  { errand, caller, signal }: RouteCall,
  verb: VerbName,
  filter: JobFilter,
  after: string | undefined,
  act: Act,
): Promise<{ readonly counts: Tally<string>; readonly next: string | null }> {
  const { clock } = errand.store
  const until = clock.now() + budgetMs
  const asked = filter.state === undefined ? null : [filter.state].flat()
  const state: readonly JobState[] = verbStates[verb].filter((one) => asked?.includes(one) ?? true)
  let counts: Tally<string> = {}
  let next: string | null = after ?? null
  // A state that the verb does not fit asks for nothing.
  if (state.length === 0) return { counts, next: null }
  do {
    const cursor: { after?: string } = next === null ? {} : { after: next }
    const page = await errand.jobs.list({ ...filter, state, limit: chunk, ...cursor })
    const ids = page.jobs.flatMap(({ id, queue }) => (mayTouch(caller, queue) ? id : []))
    if (ids.length > 0) counts = sum(counts, await act(ids))
    next = page.next
  } while (next !== null && !signal.aborted && clock.now() < until)
  return { counts, next }
}

function sum(a: Tally<string>, b: Tally<string>): Tally<string> {
  const all: Record<string, number> = { ...a } as Record<string, number>
  for (const [answer, n = 0] of Object.entries(b)) all[answer] = (all[answer] ?? 0) + n
  return all
}

export const bulkVerbRoutes: readonly Route[] = [
  bulk('cancel', 'Cancel jobs by their ids, or all that a filter fits.'),
  bulk('retry', 'Make jobs ready again by their ids, or all that a filter fits.'),
  bulk('remove', 'Remove jobs by their ids, or all that a filter fits.'),
]
