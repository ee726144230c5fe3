/**
 * Lets inserts that are in flight together travel as one, without any of them waiting on a timer.
 *
 * Plain jobs and unique jobs go in lanes of their own, so that a lock on a unique key holds up no other job.
 * A lane is in one of three modes:
 * - idle: nothing waits. The first insert makes it gather.
 * - gathering: a flush is set for the end of this turn of the event loop.
 * - flushing: one batch is under way; what arrives meanwhile waits for the next. When it is done the lane gathers
 *   again if anything waits, so that callers who were just answered can join, else it is idle.
 */
import { ErrandError, isErrandError, type ErrandErrorCode } from '../core/errors.ts'
import { setImmediate } from '../core/timers.ts'
import type { Inserted, NewJob } from '../store.ts'
import { keepAlive } from './keep-alive.ts'

/** Bounds of one batch, and of all that may wait. */
export const coalescerBounds = {
  batchJobs: 1_000,
  /** Characters of input and options. */
  batchChars: 4_000_000,
  pendingJobs: 50_000,
} as const

/** Inserts a batch, as a store does. */
export type InsertBatch = (jobs: readonly NewJob[]) => Promise<readonly Inserted[]>

interface Pending {
  readonly job: NewJob
  readonly resolve: (inserted: Inserted) => void
  readonly reject: (error: unknown) => void
}

/** Gathers single inserts into batches. */
export class Coalescer {
  readonly #plain: Lane
  readonly #unique: Lane

  constructor(insert: InsertBatch) {
    this.#plain = new Lane(insert, (batch) => batch)
    this.#unique = new Lane(insert, byKey)
  }

  /** Inserts one job with the next batch. Rejects with `overloaded` when too many wait, and with the store's errors. */
  add(job: NewJob): Promise<Inserted> {
    if (this.#plain.pending + this.#unique.pending >= coalescerBounds.pendingJobs) {
      return Promise.reject(overloaded())
    }
    const lane = job.unique === null ? this.#plain : this.#unique
    return new Promise((resolve, reject) => lane.add({ job, resolve, reject }))
  }

  /** Resolves when nothing waits any more. */
  async drain(): Promise<void> {
    await Promise.all([this.#plain.drain(), this.#unique.drain()])
  }
}

class Lane {
  readonly #insert: InsertBatch
  readonly #arrange: (batch: readonly Pending[]) => readonly Pending[]
  #waiting: Pending[] = []
  #inFlight = 0
  #idle = true
  readonly #onIdle: (() => void)[] = []

  constructor(insert: InsertBatch, arrange: (batch: readonly Pending[]) => readonly Pending[]) {
    this.#insert = insert
    this.#arrange = arrange
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
    await insertBatch(this.#insert, this.#arrange(batch))
    letGo()
    this.#inFlight = 0
    if (this.#waiting.length > 0) return this.#gather()
    this.#idle = true
    for (const resolve of this.#onIdle.splice(0)) resolve()
  }

  #take(): readonly Pending[] {
    let count = 0
    let chars = 0
    for (const { job } of this.#waiting) {
      chars += job.input.length + (job.options?.length ?? 0)
      if (count > 0 && chars > coalescerBounds.batchChars) break
      if (++count === coalescerBounds.batchJobs) break
    }
    if (count < this.#waiting.length) return this.#waiting.splice(0, count)
    const all = this.#waiting
    this.#waiting = []
    return all
  }
}

/** Sorted by key, so that all processes lock keys in one order; jobs of one key stay in the order of their calls. */
function byKey(batch: readonly Pending[]): readonly Pending[] {
  return batch.toSorted((a, b) => compare(a.job.unique?.key ?? '', b.job.unique?.key ?? ''))
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

/** Inserts a batch and answers each of its callers. One that a job spoils is halved until the culprit alone gets the error. */
async function insertBatch(insert: InsertBatch, batch: readonly Pending[]): Promise<void> {
  try {
    const answers = await insert(batch.map(({ job }) => job))
    for (let i = 0; i < batch.length; i++) answer(batch[i], answers[i])
  } catch (error) {
    if (batch.length === 1 || isOfStore(error)) {
      for (const { job, reject } of batch)
        reject(isErrandError(error, 'unknown-outcome') ? withId(error, job) : error)
      return
    }
    const middle = batch.length >> 1
    await insertBatch(insert, batch.slice(0, middle))
    await insertBatch(insert, batch.slice(middle))
  }
}

function answer(pending: Pending | undefined, inserted: Inserted | undefined): void {
  if (inserted !== undefined) pending?.resolve(inserted)
  else
    pending?.reject(
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
