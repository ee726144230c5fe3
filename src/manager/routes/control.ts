/** Orders of operators to workers. */
import type {
  ControlOptions,
  ControlOrder,
  ControlTarget,
  WorkerTarget,
} from '../../client/control.ts'
import { controlVerbs } from '../../core/control.ts'
import { mayTouch, type Caller } from '../caller.ts'
import { Problem } from '../problem.ts'
import { checkAllQueues, checkQueue } from '../read.ts'
import { json, type JsonSchema, type Route } from '../route.ts'
import { list, object, textOrNull, timeOrNull } from '../schemas.ts'

const name = { type: 'string', minLength: 1, maxLength: 200 }
const workers = [{ worker: name }, { group: name }, { all: { const: true } }]
const anything = [{ queue: name }, { task: name }, ...workers]
const note = { note: { type: 'string', minLength: 1, maxLength: 500 } }

const done = { description: 'It is stored; running workers obey within about two seconds.' }

/** Exactly one of some targets, and what may stand beside it. */
function oneOf(
  targets: readonly Readonly<Record<string, JsonSchema>>[],
  beside: Readonly<Record<string, JsonSchema>> = {},
): JsonSchema {
  return { oneOf: targets.map((target) => object({ ...target, ...beside }, Object.keys(beside))) }
}

export const controlRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: '/v1/control',
    id: 'listControl',
    summary: 'See what workers are told, with paused queues.',
    tag: 'control',
    scopes: ['read'],
    answers: {
      200: {
        description:
          'Paused queues first, then the oldest. Of a paused queue the store keeps neither who nor when.',
        schema: object({
          orders: list(
            object({
              verb: { enum: controlVerbs },
              target: oneOf(anything),
              at: timeOrNull,
              by: textOrNull,
              note: textOrNull,
            }),
          ),
        }),
      },
    },
    async handle({ errand, caller }) {
      const orders = await errand.control.list()
      return json({ orders: orders.filter((order) => isVisible(caller, order)) })
    },
  },
  {
    method: 'POST',
    path: '/v1/control/pause',
    id: 'pauseControl',
    summary: 'Keep jobs of a queue or a task, or whatever some workers claim, from being started.',
    tag: 'control',
    scopes: ['operate'],
    body: oneOf(anything, note),
    checksItself: true,
    answers: { 204: done },
    async handle({ errand, caller, body }) {
      const { target, words } = readOrder(caller, body)
      await errand.control.pause(target, words)
      return new Response(null, { status: 204 })
    },
  },
  {
    method: 'POST',
    path: '/v1/control/resume',
    id: 'resumeControl',
    summary: 'End what pause, drain, stop or restart began for the same target.',
    tag: 'control',
    scopes: ['operate'],
    body: oneOf(anything),
    checksItself: true,
    answers: { 204: done },
    async handle({ errand, caller, body }) {
      await errand.control.resume(readTarget(caller, readObject(body)))
      return new Response(null, { status: 204 })
    },
  },
  ending('drain', 'Let workers claim nothing more, and stop once none of their jobs runs.'),
  ending('stop', 'Stop workers, which are not started again.'),
  ending('restart', 'Stop workers that run now, one after another, to be started again.'),
]

function ending(verb: 'drain' | 'stop' | 'restart', summary: string): Route {
  return {
    method: 'POST',
    path: `/v1/control/${verb}`,
    id: `${verb}Control`,
    summary,
    tag: 'control',
    scopes: ['operate'],
    body: oneOf(workers, note),
    checksItself: true,
    answers: { 204: done },
    async handle({ errand, caller, body }) {
      const { target, words } = readOrder(caller, body)
      await errand.control[verb](target as WorkerTarget, words)
      return new Response(null, { status: 204 })
    },
  }
}

type Given = Readonly<Record<string, unknown>>

interface GivenOrder {
  readonly target: ControlTarget
  readonly words: ControlOptions
}

function readOrder(caller: Caller, body: unknown): GivenOrder {
  const { note: why, ...target } = readObject(body)
  const by = caller.token === null ? 'over HTTP' : `token ${caller.token}`.slice(0, 200)
  const words = { by, ...(why === undefined ? {} : { note: why }) }
  return { target: readTarget(caller, target), words: words as ControlOptions }
}

function readObject(body: unknown): Given {
  if (body === undefined) return {}
  if (typeof body === 'object' && body !== null && !Array.isArray(body)) return body as Given
  throw new Problem('invalid-option', 'The body is an object such as {"queue":"mail"}.')
}

/**
 * Workers serve queues of all callers: a caller with some queues may speak of those only. `errand.control` checks the rest, and
 * says in its own words what is wrong; of the schema's alternatives each would be told.
 */
function readTarget(caller: Caller, given: Given): ControlTarget {
  if (Object.keys(given).length !== 1)
    throw new Problem('invalid-option', 'The body names one of queue, task, worker, group and all.')
  if (typeof given['queue'] === 'string') checkQueue(caller, given['queue'])
  else checkAllQueues(caller)
  return given as unknown as ControlTarget
}

function isVisible(caller: Caller, { target }: ControlOrder): boolean {
  if (caller.queues === null) return true
  return 'queue' in target && mayTouch(caller, target.queue)
}
