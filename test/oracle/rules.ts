/** The rules of the oracle: forty, twelve for whole decades, some with seconds, random ones. */
import type { Calendar, Dst, When } from '../../src/flows/schedules/ticks.ts'
import { readWhen } from '../../src/flows/schedules/ticks.ts'

/** A rule that the oracle knows, in no zone yet. */
export interface OracleRule {
  readonly label: string
  in(timezone: string): When & { kind: 'cron' | 'calendar' }
}

function cron(text: string, dst: Dst = 'run'): OracleRule {
  return {
    label: `${text}${dst === 'skip' ? ' (skip)' : ''}`,
    in: (timezone) => ({ kind: 'cron', cron: text, timezone, dst }),
  }
}

function calendar(given: Calendar, dst: Dst = 'run'): OracleRule {
  return {
    label: `${JSON.stringify(given)}${dst === 'skip' ? ' (skip)' : ''}`,
    in: (timezone) =>
      readWhen({ calendar: given, dst }, 'calendar', timezone) as When & { kind: 'calendar' },
  }
}

/** Around each jump of each zone. */
export const rules: readonly OracleRule[] = [
  cron('0 0 * * *'),
  cron('0 0 * * *', 'skip'),
  cron('30 0 * * *'),
  cron('0,30 0-1 * * *'),
  cron('30 1 * * *'),
  cron('0 1,2 * * *'),
  cron('0,30 2 * * *'),
  cron('0,30 2 * * *', 'skip'),
  cron('30 2 * * *'),
  cron('*/10 2 * * *'),
  cron('*/10 2 * * *', 'skip'),
  cron('15,45 2-3 * * *'),
  cron('0 3 * * *'),
  cron('59 1-2 * * *'),
  cron('0 0-23 * * *'),
  cron('20-40/5 1,3 * * *'),
  cron('30 23 * * *'),
  cron('45 22-23 * * *', 'skip'),
  cron('0 12 * * *'),
  cron('0 9 * * MON-FRI'),
  cron('5 2 * * SUN'),
  cron('30 2 * * 7'),
  cron('0 2 29-31 * *'),
  cron('30 2 L * *'),
  cron('30 1 * * SUN#L'),
  cron('15 3 * * SUN#1,FRI#4'),
  cron('0 2 1,15 * SAT'),
  cron('0 2 */2 * SAT'),
  cron('15 1,2,3 * MAR,OCT,NOV *'),
  cron('0 * * * *'),
  cron('30 */2 * * *'),
  cron('0 */2 * * *', 'skip'),
  cron('*/20 */3 * * *'),
  cron('45 */4 * * SUN'),
  cron('7 *,3 1-7 * *'),
  calendar({ hours: [0, 1, 2, 3], minutes: [0, 30] }),
  calendar({ hours: 2, minutes: [10, 50] }, 'skip'),
  calendar({ minutes: [0, 45] }),
  calendar({ hours: [1, 2, 23], minutes: 30, weekdays: [5, 6] }),
  calendar({ minutes: 30, weekdays: 6, months: [3, 4, 9, 10, 11], years: [2024, 2026, 2031] }),
]

/** Over twenty-one years of some zones. */
export const rulesInFull: readonly OracleRule[] = [
  cron('0 0 * * *'),
  cron('0,30 2 * * *'),
  cron('0,30 0-3 * * *', 'skip'),
  cron('30 23 * * MON-FRI'),
  cron('0 0 1 * *'),
  cron('30 2 L * *'),
  cron('0 12 29 2 *'),
  cron('0 2 13 * FRI'),
  cron('15 */6 * * *'),
  cron('0 4 1 1 *'),
  calendar({ hours: [1, 2], minutes: 30, days: [25, 26, 27, 28, 29, 30, 31], weekdays: 6 }),
  calendar({ minutes: 0, weekdays: 0, months: [3, 10] }),
]

/** Second by second. */
export const rulesOfSeconds: readonly OracleRule[] = [
  cron('*/15 59 1-2 * * *'),
  cron('30 0 2,3 * * *'),
  cron('10,50 */30 * * * *'),
  cron('59 59 0-3 * * *', 'skip'),
  cron('1 0 * * * *'),
  calendar({ seconds: [7, 37], minutes: [0, 59], hours: [0, 1, 2, 3, 23] }),
  calendar({ seconds: 45, minutes: [0, 59] }),
]

/** Draws numbers below a bound, the same for the same seed. */
export type Draw = (below: number) => number

/** Mulberry's generator of 32 bits. */
export function drawFrom(seed: number): Draw {
  let state = seed >>> 0
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below)
  }
}

/** Makes a cron text up, with a few fields that are free so that it matches now and then. */
export function randomRule(draw: Draw): OracleRule {
  const pick = <T>(choices: readonly T[]): T => choices[draw(choices.length)] as T
  const list = (min: number, max: number): string =>
    Array.from({ length: 1 + draw(3) }, () => String(min + draw(max - min + 1))).join(',')
  const range = (min: number, max: number): string => {
    const low = min + draw(max - min + 1)
    const text = `${low}-${low + draw(max - low + 1)}`
    return draw(2) === 0 ? text : `${text}/${1 + draw(Math.ceil((max - min) / 2))}`
  }
  const star = (most: number): string => `*/${1 + draw(most)}`
  const minute = pick([() => list(0, 59), () => range(0, 59), () => `*/${5 + draw(50)}`])()
  const hour = pick([
    () => list(0, 23),
    () => list(0, 3),
    () => range(0, 23),
    () => '*',
    star.bind(null, 12),
  ])()
  const day = pick([
    () => '*',
    () => '*',
    () => list(1, 31),
    () => range(1, 31),
    () => 'L',
    star.bind(null, 10),
  ])()
  const month = pick([() => '*', () => '*', () => range(1, 12), () => 'mar,oct', () => star(6)])()
  const weekday = pick([
    () => '*',
    () => '*',
    () => list(0, 7),
    () => 'mon-fri',
    () => range(0, 6),
    () => `${pick(['sun', 'sat', '3'])}#${pick(['1', '3', 'L'])}`,
    () => star(4),
  ])()
  return cron(`${minute} ${hour} ${day} ${month} ${weekday}`, draw(4) === 0 ? 'skip' : 'run')
}
