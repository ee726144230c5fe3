/**
 * Lets inserts that are in flight together travel as one, without any of them waiting on a timer.
 *
 * Plain jobs and unique jobs go in lanes of their own, so that a lock on a unique key holds up no other job. A job that the store answers
 * as held leaves its lane, so that those behind it go on: see `HeldJobs`.
 * A lane is in one of three modes:
 * - idle: nothing waits. The first insert makes it gather.
 * - gathering: a flush is set for the end of this turn of the event loop.
 * - flushing: one batch is under way; what arrives meanwhile waits for the next. When it is done the lane gathers
 *   again if anything waits, so that callers who were just answered can join, else it is idle.
 */
import { ErrandError, isErrandError, type ErrandErrorCode } from '../core/errors.ts'
import type { Clock } from '../core/clock.ts'
import type { InsertAnswer, Inserted, NewJob } from '../store.ts'
import { HeldJobs } from './held-jobs.ts'
import { keepAlive } from './keep-alive.ts'

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

/** Gathers single inserts into batches. */
export class Coalescer {
  readonly #plain: Lane
  readonly #unique: Lane
  readonly #held: HeldJobs

  constructor(clock: Clock, insert: InsertBatch) {
    this.#held = new HeldJobs(clock, (batch, held) => insertBatch(insert, batch, held))
    const flush = (batch: readonly Pending[]): Promise<void> =>
      insertBatch(insert, batch, (pending) => this.#held.add(pending))
    this.#plain = new Lane(flush)
    this.#unique = new Lane((batch) => flush(byKey(batch)))
  }

  /** Inserts one job with the next batch. Rejects with `overloaded` when too many wait, and with the store's errors. */
  add(job: NewJob): Promise<Inserted> {
    const pending = this.#plain.pending + this.#unique.pending + this.#held.pending
    if (pending >= coalescerBounds.pendingJobs) return Promise.reject(overloaded())
    const lane = job.unique === null ? this.#plain : this.#unique
    return new Promise((resolve, reject) => lane.add({ job, resolve, reject }))
  }

  /** Inserts one job that the store has answered as held, once it is not any more. Rejects as `add` does. */
  addHeld(job: NewJob): Promise<Inserted> {
    return new Promise((resolve, reject) => this.#held.add({ job, resolve, reject }))
  }

  /** Resolves when nothing waits any more. */
  async drain(): Promise<void> {
    await Promise.all([this.#plain.drain(), this.#unique.drain()])
    await this.#held.drain()
  }
}

class Lane {
  readonly #insert: (batch: readonly Pending[]) => Promise<void>
  #waiting: Pending[] = []
  #inFlight = 0
  #idle = true
  readonly #onIdle: (() => void)[] = []

  constructor(insert: (batch: readonly Pending[]) => Promise<void>) {
    this.#insert = insert
  }

  get pending(): number {
    return this.#waiting.length + this.#inFlight
  }

  add(pending: Pending): void {
    this.#waiting.push(pending)
    if (this.#idle) this.#gather()
  }

  drain(): Promise<void> {
    return this.#idle ? Promise.resolve() : new Promise((resolve) => this.#onIdle.push(resolve))
  }

  #gather(): void {
    this.#idle = false
    setImmediate(() => void this.#flush())
  }

  async #flush(): Promise<void> {
    const batch = this.#take()
    this.#inFlight = batch.length
    const letGo = keepAlive()
    await this.#insert(batch)
    letGo()
    this.#inFlight = 0
    if (this.#waiting.length > 0) return this.#gather()
    this.#idle = true
    for (const resolve of this.#onIdle.splice(0)) resolve()
  }

  #take(): readonly Pending[] {
    const count = countOf(this.#waiting)
    if (count < this.#waiting.length) return this.#waiting.splice(0, count)
    const all = this.#waiting
    this.#waiting = []
    return all
  }
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

/** Sorted by key, so that all processes lock keys in one order; jobs of one key stay in the order of their calls. */
function byKey(batch: readonly Pending[]): readonly Pending[] {
  return batch.toSorted((a, b) => compare(a.job.unique?.key ?? '', b.job.unique?.key ?? ''))
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

/**
 * Inserts a batch and answers each of its callers, but hands over those that are held. A batch that a job spoils is halved until the
 * culprit alone gets the error.
 */
async function insertBatch<One extends Pending>(
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

function answer(pending: Pending, inserted: Inserted | undefined): void {
  if (inserted !== undefined) pending.resolve(inserted)
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

function overloaded(): ErrandError {
  return new ErrandError(
    'overloaded',
    `${coalescerBounds.pendingJobs} calls of enqueue wait for the store already. Await some of them, or use enqueueMany.`,
  )
}
