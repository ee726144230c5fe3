/** Reads when a schedule is to run: from what users write to what is stored. */
import { toMs, type Duration } from '../../core/duration.ts'
import { ErrandError } from '../../core/errors.ts'
import { nearest } from '../../core/nearest.ts'
import { readChoice, refuseValue } from '../../core/read.ts'
import { shownValue } from '../../core/shown.ts'
import { readCalendar, wallRuleOf, type Calendar, type StoredCalendar } from './calendar.ts'
import { readCron } from './cron.ts'
import { WallTimes, type WallRule } from './wall-times.ts'
import { fixedOffset } from './zone.ts'

/**
 * What becomes of wall times that do not exist, where clocks are set forward: one run after the
 * gap, or none.
 */
export type Dst = 'run' | 'skip'

/** When a schedule runs: one of `cron`, `every`, `calendar` and `at`. */
export interface WhenOptions {
  /**
   * Five fields (minute, hour, day of month, month, weekday) or six with seconds first, or a
   * nickname such as `@daily`. Numbers, names (`JAN`, `MON`), lists, ranges, steps, `L` (last day;
   * `FRI#L` last Friday), `FRI#2` (second Friday), `15W` (weekday nearest to the 15th). 0 and 7 are
   * Sunday. When neither day of month nor weekday begins with `*`, one of the two is enough; `+FRI`
   * asks for both.
   */
  readonly cron?: string
  /**
   * An interval of at least 1 s, counted from `start`, else from the Unix epoch. It follows elapsed
   * time.
   */
  readonly every?: Duration
  readonly calendar?: Calendar
  /** Once, or a list of at most 1,000 times. */
  readonly at?: Date | readonly Date[]
  /**
   * An IANA name, or an offset such as `'+09:00'`. Default: the app's, else UTC; never the
   * machine's.
   */
  readonly timezone?: string
  /**
   * For a cron text or a calendar with given hours: `run` (default) makes up once, right after the
   * gap, for all wall times that a gap swallows; `skip` leaves them out.
   */
  readonly dst?: Dst
  /** Where `every` counts from. */
  readonly start?: Date
}

/** When a schedule runs, as it is stored: JSON. */
export type When =
  | { readonly kind: 'cron'; readonly cron: string; readonly timezone: string; readonly dst: Dst }
  | { readonly kind: 'every'; readonly everyMs: number; readonly startMs: number | null }
  | {
      readonly kind: 'calendar'
      readonly calendar: StoredCalendar
      readonly timezone: string
      readonly dst: Dst
    }
  | { readonly kind: 'at'; readonly times: readonly number[] }

const kinds = ['cron', 'every', 'calendar', 'at'] as const

const shortestEveryMs = 1_000

/** A longer list would weigh more than the job it makes; a rule of one's own is for those. */
const mostTimes = 1_000

/**
 * Reads when a schedule runs; `name` is what messages call it. `defaultTimezone` has been read by
 * `readTimezone`. Throws `invalid-option`, also for what never matches.
 */
export function readWhen(given: WhenOptions, name: string, defaultTimezone: string): When {
  const named = kinds.filter((kind) => given[kind] !== undefined)
  const [kind] = named
  if (kind === undefined || named.length > 1) {
    const what = kind === undefined ? 'none' : named.join(' and ')
    return refuse(`${name} needs one of cron, every, calendar and at, not ${what}.`)
  }
  const timezone =
    given.timezone === undefined
      ? defaultTimezone
      : readTimezone(given.timezone, `${name}.timezone`)
  const dst =
    given.dst === undefined ? 'run' : readChoice(given.dst, ['run', 'skip'], `${name}.dst`)
  switch (kind) {
    case 'cron': {
      const cron = readCron(given.cron, `${name}.cron`)
      refuseNever(cron, `${name}.cron ${shownValue(given.cron)}`)
      return { kind, cron: String(given.cron).trim().replaceAll(/\s+/g, ' '), timezone, dst }
    }
    case 'calendar': {
      const calendar = readCalendar(given.calendar ?? {}, `${name}.calendar`)
      refuseNever(wallRuleOf(calendar), `${name}.calendar`)
      return { kind, calendar, timezone, dst }
    }
    case 'every': {
      const everyMs = toMs(given.every ?? 0, `${name}.every`)
      if (everyMs < shortestEveryMs) {
        return refuseValue(`${name}.every`, 'at least 1 s', given.every)
      }
      const startMs = given.start === undefined ? null : readDate(given.start, `${name}.start`)
      return { kind, everyMs, startMs }
    }
    case 'at':
      return { kind, times: readTimes(given.at, `${name}.at`) }
  }
}

/**
 * Reads a time zone: an IANA name that this process knows, or an offset such as `'+09:00'`. A name
 * stays the one that was given, but for capitals: which of two names of a zone is the first differs
 * between releases of its data.
 */
export function readTimezone(value: unknown, name: string): string {
  if (typeof value === 'string') {
    const offset = fixedOffset(value)
    if (offset === 0) return 'UTC'
    if (offset !== null) return value
    const known = /^[A-Za-z]/.test(value) ? knownZone(value) : null
    if (known !== null) {
      return known.toLowerCase() === value.toLowerCase() ? known : value
    }
  }
  const needs = `an IANA name such as 'Europe/Berlin', or an offset such as '+09:00'`
  const meant =
    typeof value === 'string' ? nearest(value, Intl.supportedValuesOf('timeZone')) : null
  const hint = meant === null ? '' : ` Did you mean ${meant}?`
  return refuse(`${name} must be ${needs}, not ${shownValue(value)}.${hint}`)
}

function knownZone(timeZone: string): string | null {
  try {
    return new Intl.DateTimeFormat('en-US', { timeZone }).resolvedOptions().timeZone
  } catch (error) {
    if (error instanceof RangeError) return null
    throw error
  }
}

/**
 * Refuses a rule without any wall time. Leap years make up the rest: one full cycle of dates and
 * weekdays is looked at.
 */
function refuseNever(rule: WallRule, what: string): void {
  const from = Date.UTC(1970, 0, 1) - 1
  if (new WallTimes(rule).next(from) !== null) return
  refuse(`${what} never matches: no month that it names has such a day.`)
}

function readTimes(given: unknown, where: string): number[] {
  const dates = Array.isArray(given) ? (given as unknown[]) : [given]
  if (dates.length === 0) return refuse(`${where} is an empty list; it needs at least one Date.`)
  if (dates.length > mostTimes) {
    return refuse(`${where} lists ${dates.length} times; it can hold ${mostTimes}.`)
  }
  return [...new Set(dates.map((date) => readDate(date, where)))].sort((a, b) => a - b)
}

function readDate(value: unknown, where: string): number {
  if (value instanceof Date && !Number.isNaN(value.getTime())) return value.getTime()
  return refuseValue(where, 'a valid Date', value)
}

function refuse(message: string): never {
  throw new ErrandError('invalid-option', message)
}
