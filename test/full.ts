/** Whether tests take their long forms: `ERRAND_FULL=1`. */
import type { Rule } from '../src/testing/conformance/index.ts'

export const isFull: boolean = process.env['ERRAND_FULL'] === '1'

/**
 * The rules for one more way to a store that passes all of them by another: through a pooler, over several partitions. The table of
 * states, each state against each verb, runs the same code there, so it is for the long form.
 */
export function rulesOfAnotherWay(rules: readonly Rule[]): readonly Rule[] {
  return isFull ? rules : rules.filter(({ group }) => group !== 'states')
}
