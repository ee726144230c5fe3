/** What the answer to a webhook means for the job that sent it. */
import { cutText } from '../../core/text.ts'
import type { Answer } from './delivery.ts'

/** `afterMs` is what the receiver asked for; null leaves it to the job's backoff. */
export type Verdict =
  | { readonly kind: 'taken' }
  | { readonly kind: 'again'; readonly why: string; readonly afterMs: number | null }
  | { readonly kind: 'refused'; readonly why: string }

/** The longest wait that a receiver may ask for. */
const longestWaitMs = 24 * 3_600_000
/** Statuses below 500 after which the same request may succeed: timeout, too early, too many. */
const passing: readonly number[] = [408, 425, 429]
const shownBytes = 200

/** `now` in milliseconds. */
export function verdictOf({ status, headers, text }: Answer, now: number): Verdict {
  if (status >= 200 && status < 300) return { kind: 'taken' }
  if (status >= 300 && status < 400) {
    const why = `it answered ${status}, a redirect, which is not followed: configure the address that is meant`
    return { kind: 'refused', why }
  }
  const said = cutText(text.trim(), shownBytes)
  const why = `it answered ${status}${said === '' ? '' : `: ${said}`}`
  if (status === 410)
    return { kind: 'refused', why: 'it answered 410: the receiver is gone for good' }
  if (status < 500 && !passing.includes(status)) return { kind: 'refused', why }
  return { kind: 'again', why, afterMs: waitOf(headers['retry-after'], now) }
}

/** Reads `Retry-After`, seconds or a date. */
function waitOf(header: string | undefined, now: number): number | null {
  if (header === undefined) return null
  const ms = /^\d+$/.test(header) ? Number(header) * 1_000 : Date.parse(header) - now
  return Number.isFinite(ms) ? Math.min(Math.max(ms, 0), longestWaitMs) : null
}
