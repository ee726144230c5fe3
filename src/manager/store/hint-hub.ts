/** Hands the hints of a store to any number of listeners, over one watch. */
import type { Store } from '../../store/store.ts'
import type { Hint, Unwatch } from '../../store/worker-calls.ts'

export class HintHub {
  readonly #store: Store
  readonly #listeners = new Set<(hint: Hint) => void>()
  #unwatch: Unwatch | null = null

  constructor(store: Store) {
    this.#store = store
  }

  listen(on: (hint: Hint) => void): Unwatch {
    this.#listeners.add(on)
    this.#unwatch ??= this.#store.watch((hint) => {
      for (const listener of this.#listeners) listener(hint)
    })
    return () => {
      this.#listeners.delete(on)
      if (this.#listeners.size > 0) return
      this.#unwatch?.()
      this.#unwatch = null
    }
  }
}

const hubs = new WeakMap<Store, HintHub>()

/** The one hub of a store. */
export function hubOf(store: Store): HintHub {
  let hub = hubs.get(store)
  if (hub === undefined) hubs.set(store, (hub = new HintHub(store)))
  return hub
}
