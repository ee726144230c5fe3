/** Runs code that an input or a schema of somebody else may keep busy for ever, within a time. */
import { Script } from 'node:vm'
import { ErrandError } from '../core/errors.ts'

/** How the script reaches what it calls. */
const hook = Symbol.for('errand.guarded')
const script = new Script(`globalThis[Symbol.for('errand.guarded')]()`)

interface Hooked {
  [hook]?: () => void
}

/**
 * Calls a function that does not wait, and interrupts it, even amid a regular expression, after so many milliseconds. Throws what
 * it throws, and `timeout`. Costs about 0.05 ms, for a thread that watches.
 */
export function guarded<T>(make: () => T, withinMs: number): T {
  const global = globalThis as Hooked
  const before = global[hook]
  let answer: { readonly value: T } | null = null
  global[hook] = () => {
    answer = { value: make() }
  }
  try {
    script.runInThisContext({ timeout: withinMs })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_SCRIPT_EXECUTION_TIMEOUT') throw error
    throw new ErrandError('timeout', `It took longer than ${withinMs} ms.`, { cause: error })
  } finally {
    if (before === undefined) delete global[hook]
    else global[hook] = before
  }
  return (answer as unknown as { readonly value: T }).value
}
