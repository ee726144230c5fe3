/** A batch of jobs whose callers wait, each for its own answer. */
import { ErrandError, isErrandError, type ErrandErrorCode } from '../core/errors.ts'
import type { InsertAnswer, Inserted } from '../store/intake.ts'
import type { NewJob } from '../store/job.ts'

/** Bounds of one batch, and of all that may wait. */
export const coalescerBounds = {
  batchJobs: 1_000,
  /** Characters of input and options. */
  batchChars: 4_000_000,
  pendingJobs: 50_000,
} as const

/** Inserts a batch, as a store does. */
export type InsertBatch = (jobs: readonly NewJob[]) => Promise<readonly InsertAnswer[]>

/** A job whose caller waits. */
export interface Pending {
  readonly job: NewJob
  readonly resolve: (inserted: Inserted) => void
  readonly reject: (error: unknown) => void
}

/** How many of those that wait, from the first, go with one batch. */
export function countOf(waiting: readonly { readonly job: NewJob }[]): number {
  let count = 0
  let chars = 0
  for (const { job } of waiting) {
    chars += job.input.length + (job.options?.length ?? 0)
    if (count > 0 && chars > coalescerBounds.batchChars) break
    if (++count === coalescerBounds.batchJobs) break
  }
  return count
}

/**
 * Inserts a batch and answers each of its callers, but hands over those that are held. A batch that a job spoils is halved until the
 * culprit alone gets the error.
 */
export async function insertBatch<One extends Pending>(
  insert: InsertBatch,
  batch: readonly One[],
  held: (pending: One) => void,
): Promise<void> {
  try {
    const answers = await insert(batch.map(({ job }) => job))
    for (const [index, pending] of batch.entries()) {
      const inserted = answers[index]
      if (inserted?.status === 'held') held(pending)
      else answer(pending, inserted)
    }
  } catch (error) {
    if (batch.length === 1 || isOfStore(error)) {
      for (const { job, reject } of batch)
        reject(isErrandError(error, 'unknown-outcome') ? withId(error, job) : error)
      return
    }
    const middle = batch.length >> 1
    await insertBatch(insert, batch.slice(0, middle), held)
    await insertBatch(insert, batch.slice(middle), held)
  }
}

/** Whether an answer is that of a job which is stored. `stale` is never the answer to a call without advances. */
export function isStored(answer: InsertAnswer): answer is Inserted {
  return answer.status !== 'held' && answer.status !== 'stale'
}

function answer(pending: Pending, inserted: InsertAnswer | undefined): void {
  if (inserted !== undefined && isStored(inserted)) pending.resolve(inserted)
  else
    pending.reject(
      new ErrandError('store-corrupt', 'The store answered fewer jobs than it was given.'),
    )
}

/** Errors that say something of the store or of the moment, not of a job: halving would only repeat them. */
const codesOfStore: readonly ErrandErrorCode[] = [
  'store-busy',
  'store-unavailable',
  'store-corrupt',
  'store-too-new',
  'store-replaced',
  'unknown-outcome',
  'overloaded',
  'closed',
  'timeout',
  'missing-peer',
  'invalid-config',
]

function isOfStore(error: unknown): boolean {
  return isErrandError(error) && codesOfStore.includes(error.code)
}

/** Tells a caller which of its jobs may or may not be stored, so that it can insert the same id again. */
export function withId(error: ErrandError, job: NewJob): ErrandError {
  return new ErrandError('unknown-outcome', error.message, {
    cause: error,
    details: { ...error.details, id: job.id },
  })
}
