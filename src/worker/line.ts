/**
 * One queue as a worker serves it: its limit, what runs of it, and a small buffer of claimed jobs. The buffer holds what the
 * line is measured to start within a few tens of milliseconds: nothing for long jobs, hundreds for short ones.
 */
import type { Held } from './endings.ts'

/** Bounds of a buffer, in jobs and milliseconds. */
export const buffer = {
  most: 500,
  /** It lasts this long, and two round trips to the store longer, */
  aheadMs: 30,
  /** but no longer than this. */
  mostAheadMs: 60,
  /** The shortest time in which the speed of a line is measured. */
  measureMs: 10,
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
  /** The number of the last claim that found something. */
  givenIn = 0
  /** A place that is kept for a job that was lost, while a claim asks for one: 1, else 0. */
  reserved = 0
  /** Whether jobs that were lost have waited long for their turn. */
  turnDue = false
  #turnAt = -Infinity
  #target = 0
  #buffered: Buffered[] = []
  /** Jobs started since the given time. */
  #started = 0
  #measuredAt = 0

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

  /** Takes in jobs of a claim that took so long. */
  add(jobs: readonly Buffered[], tookMs: number): void {
    const [first] = jobs
    if (first === undefined) return
    for (const job of jobs) this.#buffered.push(job)
    const sinceMs = first.at - this.#measuredAt
    if (sinceMs < buffer.measureMs) return
    const aheadMs = Math.min(buffer.aheadMs + 2 * tookMs, buffer.mostAheadMs)
    this.#target = Math.min(buffer.most, Math.floor((this.#started / sinceMs) * aheadMs))
    this.#started = 0
    this.#measuredAt = first.at
  }

  /** The next job to start, if one may. */
  next(): Buffered | undefined {
    if (this.running + Math.max(this.reserved, this.turnDue ? 1 : 0) >= this.limit) return undefined
    const next = this.#buffered.shift()
    if (next !== undefined) this.#started++
    return next
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

  /** Empties the buffer if its first job has waited too long; it grows anew when jobs are fast again. */
  drainIfSlow(now: number): readonly Buffered[] {
    const [first] = this.#buffered
    if (first === undefined || now - first.at < buffer.longestMs) return []
    this.#target = 0
    this.#started = 0
    this.#measuredAt = now
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
