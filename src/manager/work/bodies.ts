/** The bodies of the routes for workers of any language, as JSON Schemas. */
import type { JsonSchema } from '../route.ts'

const longestMs = 3_155_760_000_000

const name: JsonSchema = {
  type: 'string',
  minLength: 1,
  maxLength: 200,
  pattern: '^[^\\p{Cc}\\uD800-\\uDFFF]*$',
}
const text: JsonSchema = { type: 'string', maxLength: 100_000 }
const ms: JsonSchema = { type: 'integer', minimum: 0, maximum: longestMs }
const token: JsonSchema = { type: 'integer', minimum: 0, maximum: Number.MAX_SAFE_INTEGER }

function body(
  required: Readonly<Record<string, JsonSchema>>,
  optional: Readonly<Record<string, JsonSchema>> = {},
): JsonSchema {
  return {
    type: 'object',
    required: Object.keys(required),
    properties: { ...required, ...optional },
    additionalProperties: false,
  }
}

/** How long a lease lasts, in milliseconds, when it is claimed and when it is renewed. */
export const leases = { firstMs: 10_000, renewedMs: 30_000, mostMs: 600_000 } as const

/** The most jobs of one claim, and the longest that it waits for one, in seconds. */
const claims = { most: 100, waitSeconds: 30 } as const

const ended = { worker: name, ranMs: ms }

/** The routes that take one. */
type Body = 'tasks' | 'claim' | 'renew' | Verb

/** How an attempt may end. */
export type Verb = 'complete' | 'fail' | 'postpone' | 'discard' | 'release'

export const bodies: Readonly<Record<Body, JsonSchema>> = {
  tasks: body({
    tasks: {
      type: 'array',
      maxItems: 1_000,
      items: body(
        { name },
        {
          queue: name,
          input: {
            type: ['object', 'boolean'],
            examples: [{ type: 'object', required: ['text'] }],
          },
          options: {
            type: 'object',
            examples: [{ retry: { limit: 3 }, timeout: '1m', retention: '1d' }, { priority: 5 }],
          },
          onSuccess: { type: 'array', items: name, maxItems: 20 },
          onFailure: { type: 'array', items: name, maxItems: 20 },
        },
      ),
    },
  }),
  claim: body(
    { tasks: { type: 'array', items: name, minItems: 1, maxItems: 1_000 } },
    {
      queues: { type: 'array', items: name, minItems: 1, maxItems: 1_000 },
      worker: name,
      limit: { type: 'integer', minimum: 1, maximum: claims.most },
      wait: { type: 'number', minimum: 0, maximum: claims.waitSeconds },
      claimId: name,
    },
  ),
  renew: body(
    { token },
    {
      leaseMs: { type: 'integer', minimum: 1_000, maximum: leases.mostMs },
      progress: {},
      logs: {
        type: 'array',
        maxItems: 1_000,
        items: body({ text }, { level: { enum: ['debug', 'info', 'warn', 'error'] }, agoMs: ms }),
      },
    },
  ),
  complete: body({ token }, { output: {}, ...ended }),
  fail: body(
    { token },
    {
      error: body({ message: text }, { type: name, stack: text, code: name }),
      retry: { type: 'boolean' },
      retryInMs: ms,
      ...ended,
    },
  ),
  postpone: body({ token }, { delayMs: ms, ...ended }),
  discard: body({ token }, { reason: text, ...ended }),
  release: body({ token }, ended),
}
