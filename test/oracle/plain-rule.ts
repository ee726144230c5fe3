/**
 * A second reading of cron texts and calendars, as plain as can be: each field is a set, and a wall
 * time is looked up in each. It shares nothing with the sources, so that one mistake is not made
 * twice.
 */
import type { When } from '../../src/flows/schedules/ticks.ts'

export interface PlainRule {
  /** For each second of a day whether it matches. */
  readonly times: Uint8Array
  /** Whether a day since 1970 matches. */
  readonly hasDay: (day: number) => boolean
  readonly isElapsed: boolean
}

const months = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec']
const weekdays = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat']

/** Reads a rule of wall times. */
export function plainRule(when: When & { kind: 'cron' | 'calendar' }): PlainRule {
  if (when.kind === 'calendar') {
    const { seconds, minutes, hours, days, weekdays: week, months: some, years } = when.calendar
    const has = (set: readonly number[] | null, number: number): boolean =>
      set === null || set.includes(number)
    return {
      times: timesOf(
        (hour) => has(hours, hour),
        (minute) => has(minutes, minute),
        (second) => has(seconds, second),
      ),
      hasDay: remembered(
        (date) =>
          has(days, date.getUTCDate()) &&
          has(week, (date.getUTCDay() + 6) % 7) &&
          has(some, date.getUTCMonth() + 1) &&
          has(years, date.getUTCFullYear()),
      ),
      isElapsed: hours === null,
    }
  }
  const fields = when.cron.toLowerCase().split(' ')
  if (fields.length === 5) fields.unshift('0')
  const [second = '', minute = '', hour = '', day = '', month = '', weekday = ''] = fields
  const seconds = numbers(second, 0, 59)
  const minutes = numbers(minute, 0, 59)
  const hours = numbers(hour, 0, 23)
  const some = numbers(month, 1, 12, months)
  return {
    times: timesOf(
      (number) => hours.has(number),
      (number) => minutes.has(number),
      (number) => seconds.has(number),
    ),
    hasDay: remembered((date) => {
      if (!some.has(date.getUTCMonth() + 1)) return false
      const byMonth = matchesDay(day, date)
      const byWeek = matchesWeekday(weekday, date)
      return day.startsWith('*') || weekday.startsWith('*') ? byMonth && byWeek : byMonth || byWeek
    }),
    isElapsed: hour.startsWith('*'),
  }
}

function timesOf(...has: ((number: number) => boolean)[]): Uint8Array {
  const [hour, minute, second] = has
  return Uint8Array.from({ length: 86_400 }, (_, time) =>
    hour?.(Math.floor(time / 3_600)) && minute?.(Math.floor(time / 60) % 60) && second?.(time % 60)
      ? 1
      : 0,
  )
}

function remembered(matches: (date: Date) => boolean): (day: number) => boolean {
  const known = new Map<number, boolean>()
  return (day) => {
    let answer = known.get(day)
    if (answer === undefined) {
      answer = matches(new Date(day * 86_400_000))
      known.set(day, answer)
    }
    return answer
  }
}

function numbers(field: string, min: number, max: number, names: string[] = []): Set<number> {
  const found = new Set<number>()
  for (const part of field.split(',')) {
    const [range = '', step = '1'] = part.split('/')
    const [low = '', high = low] = range === '*' ? [String(min), String(max)] : range.split('-')
    const read = (text: string): number =>
      names.includes(text) ? names.indexOf(text) + min : Number(text)
    for (let number = read(low); number <= read(high); number += Number(step)) found.add(number)
  }
  return found
}

function matchesDay(field: string, date: Date): boolean {
  const isLast = new Date(date.getTime() + 86_400_000).getUTCDate() === 1
  return field
    .split(',')
    .some((part) => (part === 'l' ? isLast : numbers(part, 1, 31).has(date.getUTCDate())))
}

function matchesWeekday(field: string, date: Date): boolean {
  const weekday = date.getUTCDay()
  return field.split(',').some((part) => {
    const [name = '', nth] = part.split('#')
    const found = numbers(name, 0, name === '*' || name.startsWith('*/') ? 6 : 7, weekdays)
    if (!found.has(weekday) && !(weekday === 0 && found.has(7))) return false
    if (nth === undefined) return true
    if (nth !== 'l') return Math.ceil(date.getUTCDate() / 7) === Number(nth)
    return new Date(date.getTime() + 7 * 86_400_000).getUTCMonth() !== date.getUTCMonth()
  })
}
