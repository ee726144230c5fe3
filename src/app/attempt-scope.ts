/** What code that is called by a handler may know of the attempt around it, without being handed its job. */
import { AsyncLocalStorage } from 'node:async_hooks'

/** The attempt in which code runs. */
export interface AttemptScope {
  /** When the attempt times out, by the store's clock; `Infinity` for never. */
  readonly deadline: number
  /** Aborts on timeout, cancel, stop and loss of the lease. */
  readonly signal: AbortSignal
  readonly job: { readonly id: string; readonly queue: string; readonly task: string }
}

/** Holds the scope while a handler runs: the worker sets it, waits for results are bounded by it. */
export const attemptScope: AsyncLocalStorage<AttemptScope> = new AsyncLocalStorage()
