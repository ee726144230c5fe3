/** Cancels jobs with all that they have called and that has not ended. */
import type { Counters } from '../core/job.ts'
import type { CancelAnswer } from '../store/operators.ts'
import type { Store } from '../store/store.ts'
import { openCalls } from './call-journal.ts'

const mostIds = 1_000
const nobody: ReadonlyMap<string, readonly string[]> = new Map()

/**
 * Cancels jobs. Those of them that wait may have run before: what they have called is cancelled as
 * well, here; what a running one has called, its worker cancels when it ends. A call that was cut
 * off is repeated: then it comes to the rest. At most 1,000 ids.
 */
export async function cancelJobs(
  store: Store,
  ids: readonly string[],
  reason: string | null,
): Promise<readonly CancelAnswer[]> {
  // Read before: a job that is not kept takes its records along.
  const before = await calledBy(store, ids)
  const answers = await store.cancel(ids, reason)
  const cancelled = ids.filter((_, i) => answers[i] === 'cancelled')
  // And after: one of them may have run in between.
  const after = cancelled.length === 0 ? nobody : await calledBy(store, cancelled)
  const open = ids.flatMap((id, i) =>
    answers[i] === 'cancelled' || answers[i] === 'final'
      ? [...(before.get(id) ?? []), ...(after.get(id) ?? [])]
      : [],
  )
  await cancelAll(store, [...new Set(open)])
  return answers
}

/** Cancels what a job has called and what has not ended, since the job itself ends as cancelled. */
export async function cancelCalls(store: Store, id: string): Promise<void> {
  await cancelAll(store, await openCalls(store, id))
}

/** Whether a job may have made calls in an earlier run. */
export function hasRun({ attempts, losses, interruptions, postpones }: Counters): boolean {
  return attempts + losses + interruptions + postpones > 0
}

async function cancelAll(store: Store, ids: readonly string[]): Promise<void> {
  for (let from = 0; from < ids.length; from += mostIds)
    await cancelJobs(store, ids.slice(from, from + mostIds), 'the job that called it was cancelled')
}

async function calledBy(
  store: Store,
  ids: readonly string[],
): Promise<ReadonlyMap<string, readonly string[]>> {
  const called = new Map<string, readonly string[]>()
  for (const job of await store.get(ids)) {
    if (job === null || !hasRun(job.counters)) continue
    if (job.state === 'ready' || job.state === 'scheduled' || job.state === 'cancelled')
      called.set(job.id, await openCalls(store, job.id))
  }
  return called
}
