/** Durations as users write them, turned into milliseconds once, at the edge. */
import ms from 'ms'
import { ErrandError } from './errors.ts'
import { shownValue } from './shown.ts'

/** The units of `ms`. Written out, for its types are in a package of their own that users do not have. */
type Unit =
  | 'ms'
  | 's'
  | 'sec'
  | 'second'
  | 'seconds'
  | 'm'
  | 'min'
  | 'minute'
  | 'minutes'
  | 'h'
  | 'hour'
  | 'hours'
  | 'd'
  | 'day'
  | 'days'
  | 'w'
  | 'week'
  | 'weeks'
  | 'y'
  | 'year'
  | 'years'

/** `'10s'`-style text as the package `ms` reads it, or milliseconds. */
export type Duration = number | `${number}${Unit}` | `${number} ${Unit}`

/**
 * The longest duration there is, in milliseconds: 100 years. A few of them after any time of today are still a time that a `Date`,
 * a double and the columns of all stores hold.
 */
export const longestMs = 3_155_760_000_000

/**
 * Turns a duration into whole milliseconds.
 * Throws `invalid-option`, naming `what`, for what is no duration, and for one that is negative or longer than 100 years.
 */
export function toMs(value: Duration, what: string): number {
  const ms = parseMs(value)
  if (ms !== null && ms <= longestMs) return ms
  throw new ErrandError(
    'invalid-option',
    `${what} must be a duration such as '30s', '5m', '2h' or milliseconds, at most 100 years, not ${shownValue(value)}.`,
  )
}

/** Reads a duration of any length; null for what is none. */
export function parseMs(value: unknown): number | null {
  const parsed = typeof value === 'number' ? value : parse(value)
  // The sum turns a negative zero into an ordinary one.
  return parsed !== undefined && parsed >= 0 ? Math.round(parsed) + 0 : null
}

/** A computed time, cut to whole milliseconds between nothing and the longest duration. */
export function cutMs(ms: number): number {
  return ms > 0 ? Math.min(Math.round(ms), longestMs) : 0
}

/** Whether a value is what `toMs` answers. */
export function isMs(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) <= longestMs
}

function parse(text: unknown): number | undefined {
  if (typeof text !== 'string' || text.length === 0 || text.length > 100) return undefined
  const trimmed = text.trim()
  return /\d/.test(trimmed) ? (ms as (value: string) => number | undefined)(trimmed) : undefined
}

const steps: readonly (readonly [size: number, unit: string, digits: number])[] = [
  [1, 'ms', 0],
  [1_000, 's', 1],
  [60_000, 'min', 1],
  [3_600_000, 'h', 1],
]

/** Writes milliseconds for people: `'850 ms'`, `'4.2 s'`, `'12 min'`, `'3.5 h'`, `'2 d'`. What rounds to 60 s is a minute. */
export function formatMs(value: number): string {
  for (const [index, [size, unit, digits]] of steps.entries()) {
    const shown = Number((value / size).toFixed(digits))
    if (shown * size < (steps[index + 1]?.[0] ?? dayMs)) return `${shown} ${unit}`
  }
  return `${Number((value / dayMs).toFixed(1))} d`
}

const dayMs = 86_400_000
