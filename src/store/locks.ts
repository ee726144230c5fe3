/** Named locks with fencing numbers. A store, Consul and etcd offer the same three calls; singletons run under them. */
import type { Connector } from './store.ts'
import type { Unwatch } from './worker-calls.ts'

/**
 * `hold` takes a lock or extends it, and says for how long nobody else gets it; a holder that counts this from before its call stops
 * believing first. A lock that is not extended is free about `ttlMs` after its last extension. The hint `lock` of a store says
 * that one was released. `lockRules` of `errand/conformance` prove an implementation.
 */
export interface LockCalls {
  /**
   * Without `token`: takes the lock when it is free, and returns `held` with a token greater than any before it; repeated by its
   * holder, it extends and returns the same token. With `token`: extends that holding alone, and returns `taken` when it has ended.
   * Rejects when the server does not answer; then the lock may or may not be held.
   */
  hold(request: HoldRequest): Promise<HoldAnswer>
  /** Frees the lock if that holding has it, and changes nothing otherwise. */
  release(holding: Holding): Promise<'released' | 'stale'>
  /** Who holds the lock now; null when it is free. */
  lockOwner(name: string): Promise<LockOwner | null>
}

/** Locks by name, on one server. */
export interface Locks extends LockCalls {
  /** What it is, for people: `'consul'`, and its address without credentials. */
  readonly info: { readonly kind: string; readonly location: string }
  /** How a thread opens the same locks again: a module whose `connect(argument)` returns them, or a promise of them; null when it cannot. */
  readonly connector: Connector | null
  /** Calls back when the lock may have become free. Only a hint: it may come late, for nothing, or never. */
  watch(name: string, on: () => void): Unwatch
  /** The shortest `ttlMs` that the server can keep. */
  readonly leastTtlMs: number
  /** Releases connections and timers; frees no lock. Later calls reject with `closed`. */
  close(): Promise<void>
}

export interface HoldRequest {
  readonly name: string
  /** A UUID of the process's own, the same for as long as it wants the lock. */
  readonly holder: string
  /** The holding to extend; null to take the lock. */
  readonly token: number | null
  /** How long the lock outlives its holder, in milliseconds; at least the server's `leastTtlMs`. */
  readonly ttlMs: number
  /** Who asks, for others to see. */
  readonly host: string
  readonly pid: number
}

export interface Holding {
  readonly name: string
  readonly holder: string
  readonly token: number
}

export type HoldAnswer =
  | {
      readonly status: 'held'
      readonly token: number
      /** Milliseconds, counted from before the call, for which nobody else gets it. */
      readonly validMs: number
    }
  | {
      readonly status: 'taken'
      /** Who has it, as far as that is known. */
      readonly owner: LockOwner | null
      /** Milliseconds after which it may be free if its holder is dead; null when the server does not tell. */
      readonly freeInMs: number | null
    }

/** Who holds a lock, as the server says. */
export interface LockOwner {
  readonly host: string
  /** Null when the record is not one of Errand's. */
  readonly pid: number | null
  /** Since when, in milliseconds since the epoch. */
  readonly since: number | null
  readonly token: number | null
}
