/** How many jobs of one call are inserted. */
import { ErrandError, isErrandError } from '../core/errors.ts'
import type { NewJob } from '../store/job.ts'

/** The most jobs of one insert, and the most characters of their inputs. */
export const mostInBatch = 1_000
const mostChars = 16_000_000

/** Jobs in the batches in which they are inserted. */
export function* batchesOf(jobs: readonly NewJob[]): Generator<readonly NewJob[]> {
  let batch: NewJob[] = []
  let chars = 0
  for (const job of jobs) {
    const size = job.input.length + (job.options?.length ?? 0)
    if (batch.length === mostInBatch || (batch.length > 0 && chars + size > mostChars)) {
      yield batch
      batch = []
      chars = 0
    }
    batch.push(job)
    chars += size
  }
  if (batch.length > 0) yield batch
}

/** Tells how far a call came whose later batch failed. */
export function partlyStored(error: unknown, stored: number, all: number): unknown {
  if (!isErrandError(error)) return error
  return new ErrandError(
    error.code,
    `${error.message} The first ${stored} of ${all} jobs were stored.`,
    {
      cause: error,
      details: { ...error.details, stored },
    },
  )
}
