/** Processes that measure Errand alone, as the workloads on SQLite do. */
import { appOn, type OpenApp } from '../../kit/app.ts'
import { tell } from '../../kit/peer.ts'
import { chain } from '../../measures/chain.ts'
import { followUps } from '../../measures/follow-ups.ts'
import { drainLarge, fillWithLarge } from '../../measures/large-inputs.ts'
import { fanIn, largeBatch } from '../../measures/large-runs.ts'
import { needs } from '../../measures/needs.ts'
import { queuesUsedOnce } from '../../measures/queues-used-once.ts'
import { schedulesAtOnce, tickToStart } from '../../measures/schedules.ts'
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

export async function drainNeeds({ setup, jobs }: JobsPart): Promise<void> {
  await tell(await needs(opener(setup.url), jobs))
}

export async function drainFollowUps({ setup, jobs }: JobsPart): Promise<void> {
  await tell(await followUps(opener(setup.url), jobs))
}

export async function runChain({ setup, jobs: links }: JobsPart): Promise<void> {
  await tell(await chain(opener(setup.url), links))
}

export async function fireSchedules({ setup, jobs: count }: JobsPart): Promise<void> {
  await tell(await schedulesAtOnce(opener(setup.url), count))
}

export async function fireInTurn({ setup }: JobsPart): Promise<void> {
  await tell(await tickToStart(opener(setup.url)))
}

export async function callVerbs({ setup, jobs }: JobsPart): Promise<void> {
  await tell(await verbs(opener(setup.url), jobs))
}

export async function runLargeBatch({ setup, jobs }: JobsPart): Promise<void> {
  await tell(await largeBatch(opener(setup.url), jobs))
}

export async function runFanIn({ setup, jobs: nodes }: JobsPart): Promise<void> {
  await tell(await fanIn(opener(setup.url), nodes))
}

export function opener(url: string): OpenApp {
  return (ran, options) => appOn(storeOf(url), ran, options)
}
