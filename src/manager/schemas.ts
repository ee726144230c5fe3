/** JSON Schemas of what routes take and answer, shared by several of them. */
import { jobStates } from '../core/job.ts'
import type { Answer, JsonSchema, QueryParameter } from './route.ts'

export const text: JsonSchema = { type: 'string' }
export const textOrNull: JsonSchema = { type: ['string', 'null'] }
export const count: JsonSchema = { type: 'integer', minimum: 0 }
export const flag: JsonSchema = { type: 'boolean' }
export const time: JsonSchema = { type: 'string', format: 'date-time' }
export const timeOrNull: JsonSchema = { type: ['string', 'null'], format: 'date-time' }
export const idSchema: JsonSchema = { type: 'string', format: 'uuid' }
export const stateSchema: JsonSchema = { enum: jobStates }
/** A duration as a query can say it. */
export const durationText: JsonSchema = { type: 'string', examples: ['10s', '2h'] }
/** A duration in a body, where a number is milliseconds. */
export const duration: JsonSchema = { type: ['string', 'integer'], examples: ['10s', '2h', 90_000] }
/** Jobs by state, those states that have any. */
export const countsSchema: JsonSchema = {
  type: 'object',
  properties: Object.fromEntries(jobStates.map((state) => [state, count])),
  additionalProperties: false,
}
const anything: JsonSchema = {}
const textsByName: JsonSchema = { type: 'object', additionalProperties: { type: 'string' } }

/** An object with exactly these properties, all of which it has but for `optional`. */
export function object(
  properties: Readonly<Record<string, JsonSchema>>,
  optional: readonly string[] = [],
): JsonSchema {
  const required = Object.keys(properties).filter((name) => !optional.includes(name))
  return {
    type: 'object',
    properties,
    ...(required.length > 0 ? { required } : {}),
    additionalProperties: false,
  }
}

export function list(items: JsonSchema): JsonSchema {
  return { type: 'array', items }
}

const keptError = object({
  type: text,
  message: text,
  stack: textOrNull,
  code: textOrNull,
  attempt: count,
  at: time,
})

const run = object({
  attempt: count,
  token: count,
  worker: text,
  startedAt: timeOrNull,
  endedAt: time,
  outcome: {
    enum: ['completed', 'failed', 'postponed', 'discarded', 'cancelled', 'lost', 'interrupted'],
  },
  error: { oneOf: [keptError, { type: 'null' }] },
})

export const jobSchema: JsonSchema = object(
  {
    id: idSchema,
    task: text,
    queue: text,
    state: stateSchema,
    priority: { type: 'integer', minimum: -1_000, maximum: 1_000 },
    input: anything,
    output: anything,
    errors: list(keptError),
    runs: list(run),
    reason: textOrNull,
    attempt: count,
    attempts: count,
    failures: count,
    postpones: count,
    losses: count,
    interruptions: count,
    deferrals: count,
    token: count,
    key: textOrNull,
    parent: textOrNull,
    group: textOrNull,
    tags: list(text),
    headers: textsByName,
    schedule: textOrNull,
    plannedAt: timeOrNull,
    worker: textOrNull,
    progress: anything,
    cancelAsked: flag,
    createdAt: time,
    dueAt: time,
    startBy: timeOrNull,
    deadlineAt: timeOrNull,
    startedAt: timeOrNull,
    finishedAt: timeOrNull,
    expiresAt: timeOrNull,
    leaseUntil: timeOrNull,
    codec: textOrNull,
  },
  ['input', 'output', 'progress'],
)

export const insertedSchema: JsonSchema = object({
  id: idSchema,
  inserted: { enum: ['created', 'duplicate', 'replaced'] },
})

/** An RFC 9457 problem, with Errand's code. */
const problemSchema: JsonSchema = {
  type: 'object',
  required: ['type', 'title', 'status', 'code', 'detail'],
  properties: {
    type: text,
    title: text,
    status: { type: 'integer', minimum: 400, maximum: 599 },
    code: text,
    detail: text,
    errors: list(object({ detail: text, pointer: text })),
    details: { type: 'object' },
  },
}

/** An answer that is a problem, where a route says more of it than that it may come. */
export function problemAnswer(description: string): Answer {
  return { description, schema: problemSchema }
}

export const limitParameter: QueryParameter = {
  schema: { type: 'integer', minimum: 1, maximum: 1_000 },
  description: 'The most of one page. Default 100.',
}

export const afterParameter: QueryParameter = {
  schema: text,
  description: '`next` of the page before.',
}

export const waitParameter: QueryParameter = {
  schema: durationText,
  description: 'How long to wait for the end of the job, at most 30 s: `10s`. Default: not at all.',
}

export function timeParameter(description: string): QueryParameter {
  return { schema: time, description }
}
