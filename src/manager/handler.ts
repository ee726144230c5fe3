/**
 * From a request to an answer: finds the route, asks who calls, reads what the route takes, and turns every error into a problem.
 */
import type { RateLimiter } from './access/rate-limit.ts'
import type { Tokens } from './access/tokens.ts'
import type { ApiRequest } from './api-request.ts'
import { bodyCheck, type BodyCheck } from './body-check.ts'
import { noBody, type BodyReader } from './body.ts'
import { Call } from './call.ts'
import { nobody, type Caller } from './caller.ts'
import type { Managed } from './managed.ts'
import type { OpenCalls } from './open-calls.ts'
import type { Passage } from './passage.ts'
import { Problem, problemOf, problemResponse } from './problem.ts'
import type { Route, RouteCall } from './route.ts'
import { Router } from './router.ts'
import { readQuery, type Reader } from './query.ts'
import { textResponse, writable } from './text-response.ts'

/** Says who makes a request; throws a `Problem` for one that may not come in at all. */
type Identify = (request: ApiRequest, passage: Passage) => Promise<Caller> | Caller

export interface HandlerOptions {
  readonly errand: Managed
  readonly tokens: Tokens
  readonly sessions: RouteCall['sessions']
  readonly routes: readonly Route[]
  /** What the paths of requests may begin with, such as `/jobs`; empty for nothing. */
  readonly basePath: string
  readonly identify: Identify
  readonly limiter: RateLimiter | null
  readonly bodies: BodyReader
  readonly open: OpenCalls
  /** Hears of errors that are nobody's but the manager's. */
  readonly failed: (error: unknown, method: string, route: Route | null) => void
}

/** Answers a request. Never rejects. */
export type Handle = (request: ApiRequest, passage: Passage) => Promise<Response>

/** A route, and how its query and its body are read. */
interface ReadRoute {
  readonly method: string
  readonly path: string
  readonly route: Route
  readonly read: Reader
  readonly check: BodyCheck
}

export function createHandler(options: HandlerOptions): Handle {
  const router = new Router<ReadRoute>(
    options.routes.map((route) => ({
      method: route.method,
      path: route.path,
      route,
      read: readQuery(route),
      check: bodyCheck(route),
    })),
  )
  return async (request, passage) => {
    const { path, search } = targetOf(request.url, options.basePath)
    const isHead = request.method === 'HEAD'
    const found = router.find(isHead ? 'GET' : request.method, path)
    try {
      if (found === null) throw notFound(router.methodsOf(path))
      const { value, params } = found
      const response = await answer(value, params, search, request, passage, options)
      return isHead ? headOf(response) : response
    } catch (error) {
      const problem = problemOf(error)
      if (problem.status === 500) options.failed(error, request.method, passage.route)
      return problemResponse(problem)
    }
  }
}

/** The path of a request without that under which the manager is mounted, which some frameworks have cut off already; and its query. */
function targetOf(url: string, base: string): { readonly path: string; readonly search: string } {
  const from = url.indexOf('/', url.indexOf('://') + 3)
  const query = url.indexOf('?', from)
  const path = query === -1 ? url.slice(from) : url.slice(from, query)
  const search = query === -1 ? '' : url.slice(query)
  if (base === '') return { path, search }
  if (path === base) return { path: '/', search }
  return { path: path.startsWith(`${base}/`) ? path.slice(base.length) : path, search }
}

function notFound(allowed: readonly string[]): Problem {
  if (allowed.length === 0)
    return new Problem('not-found', 'No such path: see /openapi.json for those there are.')
  const allow = allowed.join(', ')
  return new Problem('method-not-allowed', `This path takes ${allow}.`, { headers: { allow } })
}

/** The same answer without its body. */
function headOf(response: Response): Response {
  const known = writable(response)
  if (known !== null) return textResponse('', known.status, known.fields)
  void response.body?.cancel()
  return new Response(null, response)
}

async function answer(
  { route, read, check }: ReadRoute,
  params: Readonly<Record<string, string>>,
  search: string,
  request: ApiRequest,
  passage: Passage,
  { errand, tokens, sessions, identify, limiter, bodies, open }: HandlerOptions,
): Promise<Response> {
  passage.route = route
  const found = route.scopes.length === 0 ? nobody : identify(request, passage)
  const caller = found instanceof Promise ? await found : found
  passage.caller = caller
  if (limiter !== null && route.scopes.length > 0) countRequest(limiter, caller, passage)
  checkScope(route, caller)
  route.refuse?.(request)
  const query = read(search === '' ? noQuery : new URLSearchParams(search))
  const { value, text, bytes } =
    route.body === undefined ? noBody : await bodies.read(request, passage.incoming, route.maxBody)
  try {
    const checked = check(value)
    if (checked !== undefined) await checked
    const facts = { errand, tokens, sessions, caller, params, query, body: value, text, request }
    const call = new Call(facts, open)
    passage.call = call
    return await route.handle(call)
  } finally {
    bodies.release(bytes)
  }
}

const noQuery = new URLSearchParams()

function countRequest(limiter: RateLimiter, { token }: Caller, passage: Passage): void {
  const rate = limiter.count(token ?? '')
  passage.rate = rate
  if (rate.allowed) return
  const headers = { 'retry-after': String(rate.resetSeconds) }
  const said = `Too many requests: ${limiter.text} are let in. Try again in ${rate.resetSeconds} s.`
  throw new Problem('rate-limited', said, { headers })
}

function checkScope({ scopes }: Route, caller: Caller): void {
  if (scopes.length === 0 || scopes.some((scope) => caller.scopes.has(scope))) return
  throw new Problem('forbidden', `This needs a token with the scope ${scopes.join(' or ')}.`)
}
