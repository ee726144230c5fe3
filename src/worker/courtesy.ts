/**
 * How a worker gets out of the way of others that know a task which it does not, in one queue.
 *
 * - plain: no job of an unknown task has come for a while.
 * - offering: one has come. It is given back at once, to its old place, and for a moment this
 *   worker takes nothing more from the queue, so that another worker gets it. Jobs that are still
 *   there then are offered again, a few times.
 * - in vain: nobody has taken them. For a while they are put aside as they come, so that what
 *   stands behind them gets its turn.
 *
 * In the last two, and for a minute after, news of work reaches this worker a moment late: who
 * knows all tasks of the queue comes first.
 */

/** Times in milliseconds. */
const courtesy = {
  /** How long the queue is left to others after each offer in a row. */
  restMs: [50, 100, 200],
  /** How long nothing is offered after that, doubled each time from the first. */
  vainMs: 5_000,
  mostVainMs: 60_000,
  /** How much later than others this worker hears of work, */
  lateMs: 100,
  /** for so long after the last job of an unknown task. */
  rememberMs: 60_000,
  /**
   * What was offered and still stands there is met again after at most so many claims; the one
   * under way has been made before.
   */
  claimsUntilBack: 2,
} as const

export class Courtesy {
  #restUntil = -Infinity
  #vainUntil = -Infinity
  #rememberUntil = -Infinity
  /** Offers in a row. */
  #offers = 0
  /** Times in a row that all offers were in vain. */
  #vain = 0
  #claims = 0

  /** Until when nothing may be claimed from the queue. */
  get restUntil(): number {
    return this.#restUntil
  }

  isResting(now: number): boolean {
    return now < this.#restUntil
  }

  /**
   * A job of a task that is not known here has come; returns whether to offer it to others, or else
   * to put it aside.
   */
  meet(now: number): 'offer' | 'aside' {
    if (now >= this.#rememberUntil) this.#vain = 0
    this.#rememberUntil = now + courtesy.rememberMs
    if (now < this.#vainUntil) return 'aside'
    // Others of the same claim.
    if (now < this.#restUntil) return 'offer'
    if (this.#claims > courtesy.claimsUntilBack) this.#offers = this.#vain = 0
    const restMs = courtesy.restMs[this.#offers]
    this.#claims = 0
    if (restMs === undefined) {
      this.#vainUntil = now + Math.min(courtesy.vainMs * 2 ** this.#vain, courtesy.mostVainMs)
      this.#vain++
      this.#offers = 0
      return 'aside'
    }
    this.#offers++
    this.#restUntil = now + restMs
    return 'offer'
  }

  /** A claim has been answered that came to the queue. */
  asked(): void {
    this.#claims++
  }

  /** The queue, which was empty for all that is known here, may have work. */
  news(now: number): void {
    if (now >= this.#rememberUntil) return
    this.#restUntil = Math.max(this.#restUntil, now + courtesy.lateMs)
  }
}
