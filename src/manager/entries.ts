/** A list of jobs to add, as a body holds it. */
import type { Entry, EntryOptions } from '../client/enqueued-job.ts'
import { both } from '../core/digits.ts'
import { ErrandError } from '../core/errors.ts'
import { mostTags } from '../core/job.ts'
import type { RegisteredTask } from '../store/registry.ts'
import { mayTouch, type Caller } from './caller.ts'
import { Problem } from './problem.ts'
import { readTime } from './read.ts'
import type { JsonSchema, RouteCall } from './route.ts'
import { duration, flag, list, object, stateSchema, text, time } from './schemas.ts'
import { tracedHeaders } from './trace.ts'

const limit: JsonSchema = { oneOf: [{ type: 'integer', minimum: 0 }, { const: 'none' }] }
const names: JsonSchema = { oneOf: [text, list(text)] }
const retention: JsonSchema = { type: ['string', 'integer'], examples: ['7d', 'none', 'forever'] }

const entryProperties = {
  task: text,
  queue: text,
  input: {},
  delay: duration,
  runAt: time,
  priority: { type: 'integer', minimum: -1_000, maximum: 1_000 },
  unique: {
    oneOf: [
      flag,
      object(
        {
          key: text,
          during: list(stateSchema),
          for: duration,
          onConflict: { enum: ['skip', 'replace'] },
          maxWait: duration,
        },
        ['key', 'during', 'for', 'onConflict', 'maxWait'],
      ),
    ],
  },
  group: text,
  tags: { type: 'array', items: text, maxItems: mostTags },
  headers: { type: 'object', additionalProperties: { type: 'string' } },
  retry: {
    oneOf: [{ enum: ['never', 'once', 'always', false] }, object({ limit }, ['limit'])],
  },
  postpone: object({ limit, delay: duration }, ['limit', 'delay']),
  timeout: duration,
  startWithin: duration,
  deadline: duration,
  losses: limit,
  retention: {
    oneOf: [
      retention,
      object(
        {
          completed: retention,
          failed: retention,
          cancelled: retention,
          discarded: retention,
        },
        ['completed', 'failed', 'cancelled', 'discarded'],
      ),
    ],
  },
  onSuccess: names,
  onFailure: names,
  before: names,
  onNeedFailed: { enum: ['cancel', 'run', 'fail'] },
} as const satisfies Readonly<Record<string, JsonSchema>>

export const entriesSchema: JsonSchema = {
  ...list(
    object(
      entryProperties,
      Object.keys(entryProperties).filter((name) => name !== 'task'),
    ),
  ),
  maxItems: 1_000,
}

type EntryBody = Omit<EntryOptions, 'runAt'> & {
  readonly task: string
  readonly input?: unknown
  readonly runAt?: string
}

/** Reads a body that fits `entriesSchema`. Rejects with a problem that points at the first wrong entry. */
export async function readEntries(
  call: Pick<RouteCall, 'errand' | 'caller' | 'body' | 'digits' | 'request'>,
): Promise<readonly Entry[]> {
  const { errand, caller, body, digits, request } = call
  const given = body as readonly EntryBody[]
  const asSent = digits as readonly EntryBody[]
  const registered = caller.queues === null ? [] : await errand.tasks.list()
  return given.map((entry, index) => {
    const { task, input, runAt, headers, ...options } = entry
    const read: EntryOptions = {
      ...options,
      ...(caller.queues === null ? {} : { queue: queueFor(caller, entry, index, registered) }),
      ...tracedHeaders(request, headers),
      ...(runAt === undefined ? {} : { runAt: timeOf(runAt, index) }),
    }
    return [task, both(input, asSent[index]?.input), read]
  })
}

function timeOf(runAt: string, index: number): Date {
  try {
    return readTime(runAt, 'runAt')
  } catch (error) {
    const message = error instanceof Problem ? error.message : String(error)
    throw new ErrandError('invalid-option', message, { details: { index } })
  }
}

/**
 * A caller with some queues names the queue of each job, or leaves it to a task that is known to have
 * one of them; and no tasks that follow or come before, which go into queues of their own.
 */
function queueFor(
  caller: Caller,
  { task, queue, onSuccess, onFailure, before }: EntryBody,
  index: number,
  registered: readonly RegisteredTask[],
): string {
  const known = registered.find(({ name, aliases }) => name === task || aliases.includes(task))
  const target = queue ?? known?.queue
  const others = [onSuccess, onFailure, before].some((one) => one !== undefined)
  if (target !== undefined && mayTouch(caller, target) && !others) return target
  const why = others
    ? 'onSuccess, onFailure and before are for tokens that may touch all queues.'
    : 'The token is not for its queue.'
  throw new Problem('forbidden', `Job ${index} of the list: ${why}`, { details: { index } })
}
