/** How queues stand and what came of their jobs: each for itself, and all together. */
import type { StatsOptions } from '../../client/stats.ts'
import { sumOf } from '../../observe/bounded-queues.ts'
import type { HistoryPoint } from '../../observe/history/read.ts'
import { runOutcomes } from '../../observe/run-tallies.ts'
import { isoOf } from '../job-json.ts'
import { readTimes, textOf } from '../read.ts'
import { json, type Route, type RouteCall } from '../route.ts'
import { count, countsSchema, list, object, text, time, timeOrNull } from '../schemas.ts'

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
const runFacts = { ended: outcomes, losses: count, wait: durations, run: durations }
const depthFacts = {
  ready: count,
  scheduled: count,
  blocked: count,
  running: count,
  oldestMs: amount,
}

const query: NonNullable<Route['query']> = {
  by: {
    schema: { enum: ['minute', 'hour'] },
    description: 'With points by the minute, kept for two days, or by the hour, for a month.',
  },
  from: { schema: time, description: 'Points from here on: an hour, or two days, by default.' },
  to: { schema: time, description: 'Points before this; by default until now.' },
}

export const statsRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: '/v1/stats',
    id: 'getStats',
    summary:
      'See how each queue with jobs stands and what came of its jobs, for charts and alarms.',
    tag: 'queues',
    scopes: ['read'],
    query,
    answers: {
      200: {
        description:
          'By name. `oldestReadyAt` is when the ready job was due that has been due for longest.',
        schema: object({
          at: time,
          queues: list(object({ queue: text, counts: countsSchema, oldestReadyAt: timeOrNull })),
          history: list(
            object({
              at: time,
              runs: list(object({ queue: text, task: text, ...runFacts })),
              all: object(runFacts),
              queues: list(object({ queue: text, ...depthFacts })),
            }),
          ),
        }),
      },
    },
    async handle(call) {
      const { at, queues, history } = await call.errand.stats(optionsOf(call))
      return json({
        at,
        queues: queues.map((one) => ({ ...one, oldestReadyAt: isoOf(one.oldestReadyAt) })),
        history: history.map((point) => ({ ...point, at: isoOf(point.at) })),
      })
    },
  },
  {
    method: 'GET',
    path: '/v1/stats/all',
    id: 'getStatsOfAll',
    summary: 'See how all queues stand together, in an answer that does not grow with them.',
    tag: 'queues',
    scopes: ['read'],
    query,
    answers: {
      200: {
        description:
          'All queues as one. Points of a distribution are those of all runs: half of them took `p50Ms` or less.',
        schema: object({
          at: time,
          queues: count,
          counts: countsSchema,
          oldestReadyAt: timeOrNull,
          history: list(object({ at: time, all: object(runFacts), depth: object(depthFacts) })),
        }),
      },
    },
    async handle(call) {
      const { at, queues, history } = await call.errand.stats(optionsOf(call))
      const { counts, oldestReadyAt } = sumOf(queues)
      return json({
        at,
        queues: queues.length,
        counts,
        oldestReadyAt: isoOf(oldestReadyAt),
        history: history.map((point) => ({
          at: isoOf(point.at),
          all: point.all,
          depth: depthOf(point),
        })),
      })
    },
  },
]

/** What a query asks for, of the queues that the caller may see. */
function optionsOf({ caller, query: asked }: RouteCall): StatsOptions {
  const by = textOf(asked, 'by') as StatsOptions['by']
  return {
    ...(by && { by }),
    ...readTimes(asked, ['from', 'to']),
    ...(caller.queues && { queues: [...caller.queues] }),
  }
}

function depthOf({ queues }: HistoryPoint): Readonly<Record<string, number>> {
  const depth = { ready: 0, scheduled: 0, blocked: 0, running: 0, oldestMs: 0 }
  for (const one of queues) {
    for (const state of ['ready', 'scheduled', 'blocked', 'running'] as const)
      depth[state] += one[state]
    depth.oldestMs = Math.max(depth.oldestMs, one.oldestMs)
  }
  return depth
}
