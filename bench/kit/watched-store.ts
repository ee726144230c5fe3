/** A store with an eye on it: how long each call took, and how many jobs were settled when. */
import type { Settlement, Store } from 'errand/store'
import { ticks } from './ticks.ts'

export class WatchedStore {
  readonly store: Store
  /** The verb of each call and its milliseconds, from the call to the answer. */
  readonly calls: { readonly verb: string; readonly ms: number }[] = []
  settled = 0
  lastSettledAt = 0
  readonly #marks: { readonly settled: number; readonly resolve: (at: number) => void }[] = []

  constructor(store: Store) {
    this.store = new Proxy(store, { get: (target, verb) => this.#member(target, verb) })
  }

  /** Resolves with the time at which so many jobs were settled. */
  reached(settled: number): Promise<number> {
    if (this.settled >= settled) return Promise.resolve(this.lastSettledAt)
    return new Promise((resolve) => this.#marks.push({ settled, resolve }))
  }

  #member(store: Store, verb: string | symbol): unknown {
    const member: unknown = Reflect.get(store, verb)
    if (typeof member !== 'function' || typeof verb === 'symbol') return member
    if (verb === 'watch' || verb === 'close') return member
    return async (...given: unknown[]): Promise<unknown> => {
      const since = ticks()
      const answer: unknown = await Reflect.apply(member, store, given)
      this.calls.push({ verb, ms: ticks() - since })
      if (verb === 'settle')
        this.#count(given[0] as readonly Settlement[], answer as readonly string[])
      return answer
    }
  }

  /** Jobs that are given back are settled too, but have not ended. */
  #count(settlements: readonly Settlement[], answers: readonly string[]): void {
    for (const [place, { kind }] of settlements.entries())
      if (kind === 'finish' && answers[place] === 'settled') this.settled++
    this.lastSettledAt = ticks()
    for (const mark of this.#marks.splice(0)) {
      if (this.settled >= mark.settled) mark.resolve(this.lastSettledAt)
      else this.#marks.push(mark)
    }
  }
}
