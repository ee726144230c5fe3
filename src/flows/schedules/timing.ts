/** When a schedule's ticks are, and what becomes of those that were missed, as options and as read. */
import { toMs, type Duration } from '../../core/duration.ts'
import { ErrandError } from '../../core/errors.ts'
import { mostCount } from '../../core/options.ts'
import { readChoice, refuseValue } from '../../core/read.ts'
import { readWhen, type When, type WhenOptions } from './when.ts'

/** Gives the first tick after a time, or undefined when there is none any more. */
export type TickRule = (after: Date) => Date | undefined

/** Chooses among the ticks that are due, oldest first. */
export type TickChoice = (ticks: readonly Date[]) => readonly Date[]

export interface TimingOptions extends Omit<WhenOptions, 'at'> {
  /** Once, at each of a list of times, or by a rule of your own. */
  readonly at?: Date | readonly Date[] | TickRule
  /** No tick is earlier. `every` counts from it. */
  readonly start?: Date
  /** No tick is later. */
  readonly end?: Date
  /** The most ticks that run, in all. */
  readonly limit?: number
  /** Puts each tick off by up to so long, by a hash of its name: every process agrees. */
  readonly jitter?: Duration
  /**
   * What runs when ticks were missed, because no process was there for more than 15 s: the latest
   * (default), the first, all, none, or those that a function chooses.
   */
  readonly missed?: 'skip' | 'latest' | 'first' | 'all' | TickChoice
  /** Missed ticks that are older are left out. Default 1 h; at most the last 100 ticks are looked at. */
  readonly window?: Duration
}

/** Names of all options of timing. */
export const timingKeys: readonly string[] = [
  'cron',
  'every',
  'calendar',
  'at',
  'timezone',
  'dst',
  'start',
  'end',
  'limit',
  'jitter',
  'missed',
  'window',
]

/** Which ticks run when some were missed; `own` is chosen by a function of the code. */
type Missed = 'skip' | 'latest' | 'first' | 'all' | 'own'

/** Timing that is read. All but the functions can be stored. */
export interface Timing {
  /** `rule`: by the function `rule`. */
  readonly when: When | { readonly kind: 'rule' }
  readonly rule: TickRule | null
  readonly startMs: number | null
  readonly endMs: number | null
  readonly limit: number | null
  readonly jitterMs: number
  readonly missed: Missed
  readonly choose: TickChoice | null
  readonly windowMs: number
}

const timingDefaults = { missed: 'latest', windowMs: 3_600_000 } as const

/** Reads timing. `timezone` holds where the options name none. Throws `invalid-option`. */
export function readTiming(options: TimingOptions, where: string, timezone: string): Timing {
  const { at, end, limit, jitter, missed = timingDefaults.missed, window, ...rest } = options
  const startMs = readDate(options.start, `${where}.start`)
  const endMs = readDate(end, `${where}.end`)
  if (startMs !== null && endMs !== null && endMs <= startMs)
    throw new ErrandError('invalid-option', `${where}.end must be later than start.`)
  if (limit !== undefined && !(Number.isInteger(limit) && limit >= 1 && limit <= mostCount))
    refuseValue(`${where}.limit`, `a whole number from 1 to ${mostCount}`, limit)
  const rule = typeof at === 'function' ? at : null
  if (rule !== null) refuseBesideRule(rest, where)
  const choose = typeof missed === 'function' ? missed : null
  return {
    when:
      rule !== null
        ? { kind: 'rule' }
        : readWhen({ ...rest, ...(at === undefined ? {} : { at: at as Date }) }, where, timezone),
    rule,
    startMs,
    endMs,
    limit: limit ?? null,
    jitterMs: jitter === undefined ? 0 : toMs(jitter, `${where}.jitter`),
    missed:
      choose === null
        ? readChoice(missed, ['skip', 'latest', 'first', 'all'], `${where}.missed`)
        : 'own',
    choose,
    windowMs: window === undefined ? timingDefaults.windowMs : toMs(window, `${where}.window`),
  }
}

function readDate(date: unknown, where: string): number | null {
  if (date === undefined) return null
  if (date instanceof Date && Number.isFinite(date.getTime())) return date.getTime()
  return refuseValue(where, 'a valid Date', date)
}

function refuseBesideRule(rest: Readonly<Record<string, unknown>>, where: string): void {
  const other = ['cron', 'every', 'calendar', 'timezone', 'dst'].find(
    (key) => rest[key] !== undefined,
  )
  if (other === undefined) return
  throw new ErrandError(
    'invalid-option',
    `${where} has a rule of its own as at, so it takes no ${other}.`,
  )
}
