/** Puts jobs back that nobody has taken: their caller went away before it was answered. */
import type { ClaimedJob } from '../../store/job.ts'
import type { Store } from '../../store/store.ts'

/** Each is again where it was, and nothing is counted. What cannot be put back now is free when its short lease ends. */
export async function giveBack(store: Store, jobs: readonly ClaimedJob[]): Promise<void> {
  if (jobs.length === 0) return
  await store.settle(
    jobs.map(({ id, token, counters, startedAt }) => ({
      kind: 'requeue',
      id,
      token,
      counters,
      attempt: null,
      followUps: [],
      delayMs: 0,
      place: 'keep',
      started: false,
      suspect: startedAt !== null,
      yieldsToCancel: true,
    })),
  )
}
