/** Queues: how they stand, and whether they give jobs. */
import type { QueueInfo } from '../../client/queues.ts'
import { mayTouch } from '../caller.ts'
import { isoOf } from '../job-json.ts'
import { Problem } from '../problem.ts'
import { checkQueue, textOf } from '../read.ts'
import { json, type Route } from '../route.ts'
import {
  count,
  countsSchema as counts,
  flag,
  limitParameter,
  list,
  object,
  text,
  textOrNull,
  timeOrNull,
} from '../schemas.ts'

const queueFacts = { name: text, paused: flag, counts }
const queueSchema = object(queueFacts)

export const queueRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: '/v1/queues',
    id: 'listQueues',
    summary: 'See the queues that hold jobs or are paused, with their counts by state.',
    tag: 'queues',
    scopes: ['read'],
    query: {
      find: { schema: text, description: 'Whose names hold this text.' },
      order: {
        schema: { enum: ['name', 'busiest'] },
        description: 'By name, or those with most jobs that wait or run first. Default: name.',
      },
      limit: { ...limitParameter, description: 'The most of one page. Default: all.' },
      after: {
        schema: text,
        description: '`next` of the page before; with `order=name` only.',
      },
    },
    answers: {
      200: {
        description:
          'A page. `found` says how many queues there are in all that the names fit. ' +
          '`oldestReadyAt` is when the ready job was due that has been due for longest.',
        schema: object({
          queues: list(object({ ...queueFacts, oldestReadyAt: timeOrNull })),
          found: count,
          next: textOrNull,
        }),
      },
    },
    async handle({ errand, caller, query }) {
      const find = textOf(query, 'find') ?? ''
      const after = textOf(query, 'after')
      const { order = 'name', limit = Infinity } = query as {
        readonly order?: 'name' | 'busiest'
        readonly limit?: number
      }
      if (order === 'busiest' && after !== undefined)
        throw new Problem('invalid-option', 'after goes by name: leave out order=busiest.')
      const [all, { queues: stats }] = await Promise.all([errand.queues.list(), errand.stats()])
      const fits = all.filter(({ name }) => mayTouch(caller, name) && name.includes(find))
      const sorted = order === 'name' ? fits : fits.toSorted((a, b) => busyness(b) - busyness(a))
      const rest = after === undefined ? sorted : sorted.filter(({ name }) => name > after)
      const page = rest.slice(0, limit)
      const oldest = new Map(stats.map(({ queue, oldestReadyAt }) => [queue, oldestReadyAt]))
      return json({
        queues: page.map((queue) => ({
          ...queue,
          oldestReadyAt: isoOf(oldest.get(queue.name) ?? null),
        })),
        found: fits.length,
        next: order === 'name' && rest.length > page.length ? (page.at(-1)?.name ?? null) : null,
      })
    },
  },
  {
    method: 'GET',
    path: '/v1/queues/{queue}',
    id: 'getQueue',
    summary: 'See one queue. A queue without jobs has no counts.',
    tag: 'queues',
    scopes: ['read'],
    answers: { 200: { description: 'The queue.', schema: queueSchema } },
    async handle({ errand, caller, params }) {
      const { queue: name = '' } = params
      checkQueue(caller, name)
      const found = (await errand.queues.list()).find((queue) => queue.name === name)
      return json(found ?? { name, paused: false, counts: {} })
    },
  },
  verb('pause', 'Keep a queue from giving jobs, in every process. Running jobs go on.'),
  verb('resume', 'Let a queue give jobs again.'),
]

/** What waits for its time counts little beside what waits for a worker. */
function busyness({ counts: { ready = 0, running = 0, scheduled = 0 } }: QueueInfo): number {
  return ready + running + scheduled / 1_000
}

function verb(name: 'pause' | 'resume', summary: string): Route {
  return {
    method: 'POST',
    path: `/v1/queues/{queue}/${name}`,
    id: `${name}Queue`,
    summary,
    tag: 'queues',
    scopes: ['operate'],
    answers: { 204: { description: 'Done; done again it changes nothing.' } },
    async handle({ errand, caller, params }) {
      const { queue = '' } = params
      checkQueue(caller, queue)
      await errand.queues[name](queue)
      return new Response(null, { status: 204 })
    },
  }
}
