/** The locks of a store, for singletons. */
import { ownModule } from '../../core/own-module.ts'
import type { Connector, Store } from '../../store/store.ts'
import { openConnector } from '../../loops/in-thread.ts'
import type { Locks } from '../../store/locks.ts'
import { setImmediate } from '../../core/timers.ts'

/** Locks on the app's own store. They use its connections; closing them closes nothing. */
export function storeLocks(store: Store): Locks {
  return locksOn(store, async () => {})
}

/** Opens a store in a thread and answers its locks: see `Connector`. */
export async function connect(argument: unknown): Promise<Locks> {
  const store = await openConnector<Store>(argument as Connector)
  return locksOn(store, () => store.close())
}

function locksOn(store: Store, close: () => Promise<void>): Locks {
  const { kind, location } = store.info
  return {
    info: { kind, location },
    connector:
      store.connector === null
        ? null
        : { module: ownModule('singleton/locks/store'), argument: store.connector },
    leastTtlMs: 1_000,
    hold: (request) => store.hold(request),
    release: (holding) => store.release(holding),
    lockOwner: (name) => store.lockOwner(name),
    watch: (_, on) => {
      const unwatch = store.watch((hint) => (hint === 'lock' ? on() : undefined), ['lock'])
      // Nothing told of a release between the last try and this.
      const first = setImmediate(on)
      return () => {
        clearImmediate(first)
        unwatch()
      }
    },
    close,
  }
}
