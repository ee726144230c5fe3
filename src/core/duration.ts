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
 * Turns a duration into whole milliseconds.
 * Throws `invalid-option`, naming `what`, for text it cannot read, negative or non-finite values.
 */
export function toMs(value: Duration, what: string): number {
  const parsed = typeof value === 'number' ? value : parse(value)
  if (parsed === undefined || !Number.isFinite(parsed) || parsed < 0) {
    throw new ErrandError(
      'invalid-option',
      `${what} must be a duration such as '30s', '5m', '2h' or milliseconds, not ${shownValue(value)}.`,
    )
  }
  return Math.round(parsed)
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
