/** What the answers of a manager mean: a value, an error of Errand's, or that somebody else has answered. */
import { ErrandError, type ErrandErrorCode } from '../../core/errors.ts'
import type { Reply } from './channel.ts'

/** What an answer comes to. */
export type Verdict =
  | { readonly kind: 'answer'; readonly value: unknown }
  /** Carried out or refused for good. */
  | { readonly kind: 'error'; readonly error: ErrandError }
  /** Nothing was done: the same request may be sent again after that time, by `Retry-After`. */
  | { readonly kind: 'later'; readonly afterMs: number; readonly error: ErrandError }
  /** Whether it was carried out is not known, as for an answer of a proxy whose manager has gone. */
  | { readonly kind: 'doubt'; readonly error: ErrandError }

interface Body {
  readonly answer?: unknown
  readonly code?: unknown
  readonly detail?: unknown
  readonly details?: unknown
}

/** The code of an answer that refuses all work for now, before it has begun any. */
const later: ReadonlySet<unknown> = new Set(['closed', 'overloaded', 'rate-limited'])

const firstPauseMs = 250
const mostPauseMs = 10_000

export function read(reply: Reply, location: string): Verdict {
  const { status, headers } = reply
  const body = parsed(reply)
  if (status === 200 && body !== null && 'answer' in body)
    return { kind: 'answer', value: body.answer }
  if (status >= 300 && status < 400) return error('store-unavailable', redirected(reply, location))
  if (body !== null && typeof body.code === 'string') {
    const failed = errorOf(body, location)
    if (later.has(body.code))
      return { kind: 'later', afterMs: pauseOf(headers['retry-after']), error: failed }
    return { kind: 'error', error: failed }
  }
  if (status === 401)
    return error('unauthorized', `${location} needs a token: put it in ERRAND_TOKEN.`)
  if (status === 404)
    return error('store-unavailable', `${location} is no manager: it knows no such path.`)
  const what = `${location} answered with status ${status}, and not as a manager does.`
  return { kind: 'doubt', error: new ErrandError('store-unavailable', what) }
}

function errorOf({ code, detail, details }: Body, location: string): ErrandError {
  const known = typeof details === 'object' && details !== null ? details : {}
  const text = typeof detail === 'string' ? detail : 'It does not say why.'
  const words = tellsOfToken(code) ? `${location} refuses the token: ${text}` : text
  const meant =
    code === 'closed' ? 'store-unavailable' : code === 'rate-limited' ? 'overloaded' : code
  return new ErrandError(meant as ErrandErrorCode, words, {
    details: known as Record<string, unknown>,
  })
}

function tellsOfToken(code: unknown): boolean {
  return code === 'unauthorized' || code === 'forbidden'
}

function parsed({ text }: Reply): Body | null {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? value : null
  } catch {
    // A page of a proxy, say.
    return null
  }
}

function pauseOf(header: string | undefined): number {
  const seconds = Number(header)
  const ms = Number.isFinite(seconds) && seconds >= 0 ? seconds * 1_000 : firstPauseMs
  return Math.min(ms, mostPauseMs)
}

function redirected({ headers }: Reply, location: string): string {
  const to = headers.location === undefined ? '' : ` to ${headers.location.slice(0, 200)}`
  return `${location} sends elsewhere${to}, where a token does not go: name the manager itself.`
}

function error(code: ErrandErrorCode, message: string): Verdict {
  return { kind: 'error', error: new ErrandError(code, message) }
}
