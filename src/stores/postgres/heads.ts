/**
 * From where to look for ready work, when the head of a queue is full of rows that are gone but cannot be cleared away, because a
 * transaction is held open somewhere: then every walk from the beginning steps over all of them.
 *
 * Modes of a queue: from the beginning (the ordinary one, in strict order) → in each priority from where the last claim ended there,
 * entered when a walk stepped over many dead rows, and left again after some times as long as such a walk takes, or when nothing was found there, to see whether work came
 * to lie before.
 *
 * The same holds for the search for queues that were not named: where it met dead rows of many
 * names, and no queue that it found had work, it rests as long. A claim asks for named queues only
 * meanwhile, unless these have nothing either.
 */
import { performance } from '../../core/timers.ts'

/** As many dead rows are stepped over in a fraction of a millisecond. */
const manyDead = 500
/** More than these are not stepped over again only because nothing was found behind them. */
const tooManyDead = 50_000
/** A dead row costs about 0.3 µs: walks from the beginning may take a seventh of the time. */
const restMsPerDead = 0.002
const shortestRestMs = 10

interface Head {
  /** Where claims ended, by priority: priority, place and number, as the store writes them. */
  readonly ends: Map<number, string>
  /** Until then, by this process's clock, the walk begins there. */
  until: number
  /** How many dead rows the last walk from the beginning stepped over. */
  readonly dead: number
}

/** For each queue of a claim the places after which to look, by rising priority; null for the beginning. */
export type Places = readonly (string | null)[]

export class Heads {
  readonly #heads = new Map<string, Head>()
  /** Until then, by this process's clock, queues that were not named are left alone. */
  #othersUntil = 0
  /** How many rows the last search for them read. */
  #searched = 0

  after(queues: readonly string[]): Places {
    if (this.#heads.size === 0) return []
    const now = performance.now()
    return queues.map((queue) => {
      const head = this.#heads.get(queue)
      return head !== undefined && head.until > now ? placesOf(head.ends) : null
    })
  }

  /** Learns what a walk stepped over and where it ended. Answers when to look from the beginning again; null when that was done. */
  walked(queues: readonly string[], after: Places, dead: number, ends: string): number | null {
    if (this.#heads.size === 0 && dead < manyDead) return null
    const now = performance.now()
    const found = endsOf(ends)
    let until = 0
    for (const [index, queue] of queues.entries()) {
      const head = this.#heads.get(queue)
      const ends = found.get(queue)
      if (head !== undefined && (after[index] ?? null) !== null) {
        for (const [priority, end] of ends ?? []) head.ends.set(priority, end)
        until = Math.max(until, head.until)
      } else if (dead >= manyDead && ends !== undefined) {
        const all = new Map([...(head?.ends ?? []), ...ends])
        this.#heads.set(queue, { ends: all, dead, until: now + restMsOf(dead) })
      } else {
        this.#heads.delete(queue)
      }
    }
    return until === 0 ? null : Math.max(1, Math.ceil(until - now))
  }

  /** Whether the search for queues that were not named rests. */
  leavesOthers(): boolean {
    return this.#othersUntil > performance.now()
  }

  /** Learns how many rows that search read, and whether a queue that it found gave jobs. */
  searched(rows: number, found: boolean): void {
    this.#searched = rows
    const rests = rows >= manyDead && !found
    this.#othersUntil = rests ? performance.now() + restMsOf(rows) : 0
  }

  /** For how long that search rests; null when it does not. */
  othersRestMs(): number | null {
    const ms = Math.ceil(this.#othersUntil - performance.now())
    return ms > 0 ? ms : null
  }

  /** Whether a claim that found nothing is to be repeated with that search; then it will be. */
  mayAskOthers(): boolean {
    if (this.#searched > tooManyDead) return false
    this.#othersUntil = 0
    return true
  }

  /** Whether a claim that found nothing is to be repeated from the beginning at once; then it will be. */
  mayLookBefore(queues: readonly string[], after: Places): boolean {
    let may = false
    for (const [index, queue] of queues.entries()) {
      const head = this.#heads.get(queue)
      if (head === undefined || (after[index] ?? null) === null || head.dead > tooManyDead) continue
      head.until = 0
      may = true
    }
    return may
  }
}

function restMsOf(dead: number): number {
  return Math.max(shortestRestMs, dead * restMsPerDead)
}

function placesOf(ends: ReadonlyMap<number, string>): string {
  const rising = [...ends].sort(([a], [b]) => a - b)
  return rising.map(([, end]) => end).join(';')
}

function endsOf(text: string): Map<string, Map<number, string>> {
  const found = new Map<string, Map<number, string>>()
  for (const line of text.split('\n')) {
    const [queue = '', end = ''] = line.split('\t')
    if (end === '') continue
    const ends = found.get(queue) ?? new Map<number, string>()
    found.set(queue, ends.set(Number.parseInt(end, 10), end))
  }
  return found
}
