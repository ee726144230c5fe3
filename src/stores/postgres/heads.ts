/**
 * From where to look for ready work, when the head of a queue is full of rows that are gone but cannot be cleared away, because a
 * transaction is held open somewhere: then every walk from the beginning steps over all of them.
 *
 * Modes: from the beginning (the ordinary one, in strict order) → from where the last claim ended, entered when a walk was slow, and left
 * again after a few times as long as that walk took, to see whether work came to lie before.
 */
import { column, texts } from './rows.ts'

const slowWalkMs = 20
/** One slow walk may be chance. */
const slowInARow = 3
/** The share of time that walks from the beginning may take: one in so many. */
const restFactor = 5

interface Head {
  /** Where the last claim ended: priority, place and number, as the store writes them. */
  end: string | null
  /** Until then, by this process's clock, the walk begins there. */
  until: number
  slow: number
}

export class Heads {
  readonly #heads = new Map<string, Head>()
  #startedAt = 0

  /** The places after which to look, for each queue, as an array of the server; null for the beginning everywhere. */
  after(queues: readonly string[]): string | null {
    this.#startedAt = performance.now()
    if (this.#heads.size === 0) return null
    const places = queues.map((queue) => {
      const head = this.#heads.get(queue)
      return head !== undefined && head.until > this.#startedAt ? head.end : null
    })
    return column(places, texts)
  }

  /** Learns how long a walk took and where it ended. Answers when to look again from the beginning; null when that was done. */
  walked(queues: readonly string[], walkMs: number, ends: string): number | null {
    const now = performance.now()
    const found = new Map<string, string>()
    for (const line of ends.split('\n')) {
      const [queue = '', end = ''] = line.split('\t')
      if (end !== '') found.set(queue, end)
    }
    let until = 0
    for (const queue of queues) {
      const head = this.#heads.get(queue)
      const end = found.get(queue)
      if (head !== undefined && head.until > this.#startedAt) {
        if (end !== undefined) head.end = end
        until = Math.max(until, head.until)
      } else if (walkMs < slowWalkMs) {
        this.#heads.delete(queue)
      } else {
        const slow = (head?.slow ?? 0) + 1
        const rests = slow >= slowInARow && end !== undefined
        this.#heads.set(queue, {
          end: end ?? null,
          slow,
          until: rests ? now + walkMs * restFactor : 0,
        })
      }
    }
    return until === 0 ? null : Math.max(1, Math.ceil(until - now))
  }
}
