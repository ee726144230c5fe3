/** What runs around handlers: for tracing, tenants, and the like. */
import { ErrandError } from './errors.ts'
import type { RunningJob } from './running-job.ts'

/**
 * Runs around a handler and returns what `next()` gives, which is the output. What it throws fails
 * the attempt as a throw of the handler would.
 */
export type Wrap<Context = unknown> = <Output>(
  job: RunningJob<Context>,
  next: () => Promise<Output>,
) => Output | Promise<Output>

/** Calls what is wrapped, once; without a wrap at once. */
export function wrapped(wrap: Wrap<never> | null, job: RunningJob, run: () => unknown): unknown {
  if (wrap === null) return run()
  let isCalled = false
  const next = async (): Promise<unknown> => {
    if (isCalled)
      throw new ErrandError('invalid-option', 'A wrap calls next() once; this one did it twice.')
    isCalled = true
    return run()
  }
  return wrap(job as RunningJob<never>, next)
}
