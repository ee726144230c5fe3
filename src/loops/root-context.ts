/**
 * The async context of the program itself. A worker that is started inside a request would run its
 * handlers in that request's context for ever: with its tenant, its trace, its transaction.
 */
import { AsyncLocalStorage } from 'node:async_hooks'

/**
 * Calls a function, and all that follows from it, outside of any request: in the context in which
 * Errand was loaded.
 */
export const inRootContext: <R, Args extends unknown[]>(
  call: (...args: Args) => R,
  ...args: Args
) => R = AsyncLocalStorage.snapshot()
