/** Whether tests take their long forms, `ERRAND_FULL=1`, and which rules of stores the short ones take. */
import type { Rule } from '../src/testing/conformance/index.ts'

export const isFull: boolean = process.env['ERRAND_FULL'] === '1'

/** Groups that say the same of every way to a store. */
const ofAnyWay: ReadonlySet<string> = new Set(['states', 'sizes', 'bounds', 'unreadable'])
/** Groups in which it matters whose connection a call takes. */
const ofConnections: ReadonlySet<string> = new Set([
  'races',
  'graphs',
  'crashes',
  'watch',
  'tend',
  'close',
])

/**
 * The rules for one more way to a store that passes all of them by another: over several partitions. What says the same there is for
 * the long form.
 */
export function rulesOfAnotherWay(rules: readonly Rule[]): readonly Rule[] {
  return isFull ? rules : rules.filter(({ group }) => !ofAnyWay.has(group))
}

/**
 * The rules for a way on which every call runs the same code as on another: through a pooler, at a manager. Enough of each group that
 * every call takes the way; and all rules of the groups that are named, whose point it is. The long form takes all.
 */
export function fewOfEach(
  rules: readonly Rule[],
  count: number,
  ...whole: readonly string[]
): readonly Rule[] {
  if (isFull) return rules
  const seen = new Map<string, number>()
  return rules.filter(({ group }) => {
    const before = seen.get(group) ?? 0
    seen.set(group, before + 1)
    return before < count || whole.includes(group)
  })
}

/** Parts rules into those whose stores have connections of their own, and those that may share one, which is made once for all. */
export function byConnection(rules: readonly Rule[]): Record<'own' | 'shared', readonly Rule[]> {
  return {
    own: rules.filter(({ group }) => ofConnections.has(group)),
    shared: rules.filter(({ group }) => !ofConnections.has(group)),
  }
}
