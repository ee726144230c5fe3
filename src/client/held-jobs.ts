/**
 * Jobs that a transaction of a user keeps from being stored, mostly since it has taken their unique key and is still open. They are sent
 * again, all together and apart from jobs that nobody keeps, until that transaction has ended or their callers have waited long enough.
 */
import { sleep, type Clock } from '../core/clock.ts'
import { formatMs } from '../core/duration.ts'
import { ErrandError } from '../core/errors.ts'
import type { NewJob } from '../store/job.ts'
import { countOf, type Pending } from './insert-batch.ts'
import { keepAlive } from '../loops/keep-alive.ts'
import { performance } from '../core/timers.ts'

/** The pauses between two tries, doubled from the first, and for how long a caller waits, in ms. */
const bounds = { firstPauseMs: 25, mostPauseMs: 250, callerMs: 4_000 } as const

/** Inserts a batch and answers its callers; hands those to `held` that are to wait. */
type Insert = (batch: readonly Held[], held: (one: Held) => void) => Promise<void>

interface Held extends Pending {
  /** When the caller has waited for long enough, by the clock of the process. */
  readonly until: number
}

export class HeldJobs {
  readonly #clock: Clock
  readonly #insert: Insert
  readonly #waiting: Held[] = []
  #inFlight = 0
  #isRunning = false

  constructor(clock: Clock, insert: Insert) {
    this.#clock = clock
    this.#insert = insert
  }

  get pending(): number {
    return this.#waiting.length + this.#inFlight
  }

  add(pending: Pending): void {
    this.#waiting.push({ ...pending, until: performance.now() + bounds.callerMs })
    if (!this.#isRunning) void this.#run()
  }

  async #run(): Promise<void> {
    this.#isRunning = true
    const letGo = keepAlive()
    for (let pauseMs: number = bounds.firstPauseMs; this.#waiting.length > 0;) {
      await sleep(this.#clock, pauseMs * (0.5 + Math.random()))
      const batch = this.#waiting.splice(0, countOf(this.#waiting))
      this.#inFlight = batch.length
      await this.#insert(batch, (held) => this.#again(held))
      this.#inFlight = 0
      pauseMs = Math.min(2 * pauseMs, bounds.mostPauseMs)
    }
    letGo()
    this.#isRunning = false
  }

  #again(held: Held): void {
    if (performance.now() < held.until) this.#waiting.push(held)
    else held.reject(heldError(held.job))
  }
}

function heldError({ id, task }: NewJob): ErrandError {
  return new ErrandError(
    'store-busy',
    `An open transaction has held what this job of ${task} needs for ${formatMs(bounds.callerMs)}, most likely its unique key. The job was not stored: end that transaction, then enqueue it again.`,
    { details: { id } },
  )
}
