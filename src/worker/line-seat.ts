/** The seat of one job: a slot of its worker, and one of its queue. */
import type { Seat } from './attempt.ts'
import type { ServedQueue } from './served-queue.ts'

/** Who has the seats: it counts them, and hands those that are left to the next. */
export interface Seats {
  /** The line of a queue: one that had nothing to do for a while may be another by now. */
  lineOf(queue: string): ServedQueue
  hasSlot(line: ServedQueue): boolean
  took(line: ServedQueue, quarantined: 0 | 1): void
  freed(line: ServedQueue, quarantined: 0 | 1): void
}

export class LineSeat implements Seat {
  readonly #seats: Seats
  #line: ServedQueue
  readonly #quarantined: 0 | 1

  constructor(seats: Seats, line: ServedQueue, quarantined: 0 | 1) {
    this.#seats = seats
    this.#line = line
    this.#quarantined = quarantined
  }

  get isFree(): boolean {
    return this.#seats.hasSlot(this.#seats.lineOf(this.#line.name))
  }

  leave(): void {
    this.#seats.freed(this.#line, this.#quarantined)
  }

  take(): void {
    this.#line = this.#seats.lineOf(this.#line.name)
    this.#seats.took(this.#line, this.#quarantined)
  }
}
