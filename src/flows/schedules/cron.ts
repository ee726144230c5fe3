/**
 * Reads cron texts: five fields, or six with seconds first.
 *
 * The grammar is that of Vixie's cron with names, ranges, steps and nicknames, and of the open cron
 * pattern specification `L`, `#`, `W` and `+`. A day matches when day-of-month or weekday match, if
 * both are restricted; a field that begins with `*` restricts nothing, so that with one such field
 * both must match.
 *
 * Written here and not taken from a package: croner keeps 80 KB for each pattern, takes 30 to 65 µs
 * for a step, and does not say what it read. Tests compare both.
 */
import { ErrandError } from '../../core/errors.ts'
import { shownValue } from '../../core/shown.ts'
import type { DayRule, WallRule } from './wall-times.ts'

/** A cron text that was read. */
export interface CronRule extends WallRule {
  /**
   * Whether the hour field begins with `*`: such a rule follows elapsed time, others name times of
   * day.
   */
  readonly anyHour: boolean
}

interface Field {
  readonly name: string
  readonly min: number
  readonly max: number
  /** Names in place of numbers, the first for the lowest number. */
  readonly names?: readonly string[]
}

const secondField: Field = { name: 'second', min: 0, max: 59 }
const minuteField: Field = { name: 'minute', min: 0, max: 59 }
const hourField: Field = { name: 'hour', min: 0, max: 23 }
const dayField: Field = { name: 'day of month', min: 1, max: 31 }
const monthField: Field = {
  name: 'month',
  min: 1,
  max: 12,
  names: ['JAN', 'FEB', 'MAR', 'APR', 'MAY', 'JUN', 'JUL', 'AUG', 'SEP', 'OCT', 'NOV', 'DEC'],
}
const weekdayField: Field = {
  name: 'weekday',
  min: 0,
  max: 7,
  names: ['SUN', 'MON', 'TUE', 'WED', 'THU', 'FRI', 'SAT'],
}

const nicknames: Readonly<Record<string, string>> = {
  '@yearly': '0 0 1 1 *',
  '@annually': '0 0 1 1 *',
  '@monthly': '0 0 1 * *',
  '@weekly': '0 0 * * 0',
  '@daily': '0 0 * * *',
  '@midnight': '0 0 * * *',
  '@hourly': '0 * * * *',
}

/** Longer than a list of every minute and hour. */
const longestText = 500

/** Reads a cron text. Throws `invalid-option`, naming `where`, for what is none. */
export function readCron(text: unknown, where: string): CronRule {
  if (typeof text !== 'string' || text.length > longestText) {
    return refuse(where, `must be a cron text such as '0 9 * * MON-FRI', not ${shownValue(text)}`)
  }
  const fields = withoutNickname(text.trim().toUpperCase(), where).split(/\s+/)
  if (fields.length !== 5 && fields.length !== 6) {
    return refuse(
      where,
      `must have five fields (minute, hour, day of month, month, weekday) or six with seconds ` +
        `first, not ${shownValue(text)}`,
    )
  }
  const [second = '', minute = '', hour = '', day = '', month = '', weekday = ''] =
    fields.length === 6 ? fields : ['0', ...fields]
  return {
    seconds: readNumbers(second, secondField, where),
    minutes: readNumbers(minute, minuteField, where),
    hours: readNumbers(hour, hourField, where),
    days: readDays(day, weekday, where),
    months: readNumbers(month, monthField, where),
    years: null,
    anyHour: hour.startsWith('*'),
  }
}

function withoutNickname(text: string, where: string): string {
  if (!text.startsWith('@')) return text
  const name = text.toLowerCase()
  if (name === '@reboot') {
    return refuse(where, `cannot be @reboot: a start is no time. Use on: 'start' in its place`)
  }
  const known = Object.keys(nicknames).join(', ')
  return nicknames[name] ?? refuse(where, `must be one of ${known}, not ${shownValue(name)}`)
}

function readDays(day: string, weekday: string, where: string): DayRule {
  const joined = weekday.startsWith('+')
  const week = joined ? weekday.slice(1) : weekday
  const isFree = day.startsWith('*') || week.startsWith('*')
  return {
    ofMonth: day === '*' || day === '?' ? null : readDaysOfMonth(day, where),
    ofWeek: week === '*' || week === '?' ? null : readDaysOfWeek(week, where),
    needs: isFree || joined ? 'both' : 'either',
  }
}

function readDaysOfMonth(text: string, where: string): DayRule['ofMonth'] {
  const parts = text.split(',')
  const isNearest = (part: string): boolean => /^\d+W$/.test(part)
  const numbers = parts.filter((part) => part !== 'L' && part !== 'LW' && !isNearest(part))
  const nearest = parts.filter(isNearest).map((part) => part.slice(0, -1))
  return {
    days: readParts(numbers, dayField, where),
    nearest: readParts(nearest, dayField, where),
    last: parts.includes('L'),
    lastWorkday: parts.includes('LW'),
  }
}

function readDaysOfWeek(text: string, where: string): DayRule['ofWeek'] {
  const weekdays: string[] = []
  const nth: { weekday: number; n: number | 'last' }[] = []
  for (const part of text.split(',')) {
    const [, day, n] = /^([A-Z]{3}|\d+)#?(?:(?<=#)([1-5])|L)$/.exec(part) ?? []
    if (day === undefined) weekdays.push(part)
    else {
      const weekday = readNumber(day, weekdayField, where) % 7
      nth.push({ weekday, n: n === undefined ? 'last' : Number(n) })
    }
  }
  return { weekdays: readParts(weekdays, weekdayField, where), nth }
}

function readNumbers(text: string, field: Field, where: string): number[] {
  return readParts(text.split(','), field, where)
}

/** The numbers of the parts of a list, in order. */
function readParts(parts: readonly string[], field: Field, where: string): number[] {
  const found = new Set<number>()
  for (const part of parts) {
    for (const number of readPart(part, field, where)) {
      found.add(field === weekdayField ? number % 7 : number)
    }
  }
  return [...found].sort((a, b) => a - b)
}

/** Reads a star, a number or a range, each but the number with a step if there is one. */
function readPart(part: string, field: Field, where: string): number[] {
  const [range = '', step, ...more] = part.split('/')
  const [low = '', high, ...others] = range.split('-')
  if (more.length > 0 || others.length > 0) return refusePart(part, field, where)
  const [min, max] = range === '*' ? [field.min, maxOf(field)] : readRange(low, high, field, where)
  if (step === undefined) return numbersFrom(min, max, 1)
  if (range !== '*' && high === undefined) {
    return refuse(where, `has ${part}: a step needs a range. Write ${low}-${maxOf(field)}/${step}`)
  }
  return numbersFrom(min, max, readStep(step, field, where))
}

function readRange(
  low: string,
  high: string | undefined,
  field: Field,
  where: string,
): [min: number, max: number] {
  const min = readNumber(low, field, where)
  if (high === undefined) return [min, min]
  const max = readNumber(high, field, where)
  if (min <= max) return [min, max]
  if (field === weekdayField && max === 0) return [min, 7]
  if (field === weekdayField && min === 7) return [0, max]
  const better = `${low}-${maxOf(field)},${field.min}-${high}`
  return refuse(where, `has ${low}-${high}: a range runs upwards. Write ${better}`)
}

function readStep(text: string, field: Field, where: string): number {
  const step = /^\d{1,3}$/.test(text) ? Number(text) : 0
  const most = maxOf(field) - field.min + 1
  if (step >= 1 && step <= most) return step
  return refuse(where, `has a step of ${shown(text)}: of a ${field.name} it is from 1 to ${most}`)
}

function readNumber(text: string, field: Field, where: string): number {
  const name = field.names?.indexOf(text) ?? -1
  if (name !== -1) return name + field.min
  if (!/^\d{1,3}$/.test(text)) return refusePart(text, field, where)
  const number = Number(text)
  if (number >= field.min && number <= field.max) return number
  return refuse(where, `has ${field.name} ${number}; it is from ${field.min} to ${field.max}`)
}

function numbersFrom(min: number, max: number, step: number): number[] {
  return Array.from({ length: Math.floor((max - min) / step) + 1 }, (_, i) => min + i * step)
}

/** The highest number of a star: 7 is Sunday a second time. */
function maxOf(field: Field): number {
  return field === weekdayField ? 6 : field.max
}

function refusePart(part: string, field: Field, where: string): never {
  const names = field.names === undefined ? '' : ` or ${field.names[0]} to ${field.names.at(-1)}`
  const what = part === '' ? 'an empty' : `${shown(part)} as`
  return refuse(where, `has ${what} ${field.name}; use ${field.min} to ${field.max}${names}`)
}

function shown(text: string): string {
  return text === '' ? 'nothing' : shownValue(text)
}

function refuse(where: string, problem: string): never {
  throw new ErrandError('invalid-option', `${where} ${problem}.`)
}
