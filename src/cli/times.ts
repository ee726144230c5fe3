/** Times as people read and write them. */
import { ErrandError } from '../core/errors.ts'
import { formatMs, toMs, type Duration } from '../core/duration.ts'

const units: readonly (readonly [ms: number, name: string])[] = [
  [86_400_000, 'd'],
  [3_600_000, 'h'],
  [60_000, 'min'],
  [1_000, 's'],
]

/** Says how far a time is from now: `'3 min ago'`, `'in 12 s'`, `'just now'`. */
export function fromNow(time: Date, now: number = Date.now()): string {
  const distance = time.getTime() - now
  // What is to come is rounded up to its second, so that an hour from now is not 60 min.
  const span = distance > 0 ? Math.ceil(distance / 1_000) * 1_000 : -distance
  const [size, unit] = units.find(([ms]) => span >= ms) ?? [1, null]
  if (unit === null) return 'just now'
  return distance > 0
    ? `in ${Math.ceil(span / size)} ${unit}`
    : `${Math.floor(span / size)} ${unit} ago`
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
