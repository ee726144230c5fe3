/**
 * `errand/conformance`: what every store does, as rules that run under any test runner.
 *
 *     import test from 'node:test'
 *     import { runRules, storeRules, raceRules } from 'errand/conformance'
 *
 *     const harness = {
 *       async create() {
 *         const clock = new VirtualClock()                    // from 'errand/testing'
 *         const place = await somewhereEmpty()
 *         return {
 *           store: myStore(place, { clock }),
 *           another: async () => myStore(place, { clock }),   // a second client of the same data
 *           advance: (ms) => clock.advance(ms),
 *           dispose: () => place.remove(),
 *         }
 *       },
 *     }
 *     runRules({ test, harness, rules: [...storeRules, ...raceRules] })
 *
 * A rule gets an empty store of its own, uses the public `Store` contract alone, and moves time only by `advance`.
 * A store whose time is a server's own passes `slackMs`. The rules speak of what can be observed; how rows lie is
 * the store's own affair.
 */
import type { Rule } from './harness.ts'
import { againRules } from './again-rules.ts'
import { claimRules } from './claim-rules.ts'
import { settleRules } from './settle-rules.ts'
import { suspectRules } from './suspect-rules.ts'
import { expiredRules } from './expired-rules.ts'
import { leaseRules } from './lease-rules.ts'
import { uniqueRules } from './unique-rules.ts'
import { coordinationRules } from './coordination-rules.ts'
import { needsRules } from './needs-rules.ts'
import { operatorRules } from './operator-rules.ts'
import { readerRules } from './reader-rules.ts'
import { insertRules } from './insert-rules.ts'
import { stateTableRules } from './state-table-rules.ts'

export { runRules, type Rule, type StoreFixture, type StoreHarness } from './harness.ts'

/** Every rule that holds for one store at a time, whoever calls it. */
export const storeRules: readonly Rule[] = [
  ...insertRules,
  ...uniqueRules,
  ...leaseRules,
  ...expiredRules,
  ...claimRules,
  ...suspectRules,
  ...settleRules,
  ...againRules,
  ...operatorRules,
  ...needsRules,
  ...readerRules,
  ...coordinationRules,
  ...stateTableRules,
]
