/** What people do to jobs: cancel, retry, remove, take; and what becomes of those that are kept no longer. */
import { isFinal, noCounters } from '../../src/core/job.ts'
import type { CancelAnswer, RemoveAnswer, RetryAnswer } from '../../src/store/operators.ts'
import type { StoredJob } from '../../src/store/job.ts'
import { alter, difference, drop, end, enter, holderOf, settleNeeds, type Draft } from './draft.ts'
import type { ModelJob } from './state.ts'

const workerKeptMs = 24 * 3_600_000

export function cancelOne(draft: Draft, id: string, reason: string | null): CancelAnswer {
  const job = draft.jobs.get(id)
  if (job === undefined) return 'missing'
  const { state, cancelAsked } = job.shown
  switch (state) {
    case 'blocked':
    case 'scheduled':
    case 'ready':
      draft.edges.push(`${state}, cancel → cancelled`)
      end(draft, job, 'cancelled', { reason, keepMs: job.keepCancelledMs })
      settleNeeds(draft)
      return 'cancelled'
    case 'running':
      if (!cancelAsked) alter(draft, job, { cancelReason: reason, shown: { cancelAsked: true } })
      return 'asked'
    case 'completed':
    case 'failed':
    case 'cancelled':
    case 'discarded':
      return 'final'
  }
}

export function retryOne(draft: Draft, id: string): RetryAnswer {
  const job = draft.jobs.get(id)
  if (job === undefined) return 'missing'
  const { unique, shown, startWithinMs, deadlineMs } = job
  const { state } = shown
  if (state !== 'failed' && state !== 'cancelled' && state !== 'discarded') return 'unfit'
  const holder = unique?.during.includes('ready') === true ? holderOf(draft, unique.key) : null
  if (holder !== null && holder !== id) {
    draft.edges.push('retry while the key is taken → duplicate')
    return 'duplicate'
  }
  draft.edges.push(`${state}, retry → ready`)
  const { now } = draft
  enter(draft, job, 'ready', {
    place: now - job.headStartMs,
    cancelReason: null,
    shown: {
      dueAt: now,
      startBy: startWithinMs === null ? null : now + startWithinMs,
      deadlineAt: deadlineMs === null ? null : now + deadlineMs,
      counters: noCounters,
      startedAt: null,
      finishedAt: null,
      expiresAt: null,
      progress: null,
      output: null,
      reason: null,
    },
  })
  return 'retried'
}

export function removeOne(draft: Draft, id: string): RemoveAnswer {
  const job = draft.jobs.get(id)
  if (job === undefined) return 'missing'
  if (job.shown.state === 'running') return 'running'
  drop(draft, job, 'goes')
  settleNeeds(draft)
  return 'removed'
}

export function takeOne(draft: Draft, id: string): StoredJob | null {
  const job = draft.jobs.get(id)
  if (job === undefined) return null
  if (isFinal(job.shown.state)) drop(draft, job, 'stays')
  return job.shown
}

/**
 * Holds a prune to what may go: what outlived its time, and the oldest of the rest beyond the cap. Which of equals went is read off
 * the store: `isGone` tells.
 */
export function explainPrune(
  draft: Draft,
  request: { readonly limit: number; readonly cap: number },
  answer: { readonly removed: number; readonly more: boolean },
  isGone: (id: string) => boolean,
): void {
  const finished = [...draft.jobs.values()].filter(({ shown }) => isFinal(shown.state))
  const outlived = finished.filter((job) => isOutlived(job, draft.now))
  const beyond = Math.max(0, finished.length - outlived.length - request.cap)
  const most = Math.min(request.limit, outlived.length + beyond)
  const gone = finished.filter(({ shown }) => isGone(shown.id))
  if (answer.removed !== most || gone.length !== most)
    throw difference('prune', { ...answer, gone: gone.length }, { removed: most })
  const isMore = outlived.length + beyond > most
  if (answer.more ? !isMore && most < request.limit : isMore)
    throw difference('prune', answer, { more: isMore })

  const before = gone.filter((job) => !isOutlived(job, draft.now)).map(endOf)
  const kept = finished.filter(({ shown }) => !isGone(shown.id))
  if (
    before.length > 0 &&
    kept.some((job) => isOutlived(job, draft.now) || endOf(job) < Math.max(...before))
  )
    throw difference(
      'prune',
      gone.map(({ shown }) => shown.id),
      'older endings went first',
    )
  for (const job of gone) drop(draft, job, 'stays')
  for (const worker of draft.workers.values())
    if (worker.lastSeenAt < draft.now - workerKeptMs) draft.workers.delete(worker.id)
}

export function isOutlived({ shown }: ModelJob, now: number): boolean {
  return isFinal(shown.state) && shown.expiresAt !== null && shown.expiresAt <= now
}

function endOf({ shown }: ModelJob): number {
  return shown.finishedAt ?? 0
}
