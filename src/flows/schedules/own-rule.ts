/** Ticks by a function of the code. It is asked anew each time, so it must not change its mind. */
import { ErrandError } from '../../core/errors.ts'
import { longestMs } from '../../core/duration.ts'
import { shownValue } from '../../core/shown.ts'
import type { Ticks } from './ticks.ts'
import type { TickRule } from './timing.ts'

/** Ticks closer together than this are taken for a loop. */
const leastMs = 1_000

/** Throws, when asked, what the rule throws, and `invalid-option` for an answer that is no later time. */
export function ticksOfRule(rule: TickRule, schedule: string): Ticks {
  const after = (ms: number) => {
    const given: unknown = rule(new Date(ms))
    if (given === undefined || given === null) return null
    const at = given instanceof Date ? given.getTime() : Number.NaN
    if (at > ms && at - ms <= longestMs) return { at, name: new Date(at).toISOString() }
    throw new ErrandError(
      'invalid-option',
      `at of schedule ${schedule} must return a Date later than the one it gets, or undefined; for ${new Date(ms).toISOString()} it returned ${Number.isNaN(at) ? shownValue(given) : new Date(at).toISOString()}.`,
    )
  }
  return {
    after,
    next: ({ at }) => {
      const tick = after(at)
      if (tick === null || tick.at - at >= leastMs) return tick
      throw new ErrandError(
        'invalid-option',
        `at of schedule ${schedule} gives ticks less than a second apart: ${new Date(at).toISOString()} and ${tick.name}.`,
      )
    },
  }
}
