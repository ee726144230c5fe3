/** Processes that measure Errand alone, as the workloads on SQLite do. */
import { appOn, type OpenApp } from '../../kit/app.ts'
import { tell } from '../../kit/peer.ts'
import { drainLarge, fillWithLarge } from '../../measures/large-inputs.ts'
import { queuesUsedOnce } from '../../measures/queues-used-once.ts'
import { verbs } from '../../measures/verbs.ts'
import type { JobsPart } from '../part.ts'
import { storeOf } from '../sides/errand.ts'

export async function useQueuesOnce({ setup, jobs: queues }: JobsPart): Promise<void> {
  await tell(await queuesUsedOnce(opener(setup.url), queues))
}

export async function fillLarge({ setup, jobs }: JobsPart): Promise<void> {
  await fillWithLarge(opener(setup.url), jobs)
  await tell('done')
}

export async function drainLargeJobs({ setup, jobs }: JobsPart): Promise<void> {
  await tell(await drainLarge(opener(setup.url), jobs))
}

export async function callVerbs({ setup, jobs }: JobsPart): Promise<void> {
  await tell(await verbs(opener(setup.url), jobs))
}

function opener(url: string): OpenApp {
  return (ran, options) => appOn(storeOf(url), ran, options)
}
