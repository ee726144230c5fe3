/** Runs jobs by hand, in tests of what needs a store but no worker. */
import { noCounters, type FinalState, type KeptAttempt, type KeptError } from '../core/job.ts'
import type { ClaimedJob } from '../store/job.ts'
import type { SettleAnswer } from '../store/worker-calls.ts'
import type { Store } from '../store/store.ts'

/** Claims the next jobs of all queues. */
export async function claimByHand(store: Store, limit = 1): Promise<readonly ClaimedJob[]> {
  const claimed = await store.claim({
    worker: 'by-hand',
    queues: [],
    others: limit,
    limit,
    leaseMs: 30_000,
    maxLosses: null,
    id: null,
  })
  return claimed.jobs
}

/** Ends a claimed job. `output` and `error` are written as plain JSON. */
export async function endByHand(
  store: Store,
  { id, token }: ClaimedJob,
  end: {
    readonly state?: FinalState
    readonly output?: unknown
    readonly reason?: string
    readonly error?: KeptError
    readonly keepMs?: number
  } = {},
): Promise<SettleAnswer> {
  const [answer] = await store.settle([
    {
      kind: 'finish',
      id,
      token,
      yieldsToCancel: false,
      counters: { ...noCounters, attempts: 1 },
      attempt: end.error === undefined ? null : attemptOf(end.error, token),
      followUps: [],
      state: end.state ?? 'completed',
      output: end.output === undefined ? null : JSON.stringify(end.output),
      reason: end.reason ?? null,
      keepMs: end.keepMs ?? null,
      startedAgoMs: null,
    },
  ])
  return answer!
}

function attemptOf(error: KeptError, token: number): string {
  const { attempt, at } = error
  const run = { attempt, token, worker: 'by-hand', startedAt: null, endedAt: at }
  return JSON.stringify({ ...run, outcome: 'failed', error } satisfies KeptAttempt)
}

/** Hands every call to a store, after `before` has seen its name and arguments. */
export function spying(
  store: Store,
  before: (call: string, args: readonly unknown[]) => unknown,
): Store {
  return new Proxy(store, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name)
      if (typeof member !== 'function' || typeof name !== 'string') return member
      return (...args: readonly unknown[]): unknown => {
        const made = before(name, args)
        const call = (): unknown => Reflect.apply(member, target, args)
        return made instanceof Promise ? made.then(call) : call()
      }
    },
  })
}
