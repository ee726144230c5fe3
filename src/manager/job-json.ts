/** Jobs as the API shows them: the records of `errand.jobs`, with every time as an ISO text. */
import type { JobRecord } from '../client/job-record.ts'
import type { KeptError } from '../core/job.ts'

/** A record for `JSON.stringify`, which writes its dates itself. */
export function jobJson(job: JobRecord): Readonly<Record<string, unknown>> {
  return {
    ...job,
    errors: job.errors.map(errorJson),
    runs: job.runs.map((run) => ({
      ...run,
      error: run.error === null ? null : errorJson(run.error),
    })),
  }
}

/** A kept error with its time as a text. */
export function errorJson(error: KeptError): Readonly<Record<string, unknown>> {
  return { ...error, at: isoOf(error.at) }
}

/** A time of the store; what is no time, because something else wrote it, is null. */
export function isoOf(ms: number | null): string | null {
  if (ms === null) return null
  const date = new Date(ms)
  return Number.isFinite(date.getTime()) ? date.toISOString() : null
}
