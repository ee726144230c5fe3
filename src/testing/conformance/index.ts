/**
 * `errand/conformance`: what every store does, as rules that run under any test runner.
 *
 *     import test from 'node:test'
 *     import { raceRules, runRules, storeRules } from 'errand/conformance'
 *
 *     const harness = {
 *       async create() {
 *         const clock = new VirtualClock()                    // from 'errand/testing'
 *         const place = await somewhereEmpty()
 *         return {
 *           store: myStore(place, { clock }),
 *           another: async () => myStore(place, { clock }),   // a second client of the same data
 *           advance: (ms) => clock.advance(ms),
 *           dispose: () => place.remove(),                    // and closes the clients
 *         }
 *       },
 *     }
 *     runRules({ test, harness, rules: [...storeRules, ...raceRules] })
 *
 * A rule gets an empty store of its own, uses the public `Store` contract alone (but for `spoil`), and moves time only by `advance`.
 * A store whose time is a server's own passes `slackMs`; `rounds` says how often each race is run. The rules speak
 * of what can be observed: how rows lie is the store's own affair.
 *
 * The table of states is the heart: every situation of a job × everything that can be done to it. What is legal
 * must end as the table says, and whatever is not must change nothing that can be read.
 */
import { advanceRaceRules, advanceRules } from './advance-rules.ts'
import { batchRules } from './batch-rules.ts'
import { entryRules } from './entry-rules.ts'
import { labelRules } from './label-rules.ts'
import { recordRaceRules, recordRules, runRecordRules } from './record-rules.ts'
import { requeueRules } from './requeue-rules.ts'
import { boundsRules } from './bounds-rules.ts'
import { claimRaceRules } from './claim-race-rules.ts'
import { claimRules } from './claim-rules.ts'
import { sizeRules } from './size-rules.ts'
import { coordinationRules } from './coordination-rules.ts'
import { crashRules } from './crash-rules.ts'
import { rescueRules } from './rescue-rules.ts'
import { graphRules } from './graph-rules.ts'
import type { Rule } from './harness.ts'
import { headStartRules } from './head-start-rules.ts'
import { insertRules } from './insert-rules.ts'
import { leaseRules } from './lease-rules.ts'
import { needsRules } from './needs-rules.ts'
import { operatorRules } from './operator-rules.ts'
import { operatorRaceRules } from './operator-race-rules.ts'
import { outputRules } from './output-rules.ts'
import { pairRaceRules } from './race-rules.ts'
import { readerRules } from './reader-rules.ts'
import { removalRules } from './removal-rules.ts'
import { replaceRules } from './replace-rules.ts'
import { scheduleRules } from './schedule-rules.ts'
import { settleRules } from './settle-rules.ts'
import { soakRules } from './soak-rules.ts'
import { stateTableRules } from './state-table-rules.ts'
import { suspectRules } from './suspect-rules.ts'
import { textRules } from './text-rules.ts'
import { uniqueRules } from './unique-rules.ts'
import { unreadableRules } from './unreadable-rules.ts'

export {
  runRules,
  type Rule,
  type Spoiled,
  type StoreFixture,
  type StoreHarness,
} from './harness.ts'
export { heldRules, type TransactionFixture, type TransactionHarness } from './held-rules.ts'
export { livenessRules, type LivenessHarness } from './liveness-rules.ts'
export { lockRules, type LockHarness } from './lock-rules.ts'
export { sourceRules, type SourceFixture, type SourceHarness } from './source-rules.ts'

/** Every rule whose calls come one after the other. */
export const storeRules: readonly Rule[] = [
  ...insertRules,
  ...entryRules,
  ...advanceRules,
  ...uniqueRules,
  ...replaceRules,
  ...claimRules,
  ...sizeRules,
  ...suspectRules,
  ...settleRules,
  ...requeueRules,
  ...headStartRules,
  ...leaseRules,
  ...runRecordRules,
  ...rescueRules,
  ...needsRules,
  ...outputRules,
  ...operatorRules,
  ...batchRules,
  ...removalRules,
  ...readerRules,
  ...labelRules,
  ...recordRules,
  ...scheduleRules,
  ...coordinationRules,
  ...textRules,
  ...boundsRules,
  ...unreadableRules,
  ...crashRules,
  ...stateTableRules,
]

/** Clients at the same thing at the same time, `rounds` times over. */
export const raceRules: readonly Rule[] = [
  ...claimRaceRules,
  ...pairRaceRules,
  ...operatorRaceRules,
  ...advanceRaceRules,
  ...recordRaceRules,
  ...soakRules,
  ...graphRules,
]
