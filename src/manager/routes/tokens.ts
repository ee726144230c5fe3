/** Tokens: see, make, revoke. */
import type { TokenOptions } from '../access/tokens.ts'
import { scopes } from '../caller.ts'
import { Problem } from '../problem.ts'
import { json, type JsonSchema, type Route } from '../route.ts'

const scopesSchema: JsonSchema = { type: 'array', items: { enum: scopes }, minItems: 1 }
const queuesSchema: JsonSchema = { type: 'array', items: { type: 'string' }, minItems: 1 }

const shown: Readonly<Record<string, JsonSchema>> = {
  id: { type: 'string' },
  name: { type: ['string', 'null'] },
  scopes: scopesSchema,
  queues: { anyOf: [queuesSchema, { type: 'null' }], description: 'Null for all queues.' },
  createdAt: { type: 'string', format: 'date-time' },
}

export const tokenRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: '/v1/tokens',
    id: 'listTokens',
    summary: 'See all tokens, without their secrets.',
    tag: 'tokens',
    scopes: ['admin'],
    answers: {
      200: {
        description: 'The tokens, the oldest first.',
        schema: {
          type: 'object',
          required: ['tokens'],
          properties: {
            tokens: {
              type: 'array',
              items: { type: 'object', required: Object.keys(shown), properties: shown },
            },
          },
        },
      },
    },
    async handle({ tokens }) {
      return json({ tokens: await tokens.list() })
    },
  },
  {
    method: 'POST',
    path: '/v1/tokens',
    id: 'createToken',
    summary: 'Make a token. It is shown this once.',
    tag: 'tokens',
    scopes: ['admin'],
    body: {
      type: 'object',
      required: ['scopes'],
      additionalProperties: false,
      properties: { scopes: scopesSchema, queues: queuesSchema, name: { type: 'string' } },
    },
    checksItself: true,
    answers: {
      201: {
        description: 'The token.',
        schema: {
          type: 'object',
          required: ['token', ...Object.keys(shown)],
          properties: { token: { type: 'string' }, ...shown },
        },
      },
    },
    async handle({ tokens, body }) {
      if (typeof body !== 'object' || body === null || Array.isArray(body))
        throw new Problem('invalid-option', 'The body is an object such as {"scopes":["read"]}.')
      return json(await tokens.create(body as TokenOptions), 201)
    },
  },
  {
    method: 'DELETE',
    path: '/v1/tokens/{id}',
    id: 'revokeToken',
    summary: 'End a token, at every manager within two seconds.',
    tag: 'tokens',
    scopes: ['admin'],
    answers: { 204: { description: 'The token is revoked.' } },
    async handle({ tokens, params }) {
      if ((await tokens.revoke(params['id'] ?? '')) === 'missing')
        throw new Problem('not-found', 'No such token is known.')
      return new Response(null, { status: 204 })
    },
  },
]
