/**
 * One queue as a worker serves it: its limit, what runs of it, and a small buffer of claimed jobs whose size follows from
 * how fast its jobs end.
 */
import type { Held } from './endings.ts'

/** Bounds of a buffer, in jobs and milliseconds. */
export const buffer = {
  /** The first size that a line grows to. */
  first: 8,
  most: 500,
  /** A line that ran empty this soon after a claim is given twice the buffer. */
  fastMs: 25,
  /** One whose last buffered job waited longer than this is given half of it. */
  slowMs: 50,
  /** A job that waits longer is given back, */
  longestMs: 75,
  /** seen by a look each so often. */
  lookMs: 25,
} as const

/** Jobs that were lost get their turn at least this often under any load, if a slot ends that often. */
const suspectTurnMs = 1_000

/** A claimed job in a buffer. */
export interface Buffered extends Held {
  /** When it was claimed. */
  readonly at: number
}

export class Line {
  readonly name: string
  readonly limit: number
  running = 0
  /** Whether a claim may find something: until one found less than it asked for. */
  likely = true
  /** Whether the last claim found anything. */
  busy = true
  /** A place that is kept for a job that was lost, while a claim asks for one: 1, else 0. */
  reserved = 0
  /** Whether jobs that were lost have waited long for their turn. */
  turnDue = false
  #turnAt = -Infinity
  #target = 0
  #buffered: Buffered[] = []
  #claimedAt = 0
  #judged = true

  constructor(name: string, limit: number) {
    this.name = name
    this.limit = limit
  }

  get target(): number {
    return this.#target
  }

  get buffered(): number {
    return this.#buffered.length
  }

  /** Whether its own limit lets another job start. */
  get hasRoom(): boolean {
    return this.running < this.limit
  }

  /** How many jobs to ask for. */
  get wanted(): number {
    return this.limit - this.running + this.#target - this.#buffered.length
  }

  /** Takes in claimed jobs. */
  add(jobs: readonly Buffered[]): void {
    for (const job of jobs) this.#buffered.push(job)
    this.#claimedAt = jobs[0]?.at ?? 0
    this.#judged = false
  }

  /** The next job to start, if one may; `now` is asked for only when the buffer ran empty. */
  next(now: () => number): Buffered | undefined {
    if (this.running + Math.max(this.reserved, this.turnDue ? 1 : 0) >= this.limit) return undefined
    const next = this.#buffered.shift()
    if (next !== undefined && this.#buffered.length === 0 && now() - next.at > buffer.slowMs) {
      this.#judged = true
      this.#target = Math.floor(this.#target / 2)
    }
    return next
  }

  /** A run has ended. One that ends soon after a claim and finds nothing to follow it shows that the buffer is too small. */
  ended(now: () => number): void {
    this.running--
    if (this.#judged || this.#buffered.length > 0) return
    this.#judged = true
    if (now() - this.#claimedAt > buffer.fastMs) return
    this.#target = Math.min(buffer.most, Math.max(buffer.first, this.#target * 2))
  }

  /** Takes one job out of the buffer. */
  take(id: string, token: number): Buffered | undefined {
    const index = this.#buffered.findIndex(({ job }) => job.id === id && job.token === token)
    return index < 0 ? undefined : this.#buffered.splice(index, 1)[0]
  }

  /** Empties the buffer. */
  drain(): readonly Buffered[] {
    const all = this.#buffered
    this.#buffered = []
    return all
  }

  /** Empties the buffer if its first job has waited too long; it grows anew once jobs are seen to be fast. */
  drainIfSlow(now: number): readonly Buffered[] {
    const [first] = this.#buffered
    if (first === undefined || now - first.at < buffer.longestMs) return []
    this.#target = 0
    return this.drain()
  }

  /** Notes whether a claim of now asks for jobs of this line that were lost. */
  turn(asks: boolean, now: number): void {
    if (asks) this.#turnAt = now
    this.turnDue = !asks && this.waitsForTurn(now)
  }

  /** Whether no claim has asked for jobs that were lost for a while. */
  waitsForTurn(now: number): boolean {
    return now - this.#turnAt >= suspectTurnMs
  }
}
