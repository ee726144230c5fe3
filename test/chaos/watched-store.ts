/** Stores as the workers of a run see them: one that keeps the ledger, and one that breaks a rule on purpose. */
import type { Claimed, WorkerCalls } from '../../src/store/worker-calls.ts'
import type { Store } from '../../src/store/store.ts'
import type { Ledger } from './ledger.ts'

/** Writes to the ledger what the store hands out and what it answers to settlements, before the worker hears of it. */
export function keepingLedger(store: Store, ledger: Ledger): Store {
  const handed = async <C extends Claimed>(call: () => Promise<C>): Promise<C> => {
    const askedAt = Date.now()
    const claimed = await call()
    ledger.write(
      ...claimed.jobs.map(
        ({ id, token, why }) => ({ kind: 'handed', id, token, why, askedAt }) as const,
      ),
    )
    return claimed
  }
  return withVerbs(store, {
    claim: (request) => handed(() => store.claim(request)),
    rescue: (request) => handed(() => store.rescue(request)),
    settle: async (settlements, tx) => {
      const answers = await store.settle(settlements, tx)
      ledger.write(
        ...settlements.map((settlement, i) => {
          const { id, token } = settlement
          const decision = settlement.kind === 'finish' ? settlement.state : 'requeue'
          return { kind: 'verdict', id, token, decision, answer: answers[i]! } as const
        }),
      )
      return answers
    },
  })
}

/** Settles with whatever token a job has now, so that a worker whose lease is long gone is believed. */
export function withoutFencing(store: Store): Store {
  return withVerbs(store, {
    settle: async (settlements, tx) => {
      const jobs = await store.get(settlements.map(({ id }) => id))
      const forged = settlements.map((one, i) => ({ ...one, token: jobs[i]?.token ?? one.token }))
      return store.settle(forged, tx)
    },
  })
}

function withVerbs(store: Store, verbs: Partial<WorkerCalls>): Store {
  return new Proxy(store, {
    get(target, name) {
      if (name in verbs) return verbs[name as keyof WorkerCalls]
      const member: unknown = Reflect.get(target, name)
      return typeof member === 'function' ? member.bind(target) : member
    },
  })
}
