/** Waiting for the end of a job, and how an end is answered. */
import { isErrandError, type ErrandError, type ErrandErrorCode } from '../core/errors.ts'
import type { JobState, KeptError } from '../core/job.ts'
import type { Managed } from './managed.ts'
import { errorJson } from './job-json.ts'

/** The state of a job, for a caller that asks for its output. */
export type End =
  | { readonly kind: 'completed'; readonly output: unknown }
  /** It ended without an output: the error of `errand.jobs.result` says how. */
  | { readonly kind: 'ended'; readonly error: ErrandError }
  | { readonly kind: 'missing'; readonly error: ErrandError }
  /** It has not ended; null where its state was not seen. */
  | { readonly kind: 'open'; readonly state: JobState | null }

/**
 * Waits until a job has ended, the time is over, or the signal aborts. All waits of a process share
 * one read. Rejects with errors of the store.
 */
export async function endOf(
  errand: Managed,
  id: string,
  waitMs: number,
  signal: AbortSignal,
): Promise<End> {
  try {
    return { kind: 'completed', output: await errand.jobs.result(id, { timeout: waitMs, signal }) }
  } catch (error) {
    if (signal.aborted) return { kind: 'open', state: null }
    if (!isErrandError(error)) throw error
    return endOfError(error)
  }
}

/** Throws what says nothing of the job. */
function endOfError(error: ErrandError): End {
  if (ended.some((code) => error.code === code)) return { kind: 'ended', error }
  if (gone.some((code) => error.code === code)) return { kind: 'missing', error }
  if (error.code !== 'result-timeout') throw error
  const state = error.details['state'] as JobState | null
  // Nothing was read at all: the store is away, and the cause says how.
  if (state === null && isErrandError(error.cause)) throw error.cause
  return { kind: 'open', state }
}

const ended: readonly ErrandErrorCode[] = ['job-failed', 'job-cancelled', 'job-discarded']
const gone: readonly ErrandErrorCode[] = ['job-missing', 'result-gone']

/** The details of an end without output, with times as texts. */
export function endDetails({ details }: ErrandError): Readonly<Record<string, unknown>> {
  const errors = details['errors'] as readonly KeptError[] | undefined
  return errors === undefined ? details : { ...details, errors: errors.map(errorJson) }
}
