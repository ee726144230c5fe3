/** Queues: how they stand, and whether they give jobs. */
import { jobStates } from '../../core/job.ts'
import { runOutcomes } from '../../observe/run-tallies.ts'
import { mayTouch } from '../caller.ts'
import { isoOf } from '../job-json.ts'
import { checkQueue, readTimes, textOf } from '../read.ts'
import { json, type Route } from '../route.ts'
import { count, flag, list, object, text, time, timeOrNull } from '../schemas.ts'

const counts = object(Object.fromEntries(jobStates.map((state) => [state, count])), jobStates)
const amount = { type: 'number', minimum: 0 }
const amountOrNull = { type: ['number', 'null'], minimum: 0 }
const durations = object({
  count,
  sumMs: amount,
  p50Ms: amountOrNull,
  p90Ms: amountOrNull,
  p99Ms: amountOrNull,
})
const outcomes = object(Object.fromEntries(runOutcomes.map((name) => [name, count])), runOutcomes)
const pointSchema = object({
  at: time,
  runs: list(
    object({
      queue: text,
      task: text,
      ended: outcomes,
      losses: count,
      wait: durations,
      run: durations,
    }),
  ),
  queues: list(
    object({
      queue: text,
      ready: count,
      scheduled: count,
      blocked: count,
      running: count,
      oldestMs: amount,
    }),
  ),
})
const queueSchema = object({ name: text, paused: flag, counts })

export const queueRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: '/v1/queues',
    id: 'listQueues',
    summary: 'See the queues that hold jobs or are paused, with their counts by state.',
    tag: 'queues',
    scopes: ['read'],
    answers: { 200: { description: 'By name.', schema: object({ queues: list(queueSchema) }) } },
    async handle({ errand, caller }) {
      const queues = await errand.queues.list()
      return json({ queues: queues.filter(({ name }) => mayTouch(caller, name)) })
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
  {
    method: 'GET',
    path: '/v1/stats',
    id: 'getStats',
    summary:
      'See how each queue with jobs stands and what came of its jobs, for charts and alarms.',
    tag: 'queues',
    scopes: ['read'],
    query: {
      by: {
        schema: { enum: ['minute', 'hour'] },
        description: 'With points by the minute, kept for two days, or by the hour, for a month.',
      },
      from: { schema: time, description: 'Points from here on: an hour, or two days, by default.' },
      to: { schema: time, description: 'Points before this; by default until now.' },
    },
    answers: {
      200: {
        description:
          'By name. `oldestReadyAt` is when the ready job was due that has been due for longest.',
        schema: object({
          at: time,
          queues: list(object({ queue: text, counts, oldestReadyAt: timeOrNull })),
          history: list(pointSchema),
        }),
      },
    },
    async handle({ errand, caller, query }) {
      const by = textOf(query, 'by') as 'minute' | 'hour' | undefined
      const options = { ...(by && { by }), ...readTimes(query, ['from', 'to']) }
      const { at, queues, history } = await errand.stats(options)
      const isSeen = ({ queue }: { readonly queue: string }): boolean => mayTouch(caller, queue)
      return json({
        at,
        queues: queues
          .filter(isSeen)
          .map((one) => ({ ...one, oldestReadyAt: isoOf(one.oldestReadyAt) })),
        history: history.map((point) => ({
          at: isoOf(point.at),
          runs: point.runs.filter(isSeen),
          queues: point.queues.filter(isSeen),
        })),
      })
    },
  },
]

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
