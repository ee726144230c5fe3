/**
 * Wall times that a rule names: dates and times of day as a clock on a wall shows them, in no zone.
 * A wall time is a number: the milliseconds since 1970 of the same date and time in UTC.
 */

/** Which days of a month. */
export interface DayRule {
  /** Days of the month; null for any. */
  readonly ofMonth: {
    readonly days: readonly number[]
    readonly last: boolean
    /**
     * For each of these the Monday to Friday of the month that is nearest to it; 31 in a shorter
     * month is none.
     */
    readonly nearest: readonly number[]
    /** The last Monday to Friday of the month. */
    readonly lastWorkday: boolean
  } | null
  /** Days of the week, 0 = Sunday; null for any. */
  readonly ofWeek: {
    readonly weekdays: readonly number[]
    readonly nth: readonly { readonly weekday: number; readonly n: number | 'last' }[]
  } | null
  /** Whether a day that only one of the two names is enough. */
  readonly needs: 'either' | 'both'
}

/** Which wall times; lists are in order and hold no number twice. */
export interface WallRule {
  readonly seconds: readonly number[]
  readonly minutes: readonly number[]
  readonly hours: readonly number[]
  readonly days: DayRule
  /** 1 to 12. */
  readonly months: readonly number[]
  /** Null for any. */
  readonly years: readonly number[] | null
}

const secondMs = 1_000
const dayMs = 86_400_000
const daySeconds = 86_400

/**
 * The longest that a rule without years can pause: 29 February on one weekday comes every 40 years
 * around 2100.
 */
const longestPauseYears = 41

/** The last year of a wall time. */
const lastYear = 9_999

/** Finds the wall times of a rule, one after the other. */
export class WallTimes {
  readonly #rule: WallRule
  readonly #seconds: Uint8Array
  readonly #minutes: Uint8Array
  readonly #hours: Uint8Array
  readonly #months: Uint8Array
  /** The month that was looked at last, and its days: most steps stay in it. */
  #month = Number.NaN
  #days = 0

  constructor(rule: WallRule) {
    this.#rule = rule
    this.#seconds = nearestFrom(rule.seconds, 60)
    this.#minutes = nearestFrom(rule.minutes, 60)
    this.#hours = nearestFrom(rule.hours, 24)
    this.#months = nearestFrom(
      rule.months.map((month) => month - 1),
      12,
    )
  }

  /** The first wall time after another (exclusive); null when there is none any more. */
  next(wall: number): number | null {
    const second = Math.floor(wall / secondMs) + 1
    const day = Math.floor(second / daySeconds)
    const date = new Date(day * dayMs)
    const [year, month, index] = [date.getUTCFullYear(), date.getUTCMonth(), date.getUTCDate() - 1]
    // Also refuses NaN, for what is outside of the range of a Date.
    if (!(year <= lastYear)) return null
    const later = this.#daysOf(year, month) >>> index
    if ((later & 1) === 1) {
      const time = this.#timeFrom(second - day * daySeconds)
      if (time !== null) return day * dayMs + time * secondMs
    }
    const midnight =
      later > 1 ? (day + lowestBit(later & ~1)) * dayMs : this.#dayFrom(year, month + 1)
    if (midnight === null) return null
    const first = this.#timeFrom(0)
    return first === null ? null : midnight + first * secondMs
  }

  /** The last wall time up to `to` (inclusive); `from` is an earlier one. */
  last(from: number, to: number): number {
    let found = from
    let none = to
    while (none - found >= secondMs) {
      const middle = found + Math.floor((none - found) / 2)
      const next = this.next(middle)
      if (next === null || next > to) none = middle
      else found = next
    }
    return found
  }

  /** The first time of day not before `time`, in seconds. */
  #timeFrom(time: number): number | null {
    const hour = Math.floor(time / 3_600)
    const minute = Math.floor(time / 60) % 60
    if (at(this.#hours, hour) === hour) {
      if (at(this.#minutes, minute) === minute) {
        const second = at(this.#seconds, time % 60)
        if (second < 60) return hour * 3_600 + minute * 60 + second
      }
      const later = at(this.#minutes, minute + 1)
      if (later < 60) return hour * 3_600 + later * 60 + at(this.#seconds, 0)
    }
    const later = at(this.#hours, at(this.#hours, hour) === hour ? hour + 1 : hour)
    if (later > 23) return null
    return later * 3_600 + at(this.#minutes, 0) * 60 + at(this.#seconds, 0)
  }

  /**
   * The midnight of the first day in a month or later; months count from 0, and 12 is past the
   * last.
   */
  #dayFrom(fromYear: number, fromMonth: number): number | null {
    const pause = this.#rule.years === null ? longestPauseYears : lastYear
    const end = Math.min(fromYear + pause, lastYear)
    let month = fromMonth
    for (let year = this.#yearFrom(fromYear); year !== null && year <= end;) {
      if (year > fromYear) month = 0
      for (month = at(this.#months, month); month < 12; month = at(this.#months, month + 1)) {
        const days = this.#daysOf(year, month)
        if (days !== 0) return Date.UTC(year, month, 1) + lowestBit(days) * dayMs
      }
      year = this.#yearFrom(year + 1)
    }
    return null
  }

  #yearFrom(year: number): number | null {
    if (this.#rule.years === null) return year
    return this.#rule.years.find((one) => one >= year) ?? null
  }

  /** The days of a month that match, the first of it as the lowest bit. */
  #daysOf(year: number, month: number): number {
    const count = year * 12 + month
    if (count === this.#month) return this.#days
    this.#month = count
    this.#days = isIn(this.#rule, year, month) ? daysOf(this.#rule.days, year, month) : 0
    return this.#days
  }
}

function isIn(rule: WallRule, year: number, month: number): boolean {
  return rule.months.includes(month + 1) && (rule.years?.includes(year) ?? true)
}

function daysOf(rule: DayRule, year: number, month: number): number {
  const length = new Date(Date.UTC(year, month + 1, 0)).getUTCDate()
  const firstWeekday = new Date(Date.UTC(year, month, 1)).getUTCDay()
  const any = 2 ** length - 1
  const { ofMonth, ofWeek, needs } = rule
  if (ofMonth === null && ofWeek === null) return any
  const byMonth = ofMonth === null ? any : daysOfMonth(ofMonth, length, firstWeekday)
  const byWeek = ofWeek === null ? any : daysOfWeek(ofWeek, length, firstWeekday)
  if (ofMonth === null || ofWeek === null || needs === 'both') return byMonth & byWeek
  return byMonth | byWeek
}

function daysOfMonth(
  rule: NonNullable<DayRule['ofMonth']>,
  length: number,
  firstWeekday: number,
): number {
  const days = rule.days.filter((day) => day <= length)
  const nearest = rule.nearest.filter((day) => day <= length)
  const workdays = [...nearest, ...(rule.lastWorkday ? [length] : [])]
  return bitsOf([
    ...days,
    ...(rule.last ? [length] : []),
    ...workdays.map((day) => nearestWorkday(day, length, firstWeekday)),
  ])
}

/** The Monday to Friday of the same month that is nearest to a day. */
function nearestWorkday(day: number, length: number, firstWeekday: number): number {
  const weekday = (firstWeekday + day - 1) % 7
  if (weekday === 6) return day === 1 ? 3 : day - 1
  if (weekday === 0) return day === length ? day - 2 : day + 1
  return day
}

function daysOfWeek(
  rule: NonNullable<DayRule['ofWeek']>,
  length: number,
  firstWeekday: number,
): number {
  const all = rule.weekdays.flatMap((weekday) => weekdayIn(weekday, length, firstWeekday))
  const some = rule.nth.flatMap(({ weekday, n }) => {
    const days = weekdayIn(weekday, length, firstWeekday)
    return days[n === 'last' ? days.length - 1 : n - 1] ?? []
  })
  return bitsOf([...all, ...some])
}

/** The days of a month that are one weekday. */
function weekdayIn(weekday: number, length: number, firstWeekday: number): number[] {
  const days: number[] = []
  for (let day = 1 + ((weekday - firstWeekday + 7) % 7); day <= length; day += 7) days.push(day)
  return days
}

function bitsOf(days: readonly number[]): number {
  return days.reduce((bits, day) => bits | (1 << (day - 1)), 0)
}

function lowestBit(bits: number): number {
  return 31 - Math.clz32(bits & -bits)
}

/** For each number the first of a list that is not below it, or `end`. */
function nearestFrom(list: readonly number[], end: number): Uint8Array {
  const table = new Uint8Array(end + 1).fill(end)
  for (let number = end - 1; number >= 0; number--) {
    table[number] = list.includes(number) ? number : (table[number + 1] ?? end)
  }
  return table
}

function at(table: Uint8Array, index: number): number {
  return table[index] ?? table.length - 1
}
