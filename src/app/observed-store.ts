/** The store of an app, whose calls are told of to those who listen. */
import { performance } from '../core/timers.ts'
import type { EventHub } from '../observe/events.ts'
import { calls, type CallName } from '../store/calls.ts'
import type { Store } from '../store/store.ts'

type AnyCall = (...args: readonly unknown[]) => Promise<unknown>

/** The same store. While nobody listens to `store-called`, a call costs one more look at a map. */
export function observedStore(store: Store, events: EventHub): Store {
  const others = {
    get info() {
      return store.info
    },
    get clock() {
      return store.clock
    },
    get connector() {
      return store.connector
    },
    setup: () => store.setup(),
    warnings: (how: 'ask' | 'try') => store.warnings(how),
    close: () => store.close(),
    watch: (...args: Parameters<Store['watch']>) => store.watch(...args),
  }
  const observed: Record<string, AnyCall> = {}
  for (const name of Object.keys(calls) as CallName[]) {
    const call: AnyCall = (...args) => (store[name] as AnyCall)(...args)
    observed[name] = (...args) =>
      events.has('store-called') ? timed(name, () => call(...args), events) : call(...args)
  }
  // What a store has beside its contract stays in reach.
  return Object.create(store, {
    ...Object.getOwnPropertyDescriptors(observed),
    ...Object.getOwnPropertyDescriptors(others),
  }) as Store
}

async function timed(
  call: CallName,
  make: () => Promise<unknown>,
  events: EventHub,
): Promise<unknown> {
  const began = performance.now()
  let failed = true
  try {
    const answer = await make()
    failed = false
    return answer
  } finally {
    events.emit('store-called', { call, durationMs: performance.now() - began, failed })
  }
}
