/**
 * The boundary between singletons and the servers that keep their locks.
 *
 * A lock server has two verbs, `hold` and `release`. `hold` takes a lock or extends it, and tells for how long nobody else gets it; a holder
 * that counts this from before its call stops believing first. A lock that is not extended is free about `ttlMs` after its last extension.
 * `lockRules` of `errand/conformance` prove an implementation.
 */
import type { HoldAnswer, Holding, HoldRequest, LockOwner } from '../core/lock.ts'
import type { Connector, Unwatch } from '../store.ts'

export type { HoldAnswer, Holding, HoldRequest, LockOwner }

/** Locks by name, on one server. */
export interface Locks {
  /** What it is, for people: `'consul'`, and its address without credentials. */
  readonly info: { readonly kind: string; readonly location: string }
  /** How a thread opens the same locks again: a module whose `connect(argument)` answers them, or a promise of them; null when it cannot. */
  readonly connector: Connector | null
  /**
   * Without `token`: takes the lock when it is free, and answers `held` with a token greater than any before it; repeated by its holder, it
   * extends and answers the same token. With `token`: extends that holding alone, and answers `taken` when it has ended.
   * Rejects when the server does not answer; then the lock may or may not be held.
   */
  hold(request: HoldRequest): Promise<HoldAnswer>
  /** Frees the lock if that holding has it, and changes nothing otherwise. */
  release(holding: Holding): Promise<'released' | 'stale'>
  /** Who holds the lock now; null when it is free. */
  owner(name: string): Promise<LockOwner | null>
  /** Calls back when the lock may have become free. Only a hint: it may come late, for nothing, or never. */
  watch(name: string, on: () => void): Unwatch
  /** The shortest `ttlMs` that the server can keep. */
  readonly leastTtlMs: number
  /** Lets go of connections and timers; frees no lock. Later calls reject with `closed`. */
  close(): Promise<void>
}
