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
import type { Clock } from '../core/clock.ts'
import { ErrandError } from '../core/errors.ts'
import { setImmediate } from '../core/timers.ts'
import type { Inserted } from '../store/intake.ts'
import type { NewJob } from '../store/job.ts'
import { HeldJobs } from './held-jobs.ts'
import {
  coalescerBounds,
  countOf,
  insertBatch,
  type InsertBatch,
  type Pending,
} from './insert-batch.ts'
import { keepAlive } from '../loops/keep-alive.ts'

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
}

class Lane {
  readonly #insert: (batch: readonly Pending[]) => Promise<void>
  #waiting: Pending[] = []
  #inFlight = 0
  #idle = true

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
  }

  #take(): readonly Pending[] {
    const count = countOf(this.#waiting)
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

function overloaded(): ErrandError {
  return new ErrandError(
    'overloaded',
    `${coalescerBounds.pendingJobs} calls of enqueue wait for the store already. Await some of them, or use enqueueMany.`,
  )
}
