/** Times as people read and write them. */
import { ErrandError } from '../core/errors.ts'
import { formatMs, toMs, type Duration } from '../core/duration.ts'

const units: readonly (readonly [ms: number, name: string])[] = [
  [1_000, 's'],
  [60_000, 'min'],
  [3_600_000, 'h'],
  [86_400_000, 'd'],
]

/** Says how far a time is from now: `'3 min ago'`, `'in 12 s'`, `'just now'`. What is to come is rounded up, what is past down. */
export function fromNow(time: Date, now: number = Date.now()): string {
  const distance = time.getTime() - now
  if (distance > -1_000 && distance <= 0) return 'just now'
  const rounded = distance > 0 ? Math.ceil : Math.floor
  // The first unit whose count does not come to one of the next: an hour from now is not 60 min.
  const [size, unit] = units.find(
    ([ms], index) =>
      rounded(Math.abs(distance) / ms) * ms < (units[index + 1]?.[0] ?? Number.POSITIVE_INFINITY),
  ) ?? [1_000, 's']
  const count = rounded(Math.abs(distance) / size)
  return distance > 0 ? `in ${count} ${unit}` : `${count} ${unit} ago`
}

/** Writes a time in full, with its distance from now. */
export function fullTime(time: Date): string {
  return `${clockTime(time)} (${fromNow(time)})`
}

/** Writes a time by the clock of this machine, to the millisecond. */
export function clockTime(time: Date): string {
  const two = (value: number, width = 2): string => String(value).padStart(width, '0')
  const day = `${time.getFullYear()}-${two(time.getMonth() + 1)}-${two(time.getDate())}`
  const clock = `${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())}`
  return `${day} ${clock}.${two(time.getMilliseconds(), 3)}`
}

/** Says how long something took. */
export function between(from: Date, to: Date): string {
  return formatMs(Math.max(0, to.getTime() - from.getTime()))
}

/** Reads a date: ISO 8601, or a duration for so long ago. Throws `invalid-option`. */
export function readPast(text: string, option: string): Date {
  return isDuration(text) ? new Date(Date.now() - toMs(text, option)) : readDate(text, option)
}

/** Reads an ISO 8601 date. Throws `invalid-option`. */
export function readDate(text: string, option: string): Date {
  const time = /^\d{4}-\d{2}/.test(text) ? Date.parse(text) : Number.NaN
  if (Number.isFinite(time)) return new Date(time)
  throw new ErrandError(
    'invalid-option',
    `${option} must be a date such as 2026-01-31T08:00:00Z, not ${JSON.stringify(text)}.`,
  )
}

function isDuration(text: string): text is Duration & string {
  return /^\s*\d+(?:\.\d+)?\s*[a-z]*\s*$/i.test(text)
}
