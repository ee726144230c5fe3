/** The checks that need nothing but a store, in the order in which they are shown. */
import { checkBlocked } from './blocked.ts'
import { checkCharts, checkRenewals } from './watch.ts'
import type { Check, Finding } from './finding.ts'
import type { Inspected } from './inspected.ts'
import { checkClock, checkRisks, checkStore } from './store.ts'
import {
  checkFailed,
  checkQueues,
  checkRetention,
  checkStuck,
  checkUnknownTasks,
  checkWorkers,
} from './work.ts'

export { checkStore }

/** Those that make sense for a store that answers. */
export const checks: readonly Check<Inspected>[] = [
  checkRisks,
  checkClock,
  checkQueues,
  checkWorkers,
  checkRenewals,
  checkUnknownTasks,
  checkStuck,
  checkBlocked,
  checkFailed,
  checkRetention,
  checkCharts,
]

/** Whether the later checks can tell anything: the store answers, even if it refuses writes. */
export function isReached(findings: readonly Finding[]): boolean {
  return (
    findings.every(({ status }) => status !== 'fail') ||
    findings.some(({ check }) => check === 'writes')
  )
}

/** Looks at a store and at the work in it; rejects before the next check once the signal has aborted. */
export async function examine(
  inspected: Inspected,
  signal: AbortSignal,
): Promise<readonly Finding[]> {
  const findings = [...(await checkStore(inspected))]
  if (!isReached(findings)) return findings
  for (const check of checks) {
    signal.throwIfAborted()
    findings.push(...(await check(inspected)))
  }
  return findings
}
