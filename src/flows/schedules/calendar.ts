/**
 * Calendars: schedules as sets of numbers, for those to whom a cron text is too little or too
 * dense.
 */
import { ErrandError } from '../../core/errors.ts'
import { refuseUnknownKeys } from '../../core/option-keys.ts'
import { shownValue } from '../../core/shown.ts'
import type { WallRule } from './wall-times.ts'

/** One number, several, or `'*'` for any. */
type CalendarField = number | readonly number[] | ReadonlySet<number> | '*'

/**
 * The times at which all fields match. A field that is not given matches any number, but for
 * `seconds`: so `{ hours: 3 }` is every minute from 03:00 to 03:59, and `{ hours: 3, minutes: 0 }`
 * is once a day.
 */
export interface Calendar {
  /** 0 to 59. Default 0. */
  readonly seconds?: CalendarField
  /** 0 to 59. Default any. */
  readonly minutes?: CalendarField
  /**
   * 0 to 23. Default any, and then the calendar follows elapsed time: it matches whenever the
   * clocks of the zone show such a time, twice where they are set back. Given hours are times of
   * day, each of which comes once.
   */
  readonly hours?: CalendarField
  /** Days of the month, 1 to 31. Default any. */
  readonly days?: CalendarField
  /** 0 = Monday to 6 = Sunday. Default any. */
  readonly weekdays?: CalendarField
  /** 1 to 12. Default any. */
  readonly months?: CalendarField
  /** 1970 to 2199. Default any. */
  readonly years?: CalendarField
}

/** A calendar as it is stored: each field in order, null for any. */
export type StoredCalendar = { readonly [field in keyof Calendar]-?: readonly number[] | null }

const bounds = {
  seconds: [0, 59],
  minutes: [0, 59],
  hours: [0, 23],
  days: [1, 31],
  weekdays: [0, 6],
  months: [1, 12],
  years: [1970, 2199],
} as const

/** Reads a calendar. Throws `invalid-option`, naming `where`. */
export function readCalendar(given: Calendar, where: string): StoredCalendar {
  refuseUnknownKeys(given, Object.keys(bounds), where)
  const read = (field: keyof Calendar): readonly number[] | null =>
    readField(given[field], bounds[field], `${where}.${field}`)
  return {
    seconds: given.seconds === undefined ? [0] : read('seconds'),
    minutes: read('minutes'),
    hours: read('hours'),
    days: read('days'),
    weekdays: read('weekdays'),
    months: read('months'),
    years: read('years'),
  }
}

function readField(
  given: CalendarField | null | undefined,
  [min, max]: readonly [number, number],
  where: string,
): readonly number[] | null {
  if (given === undefined || given === null || given === '*') return null
  const list = typeof given === 'number' ? [given] : given
  if (!Array.isArray(list) && !(list instanceof Set)) return refuseField(given, min, max, where)
  const numbers = [...new Set(list as Iterable<number>)]
  if (numbers.length === 0) {
    throw new ErrandError('invalid-option', `${where} is empty; leave it out for any.`)
  }
  const wrong = numbers.find((one) => !Number.isInteger(one) || one < min || one > max)
  if (wrong !== undefined) return refuseField(wrong, min, max, where)
  return numbers.map((number) => number + 0).sort((a, b) => a - b)
}

function refuseField(given: unknown, min: number, max: number, where: string): never {
  throw new ErrandError(
    'invalid-option',
    `${where} must be a whole number from ${min} to ${max}, several of them, or '*', ` +
      `not ${shownValue(given)}.`,
  )
}

/** The wall times of a calendar. */
export function wallRuleOf(calendar: StoredCalendar): WallRule {
  const { seconds, minutes, hours, days, weekdays, months, years } = calendar
  return {
    seconds: seconds ?? numbersOf(bounds.seconds),
    minutes: minutes ?? numbersOf(bounds.minutes),
    hours: hours ?? numbersOf(bounds.hours),
    months: months ?? numbersOf(bounds.months),
    years,
    days: {
      ofMonth: days && { days, last: false, nearest: [], lastWorkday: false },
      ofWeek: weekdays && { weekdays: weekdays.map((weekday) => (weekday + 1) % 7), nth: [] },
      needs: 'both',
    },
  }
}

function numbersOf([min, max]: readonly [number, number]): number[] {
  return Array.from({ length: max - min + 1 }, (_, index) => min + index)
}
