/**
 * The boundary between Errand and the places where jobs live.
 *
 * A store is a dumb, atomic, batch-first executor: it carries out what the pure functions of `core/` decided and decides
 * nothing itself. Payloads are opaque text to it. Every stored time is the store's own: callers pass delays in
 * milliseconds, and only `runAt` is absolute. `errand/conformance` proves an implementation.
 *
 * These rules hold:
 * - Every call is a batch and returns its answers in the order of its arguments.
 * - Every transition of a running job is a compare-and-set on (id, token). A stale caller gets `'stale'` and changes nothing.
 * - A transition is one atomic step: state, counters, output, follow-ups, unique key, needs.
 * - Texts are well-formed Unicode without NUL, names and keys have no control characters: callers check that.
 * - What could not be read back is refused with `invalid-option`: the whole call, before it has written anything. Times are
 *   whole milliseconds up to 100 years, `runAt` at most as far from now, priorities −1000…1000, counters whole numbers from 0.
 * - A stored job that cannot be read all the same, because something else wrote it, is handed out as `unreadable`, and no call
 *   fails because of it.
 */
import type { Clock } from '../core/clock.ts'
import type { Intake } from './intake.ts'
import type { LockCalls } from './locks.ts'
import type { Operators } from './operators.ts'
import type { Readers } from './readers.ts'
import type { Records } from './records.ts'
import type { Registry } from './registry.ts'
import type { WorkerCalls } from './worker-calls.ts'

/** The full contract of a store, composed of one interface per kind of caller. */
export interface Store
  extends Intake, WorkerCalls, Readers, Operators, Registry, Records, LockCalls {
  readonly info: StoreInfo
  readonly clock: Clock
  /** How a thread or another process of this program opens the same store; null when it cannot (a live client was handed in). */
  readonly connector: Connector | null
  /** Creates or upgrades what the store needs; safe from many processes at once. Other calls do it themselves when it is missing. */
  setup(): Promise<void>
  /** Returns warnings about settings that endanger or slow down jobs. `'try'` also runs checks that take seconds; `errand doctor` uses it. */
  warnings(how: 'ask' | 'try'): Promise<readonly Warning[]>
  /** Releases connections, files and timers. Later calls reject with `closed`. */
  close(): Promise<void>
}

export interface StoreInfo {
  /** `'memory'`, `'sqlite'`, `'postgres'`, `'redis'`, `'http'`, or the name of someone's own. */
  readonly kind: string
  /** Where it is, without credentials. */
  readonly location: string
  /** What survives when `enqueue` has resolved, in a few words. */
  readonly durability: string
  /** Whether its calls go one after another, so that those sent at once only wait for each other; false when left out. */
  readonly serial?: boolean
  /**
   * How many jobs and needs together one insert takes in some ten milliseconds: a large run is stored in steps of so many;
   * `usualStepWeight` when left out.
   */
  readonly stepWeight?: number
  /**
   * The longest lease, in milliseconds, that its callers should claim with before they renew it for the first time, since answers get
   * lost on the way; left out where they do not.
   */
  readonly firstLeaseMs?: number
}

/** The weight of a step where a store does not say how many it takes. */
export const usualStepWeight = 402

/** Names a module whose `connect(argument)` returns the same store again. Both parts can be sent to a thread. */
export interface Connector {
  /** The URL of a file that does nothing else when it is imported; null where there is none, as in a bundle. */
  readonly module: string | null
  readonly argument: unknown
}

/** What puts jobs at risk, and what to do about it. */
export interface Warning {
  readonly text: string
  readonly advice: string
}
