/**
 * The arguments of each call of a store as JSON Schemas: what a request must look like before a store sees it, and what the
 * document of the API shows. A field that is not named here is let through, and no store reads it: a newer version may send it.
 */
import { finalStates, jobStates, mostHeadStartMs } from '../../core/job.ts'
import { longestMs } from '../../core/duration.ts'
import type { CallName } from '../../store/calls.ts'
import type { JsonSchema } from '../route.ts'

/** The most elements of a list, over all calls: each call has a bound in bytes as well. */
const mostElements = 100_000

/** Well-formed, and without NUL. */
const text: JsonSchema = { type: 'string', pattern: '^[^\\u0000\\uD800-\\uDFFF]*$' }
/** Names and keys have no control characters either. */
const plainPattern = '^[^\\p{Cc}\\uD800-\\uDFFF]*$'
const name: JsonSchema = { type: 'string', minLength: 1, maxLength: 200, pattern: plainPattern }
const key: JsonSchema = { type: 'string', maxLength: 2_000, pattern: plainPattern }
const id: JsonSchema = {
  type: 'string',
  pattern: '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$',
}
/** Of jobs that may not exist: asked for, and not found. */
const anyId: JsonSchema = { type: 'string', maxLength: 200, pattern: plainPattern }
const count: JsonSchema = { type: 'integer', minimum: 0, maximum: Number.MAX_SAFE_INTEGER }
const ms: JsonSchema = { type: 'integer', minimum: 0, maximum: longestMs }
const time: JsonSchema = { type: 'integer', minimum: -longestMs * 2, maximum: longestMs * 2 }
const flag: JsonSchema = { type: 'boolean' }

function orNull(schema: JsonSchema): JsonSchema {
  return { anyOf: [schema, { type: 'null' }] }
}

function oneOf(...values: readonly (string | null)[]): JsonSchema {
  return { enum: values }
}

function list(items: JsonSchema, maxItems: number = mostElements): JsonSchema {
  return { type: 'array', items, maxItems }
}

function object(
  required: Readonly<Record<string, JsonSchema>>,
  optional: Readonly<Record<string, JsonSchema>> = {},
): JsonSchema {
  return {
    type: 'object',
    required: Object.keys(required),
    properties: { ...required, ...optional },
  }
}

const keep = orNull(ms)
const output = { output: oneOf('keep', 'hand') }
const onFailed = oneOf('cancel', 'fail', 'run')

const newJob = object(
  {
    id,
    task: name,
    queue: name,
    priority: { type: 'integer', minimum: -1_000, maximum: 1_000 },
    input: text,
    codec: orNull(name),
    options: orNull(text),
    parent: orNull(id),
    group: orNull(key),
    tags: list(key, 100),
    headers: { type: 'object', maxProperties: 1_000, additionalProperties: text },
    delayMs: ms,
    runAt: orNull(time),
    startWithinMs: orNull(ms),
    deadlineMs: orNull(ms),
    keepCancelledMs: keep,
    unique: orNull(
      object({
        key: text,
        during: list(oneOf(...jobStates), 8),
        forMs: orNull(ms),
        onConflict: oneOf('skip', 'replace', 'replace-in-queue'),
        maxWaitMs: orNull(ms),
      }),
    ),
    needs: list(object({ kind: oneOf('job'), id, onFailed }, output)),
    entry: orNull({
      anyOf: [
        object({ kind: oneOf('running'), worker: key, leaseMs: ms }),
        object({ kind: oneOf('failed'), reason: text, attempt: orNull(text), keepMs: keep }),
      ],
    }),
  },
  {
    holds: list(object({ id, onFailed }, output)),
    headStartMs: { type: 'integer', minimum: -mostHeadStartMs, maximum: mostHeadStartMs },
  },
)

const lease = { id, token: count }
const counters = object({
  attempts: count,
  failures: count,
  postpones: count,
  losses: count,
  interruptions: count,
  deferrals: count,
})

const settling = {
  ...lease,
  yieldsToCancel: flag,
  counters,
  attempt: orNull(text),
  followUps: list(newJob),
}

const settlement: JsonSchema = {
  type: 'object',
  required: ['kind'],
  properties: { kind: oneOf('finish', 'requeue') },
  if: { properties: { kind: { const: 'finish' } } },
  // oxlint-disable-next-line unicorn/no-thenable -- a keyword of JSON Schema
  then: object({
    ...settling,
    state: oneOf(...finalStates),
    output: orNull(text),
    reason: orNull(text),
    keepMs: keep,
    startedAgoMs: orNull(ms),
  }),
  else: object({
    ...settling,
    delayMs: ms,
    place: oneOf('keep', 'due'),
    started: flag,
    suspect: flag,
  }),
}

const note: JsonSchema = {
  anyOf: [
    object({ ...lease, kind: oneOf('start'), agoMs: time }),
    object({ ...lease, kind: oneOf('progress'), value: text }),
    object({
      ...lease,
      kind: oneOf('log'),
      agoMs: time,
      level: oneOf('debug', 'info', 'warn', 'error'),
      text,
    }),
  ],
}

const asked = { worker: key, limit: count, leaseMs: ms }
const ids = list(anyId, 10_000)
const lock = { name: key, holder: key }

/** The list of arguments of a call; the later ones may be left out. */
function args(...schemas: readonly JsonSchema[]): JsonSchema {
  const none = schemas.length === 0
  return { type: 'array', maxItems: schemas.length, ...(none ? {} : { prefixItems: schemas }) }
}

function atLeast(minItems: number, schema: JsonSchema): JsonSchema {
  return { ...schema, minItems }
}

export const shapes: Readonly<Record<CallName, JsonSchema>> = {
  insert: atLeast(
    1,
    args(
      list(newJob),
      orNull(
        object(
          {},
          {
            advance: orNull(
              list(object({ key, from: orNull(text), to: orNull(text), jobs: list(id) })),
            ),
          },
        ),
      ),
    ),
  ),
  claim: atLeast(
    1,
    args(
      object({
        ...asked,
        queues: list(object({ name, limit: count })),
        others: count,
        maxLosses: orNull(count),
        id: orNull(key),
      }),
    ),
  ),
  settle: atLeast(1, args(list(settlement))),
  renew: atLeast(2, args(list(object(lease)), ms)),
  note: atLeast(1, args(list(note))),
  record: atLeast(1, args(list(object({ ...lease, name: text, text })))),
  rescue: atLeast(1, args(object({ ...asked, tasks: list(name) }))),
  tend: atLeast(
    1,
    args(
      object(
        {
          id: key,
          host: key,
          pid: { type: 'integer' },
          version: key,
          queues: list(name),
          slots: count,
          schedules: orNull(key),
          running: list(anyId, 1_000),
          startedAt: { type: 'number' },
          lastSeenAt: { type: 'number' },
          stopped: flag,
        },
        {
          renewer: oneOf('thread', 'event-loop'),
          group: orNull(name),
          paused: list(key, 10),
          process: object({ index: count, of: count }),
          sources: list(
            object({
              name,
              state: oneOf('connecting', 'connected', 'stopped'),
              failures: count,
              storeFailures: count,
              lastError: orNull(text),
              stored: count,
              known: count,
              parked: count,
            }),
            100,
          ),
        },
      ),
    ),
  ),
  get: atLeast(1, args(ids)),
  list: atLeast(
    1,
    args(
      object(
        { limit: count },
        {
          states: list(oneOf(...jobStates), 8),
          tasks: list(name),
          queue: key,
          uniqueKey: text,
          parent: key,
          group: key,
          tag: text,
          schedule: text,
          search: object({ in: oneOf('input', 'output'), path: list(text, 100), equals: text }),
          createdFrom: { type: 'number' },
          createdTo: { type: 'number' },
          finishedFrom: { type: 'number' },
          finishedTo: { type: 'number' },
          after: { type: 'string', maxLength: 1_000, pattern: plainPattern },
        },
      ),
    ),
  ),
  counts: args(),
  stats: args(),
  logs: atLeast(1, args(anyId)),
  recorded: atLeast(1, args(object({ id: anyId, after: orNull(text), limit: count }))),
  cancel: atLeast(2, args(ids, orNull(text))),
  retry: atLeast(1, args(ids)),
  remove: atLeast(1, args(ids)),
  take: atLeast(1, args(ids)),
  prune: atLeast(1, args(object({ limit: count, cap: count }))),
  pause: atLeast(1, args(list(name))),
  resume: atLeast(1, args(list(name))),
  queues: args(),
  workers: args(),
  registerTasks: atLeast(
    1,
    args(
      list(
        object({
          name,
          aliases: list(name, 1_000),
          queue: name,
          inputSchema: orNull(text),
          options: text,
        }),
      ),
    ),
  ),
  tasks: args(),
  getRecords: atLeast(1, args(list(key))),
  listRecords: atLeast(1, args(object({ prefix: key, after: orNull(key), limit: count }))),
  putRecords: atLeast(1, args(list(object({ key, text: orNull(text) }, { if: orNull(text) })))),
  hold: atLeast(
    1,
    args(
      object({
        ...lock,
        token: orNull(count),
        ttlMs: ms,
        host: key,
        pid: { type: 'integer' },
      }),
    ),
  ),
  release: atLeast(1, args(object({ ...lock, token: count }))),
  lockOwner: atLeast(1, args(key)),
}
