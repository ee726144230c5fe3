/** Errors as problem details (RFC 9457): a status, Errand's code, and what to do. */
import { isErrandError, type ErrandErrorCode } from '../core/errors.ts'
import { textResponse } from './text-response.ts'

/** Codes of the HTTP API beside Errand's own. */
export type ProblemCode =
  | ErrandErrorCode
  | 'not-found'
  | 'method-not-allowed'
  | 'unauthorized'
  | 'forbidden'
  | 'conflict'
  | 'key-reused'
  | 'key-in-flight'
  | 'unsupported-media-type'
  | 'rate-limited'
  | 'internal'

/** The status of each code; any other is a fault of the manager's own, 500. */
const statuses: Readonly<Partial<Record<ProblemCode, number>>> = {
  'invalid-option': 400,
  'not-json': 400,
  unauthorized: 401,
  forbidden: 403,
  'not-found': 404,
  'unknown-task': 404,
  'unknown-queue': 404,
  'unknown-schedule': 404,
  'job-missing': 404,
  'method-not-allowed': 405,
  'protocol-mismatch': 426,
  conflict: 409,
  'key-in-flight': 409,
  'job-failed': 409,
  'job-cancelled': 409,
  'job-discarded': 409,
  'result-gone': 409,
  'lease-lost': 409,
  'too-large': 413,
  'unsupported-media-type': 415,
  'tx-unsupported': 422,
  'invalid-input': 422,
  'key-reused': 422,
  'rate-limited': 429,
  overloaded: 503,
  closed: 503,
  'store-busy': 503,
  'store-unavailable': 503,
  'store-replaced': 503,
  'store-too-new': 503,
  'unknown-outcome': 503,
  timeout: 503,
}

/** A request that cannot be carried out, as the handler of a route throws it. */
export class Problem extends Error {
  override readonly name = 'Problem'
  readonly code: ProblemCode
  readonly status: number
  readonly details: Readonly<Record<string, unknown>>
  readonly headers: Readonly<Record<string, string>>

  constructor(
    code: ProblemCode,
    message: string,
    options: {
      readonly status?: number
      readonly details?: Readonly<Record<string, unknown>>
      readonly headers?: Readonly<Record<string, string>>
    } = {},
  ) {
    super(message)
    this.code = code
    this.status = options.status ?? statuses[code] ?? 500
    this.details = options.details ?? {}
    this.headers = options.headers ?? {}
  }
}

/** The problem that an error is to the caller. The message of an error that is not Errand's own is left out. */
export function problemOf(error: unknown): Problem {
  if (error instanceof Problem) return error
  if (!isErrandError(error)) return new Problem('internal', 'The manager failed; its log says why.')
  return new Problem(error.code, error.message, { details: error.details })
}

/** The answer that a problem makes. */
export function problemResponse(problem: Problem): Response {
  const { status, headers } = problem
  const retry = status === 503 ? { 'retry-after': '1' } : {}
  return textResponse(problemBody(problem), status, {
    'content-type': 'application/problem+json',
    ...retry,
    ...headers,
  })
}

/** The document of a problem. */
export function problemBody({ code, status, message, details }: Problem): string {
  const errors = errorsOf(details, message)
  return JSON.stringify({
    type: `urn:errand:${code}`,
    title: titleOf(code),
    status,
    code,
    detail: message,
    ...(errors.length > 0 ? { errors } : {}),
    ...(Object.keys(details).length > 0 ? { details } : {}),
  })
}

/** Where the body is wrong, as RFC 9457 writes it. `details` names an entry of a list by `index`. */
function errorsOf(
  { issues, index }: Readonly<Record<string, unknown>>,
  message: string,
): readonly { readonly detail: string; readonly pointer: string }[] {
  const entry = typeof index === 'number' ? `#/${index}` : '#'
  if (!Array.isArray(issues))
    return typeof index === 'number' ? [{ detail: message, pointer: entry }] : []
  const within = typeof index === 'number' ? `${entry}/input` : entry
  return (issues as readonly { readonly pointer: string; readonly message: string }[]).map(
    (issue) => ({ detail: issue.message, pointer: `${within}${issue.pointer}` }),
  )
}

function titleOf(code: string): string {
  const words = code.replaceAll('-', ' ')
  return `${words.charAt(0).toUpperCase()}${words.slice(1)}`
}
