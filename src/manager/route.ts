/**
 * A route as data: what answers it, who may call it, and what the document of the API says of it. One list of routes gives
 * the handler, the OpenAPI document, the scopes, and what the tests send.
 */
import type { Tokens } from './access/tokens.ts'
import type { ApiRequest } from './api-request.ts'
import type { Caller, Scope } from './caller.ts'
import type { Managed } from './managed.ts'
import { textResponse } from './text-response.ts'

export type Method = 'GET' | 'POST' | 'DELETE'

/** A JSON Schema of draft 2020-12, as OpenAPI 3.1 writes it. */
export type JsonSchema = Readonly<Record<string, unknown>>

export interface Route {
  readonly method: Method
  /** As OpenAPI writes it: `/v1/jobs/{id}`. A parameter is one segment, percent-encoded. */
  readonly path: string
  /** The name of the operation in generated clients. */
  readonly id: string
  /** One line of what it does. */
  readonly summary: string
  /** The heading that it is listed under. */
  readonly tag: string
  /** The scope that a caller needs, any of them; none lets everyone call it. */
  readonly scopes: readonly Scope[]
  /** The parameters of the query by name. What is not named here is refused. */
  readonly query?: Readonly<Record<string, QueryParameter>>
  /** The schema of the body, which is JSON; left out, the route takes none. */
  readonly body?: JsonSchema
  /** The most bytes of its body, where that is not the manager's own bound. */
  readonly maxBody?: number
  /** Whether the handler itself checks the body, with errors in its own words. */
  readonly checksItself?: true
  /** Throws for a request that is refused before its body is looked at. */
  readonly refuse?: (request: ApiRequest) => void
  /** Its answers by status, beside the problems that every route may return. */
  readonly answers: Readonly<Record<number, Answer>>
  readonly handle: (call: RouteCall) => Promise<Response> | Response
}

export interface QueryParameter {
  readonly schema: JsonSchema
  readonly description: string
}

export interface Answer {
  readonly description: string
  /** Left out for an answer without a body, and for one whose `type` says enough. */
  readonly schema?: JsonSchema
  /** Default `application/json`. */
  readonly type?: string
}

/** The sessions of browsers, as far as routes use them. */
interface Sessions {
  /** Opens one for a token. Rejects with `unauthorized`. */
  open(
    request: ApiRequest,
    token: string,
  ): Promise<{ readonly caller: Caller; readonly cookie: string }>
  /** Ends that of a request; the cookie that takes its own away. */
  end(request: ApiRequest): Promise<string>
}

/** One request of a route, read and checked as the route says. */
export interface RouteCall {
  readonly errand: Managed
  readonly tokens: Tokens
  readonly sessions: Sessions
  readonly caller: Caller
  /** Decoded parameters of the path. */
  readonly params: Readonly<Record<string, string>>
  /** Those of the query that were given, each in the type of its schema. */
  readonly query: Readonly<Record<string, unknown>>
  /** The parsed body; undefined where the route takes none, or none was sent. */
  readonly body: unknown
  /** The same with all digits of its numbers, for what is stored: `body` itself where a double holds each of them. */
  readonly digits: unknown
  readonly request: ApiRequest
  /** Aborted when the caller has gone, its token is revoked, or the manager stops. */
  readonly signal: AbortSignal
}

/** An answer of JSON. */
export function json(value: unknown, status = 200, headers: Record<string, string> = {}): Response {
  return textResponse(JSON.stringify(value), status, {
    'content-type': 'application/json',
    ...headers,
  })
}
