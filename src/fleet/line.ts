/** How code in a child speaks with its worker. */
import type { FromChild, ToChild } from './messages.ts'

export interface Line {
  /** Throws what cannot be copied. */
  send(message: FromChild): void
  /** Calls with each message from now on. */
  listen(hear: (message: ToChild) => void): void
  /** Resolves once what was written to the standard streams has reached the worker. */
  flush(): Promise<void> | null
  /** Ends the thread or process. */
  exit(): void
}
