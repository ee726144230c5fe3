/** The rows of the table of states, each with a name, and how to tell which one a settlement took. */
import type { Requeue, Finish, Settlement } from '../../src/store/worker-calls.ts'
import type { ModelJob } from './state.ts'

export const edges = [
  'enqueue, due now → ready',
  'enqueue, due later → scheduled',
  'enqueue, with unmet needs → blocked',
  'blocked, last need met → ready',
  'blocked, a need failed, cancel → cancelled',
  'blocked, a need failed, fail → failed',
  'blocked, a need failed, run → ready',
  'insert, its record moved → its jobs as ever',
  'insert, its record elsewhere → stale',
  'scheduled, due → ready',
  'blocked, startWithin or deadline passed → failed',
  'scheduled, startWithin or deadline passed → failed',
  'ready, startWithin or deadline passed → failed',
  'ready, claim → running',
  'running, given back unstarted → ready',
  'running, returned → completed',
  'running, threw, retried → scheduled',
  'running, threw, not retried → failed',
  'running, postponed → scheduled',
  'running, postponed too often → failed',
  'running, discarded → discarded',
  'running, cancel asked, did not return → cancelled',
  'running, cancel asked, returned → completed',
  'running, lost before its start → ready',
  'running, lost after its start → ready after a delay',
  'running, lost too often → failed',
  'running, interrupted → ready',
  'blocked, cancel → cancelled',
  'scheduled, cancel → cancelled',
  'ready, cancel → cancelled',
  'failed, retry → ready',
  'cancelled, retry → ready',
  'discarded, retry → ready',
  'retry while the key is taken → duplicate',
  'stale settlement → nothing',
  'repeated settlement → nothing',
  'yielding settlement, cancel asked → nothing',
  'record under a lease → it and its jobs',
  'stale record → nothing',
] as const

export type Edge = (typeof edges)[number]

/** The row that an accepted settlement stands for; null when it is none of the table's. */
export function edgeOf(job: ModelJob, settlement: Settlement): Edge | null {
  return settlement.kind === 'finish' ? endingOf(job, settlement) : returnOf(job, settlement)
}

function endingOf(job: ModelJob, { state, reason }: Finish): Edge | null {
  const isAsked = job.shown.cancelAsked
  switch (state) {
    case 'completed':
      return isAsked
        ? 'running, cancel asked, returned → completed'
        : 'running, returned → completed'
    case 'discarded':
      return 'running, discarded → discarded'
    case 'cancelled':
      return isAsked ? 'running, cancel asked, did not return → cancelled' : null
    case 'failed':
      if (reason === 'start-within' || reason === 'deadline')
        return job.overdueFrom === null
          ? null
          : `${job.overdueFrom}, startWithin or deadline passed → failed`
      if (reason === 'poison' || reason === 'lost') return 'running, lost too often → failed'
      if (reason === 'postpone-limit') return 'running, postponed too often → failed'
      return 'running, threw, not retried → failed'
  }
}

function returnOf({ shown: { counters: before } }: ModelJob, again: Requeue): Edge | null {
  const { counters: after, delayMs } = again
  if (after.losses > before.losses) return 'running, lost after its start → ready after a delay'
  if (after.postpones > before.postpones && delayMs > 0) return 'running, postponed → scheduled'
  if (after.failures > before.failures && delayMs > 0) return 'running, threw, retried → scheduled'
  if (after.interruptions > before.interruptions) return 'running, interrupted → ready'
  if (after.deferrals > before.deferrals || after.attempts > before.attempts) return null
  if (again.suspect) return 'running, lost before its start → ready'
  return delayMs === 0 ? 'running, given back unstarted → ready' : null
}
