/** What works here: workers, tasks, singletons. */
import { mayTouch, type Caller } from '../caller.ts'
import type { WorkerInfo } from '../../client/workers.ts'
import { messageOf } from '../../core/kept-error.ts'
import type { LockOwner } from '../../store/locks.ts'
import type { RegisteredTask } from '../../store/registry.ts'
import { isoOf } from '../job-json.ts'
import type { Managed } from '../managed.ts'
import { Problem } from '../problem.ts'
import { checkAllQueues } from '../read.ts'
import { json, type Route, type RouteCall } from '../route.ts'
import {
  count,
  list,
  object,
  problemAnswer,
  text,
  textOrNull,
  time,
  timeOrNull,
} from '../schemas.ts'

const ownerSchema = {
  oneOf: [
    object({
      host: text,
      pid: { type: ['integer', 'null'] },
      since: timeOrNull,
      token: { type: ['integer', 'null'] },
    }),
    { type: 'null' },
  ],
}
const beatSchema = { oneOf: [object({ at: time, host: text }), { type: 'null' }] }
const sourceSchema = object({
  name: text,
  state: { enum: ['connecting', 'connected', 'stopped'] },
  failures: count,
  storeFailures: count,
  lastError: textOrNull,
  stored: count,
  known: count,
  parked: count,
})
const noSingleton = problemAnswer('The manager knows no such singleton.')

export const fleetRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: '/v1/workers',
    id: 'listWorkers',
    summary: 'See the workers of the last day, the newest first.',
    tag: 'fleet',
    scopes: ['read'],
    answers: {
      200: {
        description:
          '`lost` are those that were not seen for half a minute without having stopped. `paused` says why a worker claims nothing for now: `control`, `code`, `cpu`, `memory`, `lag`. `sources` are those of messages in its process, with their failures in a row. Without slots it is a keeper, or a process that runs sources alone.',
        schema: object({
          workers: list(
            object({
              id: text,
              host: text,
              pid: count,
              version: text,
              queues: list(text),
              slots: count,
              group: textOrNull,
              running: list(text),
              renewer: { enum: ['thread', 'event-loop', null] },
              startedAt: time,
              lastSeenAt: time,
              state: { enum: ['running', 'stopped', 'lost'] },
              paused: list(text),
              process: { oneOf: [object({ index: count, of: count }), { type: 'null' }] },
              sources: list(sourceSchema),
            }),
          ),
        }),
      },
    },
    async handle({ errand, caller }) {
      const workers = await errand.workers.list()
      return json({ workers: workers.flatMap((worker) => shownTo(caller, worker) ?? []) })
    },
  },
  {
    method: 'GET',
    path: '/v1/tasks',
    id: 'listTasks',
    summary: 'See the tasks that workers have registered.',
    tag: 'fleet',
    scopes: ['read'],
    answers: {
      200: {
        description: '`inputSchema` is a JSON Schema; null where the task has none.',
        schema: object({
          tasks: list(
            object({
              name: text,
              aliases: list(text),
              queue: text,
              inputSchema: { type: ['object', 'boolean', 'null'] },
            }),
          ),
        }),
      },
    },
    async handle({ errand, caller }) {
      const tasks = await errand.tasks.list()
      return json({ tasks: tasks.filter(({ queue }) => mayTouch(caller, queue)).map(taskJson) })
    },
  },
  {
    method: 'GET',
    path: '/v1/singletons',
    id: 'listSingletons',
    summary: 'See the singletons that the manager knows, and who holds their locks.',
    tag: 'fleet',
    scopes: ['read'],
    answers: {
      200: {
        description: '`error` says why the owner is not known.',
        schema: object({
          singletons: list(object({ name: text, owner: ownerSchema, error: textOrNull })),
        }),
      },
    },
    async handle({ errand, caller }) {
      checkAllQueues(caller)
      const singletons = errand.singletons.names.map((name) => ownedBy(errand, name))
      return json({ singletons: await Promise.all(singletons) })
    },
  },
  {
    method: 'GET',
    path: '/v1/singletons/{singleton}',
    id: 'getSingleton',
    summary: 'See who holds the lock of a singleton, and its last beats.',
    tag: 'fleet',
    scopes: ['read'],
    answers: {
      200: {
        description: '`success` follows a round that succeeded, `alive` says that one goes on.',
        schema: object({
          name: text,
          owner: ownerSchema,
          error: textOrNull,
          success: beatSchema,
          alive: beatSchema,
        }),
      },
      404: noSingleton,
    },
    async handle(call) {
      const name = readSingleton(call)
      const { errand } = call
      const { success, alive } = await errand.singletons.check(name, 1)
      return json({
        ...(await ownedBy(errand, name)),
        success: success === null ? null : { ...success, at: isoOf(success.at) },
        alive: alive === null ? null : { ...alive, at: isoOf(alive.at) },
      })
    },
  },
  {
    method: 'POST',
    path: '/v1/singletons/{singleton}/trigger',
    id: 'triggerSingleton',
    summary: 'End the rest of a singleton, wherever it runs, so that its next round begins.',
    tag: 'fleet',
    scopes: ['operate'],
    answers: { 204: { description: 'It is told.' }, 404: noSingleton },
    async handle(call) {
      await call.errand.singletons.trigger(readSingleton(call))
      return new Response(null, { status: 204 })
    },
  },
]

/** A worker as a caller may see it: without queues, jobs and sources of others. */
function shownTo(caller: Caller, worker: WorkerInfo): WorkerInfo | null {
  if (caller.queues === null) return worker
  const queues = worker.queues.filter((queue) => queue === '*' || mayTouch(caller, queue))
  return queues.length === 0 ? null : { ...worker, queues, running: [], sources: [] }
}

function taskJson({ name, aliases, queue, inputSchema }: RegisteredTask): object {
  return { name, aliases, queue, inputSchema: inputSchema === null ? null : parsed(inputSchema) }
}

/** Some other program may have written it. */
function parsed(schema: string): unknown {
  try {
    return JSON.parse(schema)
  } catch {
    return null
  }
}

/** A lock may lie on a server of its own, which may be away while the others are not. */
async function ownedBy(errand: Managed, name: string): Promise<object> {
  try {
    return { name, owner: ownerJson(await errand.singletons.owner(name)), error: null }
  } catch (error) {
    return { name, owner: null, error: messageOf(error) }
  }
}

function ownerJson(owner: LockOwner | null): object | null {
  return owner === null ? null : { ...owner, since: isoOf(owner.since) }
}

function readSingleton({ errand, caller, params }: RouteCall): string {
  checkAllQueues(caller)
  const { singleton: name = '' } = params
  if (errand.singletons.names.includes(name)) return name
  throw new Problem('not-found', 'The manager knows no singleton of that name.')
}
