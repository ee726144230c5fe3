/**
 * One queue as a worker serves it: its limit, what runs of it, and a small buffer of claimed jobs.
 * The buffer holds what the line is measured to start within a few tens of milliseconds, or longer
 * where claims take long: nothing for long jobs, hundreds or more for short ones.
 */
import type { Courtesy } from './courtesy.ts'
import type { Held } from './lease-table.ts'

/** Bounds of a buffer, in jobs and milliseconds. */
export const buffer = {
  most: 2_000,
  /**
   * Their inputs together, in characters: by the average of the last claim, and no claim is sent
   * while all buffers hold so many.
   */
  mostChars: 8_388_608,
  /**
   * It lasts this long, and two claims longer: the next one is sent when half is left, which must
   * last until it returns. So a worker whose claims are slow, as beside many others, makes fewer
   * and larger ones. Were it to keep its buffer short, claims of a few jobs each would slow the
   * store down further.
   */
  aheadMs: 30,
  /** But no longer than this: what stands in a buffer is overtaken by no job of higher priority. */
  mostAheadMs: 200,
  /** The shortest time in which the speed of a line is measured. */
  measureMs: 10,
  /**
   * A job that waits longer is given back, where a buffer is not meant to last that long: then one
   * that waits this many times as long,
   */
  longestMs: 75,
  longestOfAhead: 1.25,
  /** seen by a look each so often. */
  lookMs: 25,
} as const

/** The most jobs that have been started but still stand in a buffer. */
const movedUp = 100

/**
 * Jobs that were lost get their turn at least this often under any load, if a slot ends that often.
 */
const suspectTurnMs = 1_000

/** A claimed job in a buffer. */
export interface Buffered extends Held {
  /** When it was claimed. */
  readonly at: number
}

export class ServedQueue {
  readonly name: string
  readonly limit: number
  /** Shared by the lines of all queues that nobody named. */
  readonly courtesy: Courtesy
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
  /** Since when it has had nothing to do; null while it has. */
  idleSince: number | null = null
  #turnAt = -Infinity
  #target = 0
  /** What its settings say its buffer holds at most. */
  readonly #mostBuffered: number | null
  /** How long a job may wait in the buffer. */
  #longestMs: number = buffer.longestMs
  readonly #buffered: Buffered[] = []
  /** How many of them have been started. */
  #head = 0
  /** Jobs started since the given time. */
  #started = 0
  #measuredAt = 0

  constructor(name: string, limit: number, courtesy: Courtesy, mostBuffered: number | null = null) {
    this.#mostBuffered = mostBuffered
    this.name = name
    this.limit = limit
    this.courtesy = courtesy
  }

  get target(): number {
    return this.#target
  }

  get buffered(): number {
    return this.#buffered.length - this.#head
  }

  get isIdle(): boolean {
    return this.running + this.buffered + this.reserved === 0 && !this.turnDue
  }

  /** Whether its own limit lets another job start. */
  get hasRoom(): boolean {
    return this.running < this.limit
  }

  /** How many jobs to ask for. */
  get wanted(): number {
    return this.limit - this.running + this.#target - this.buffered
  }

  /** The same beside slots that are idle in all: a buffer with a bound of its own counts on no others. */
  wantedNow(idleSlots: number): number {
    if (this.#mostBuffered === null) return this.wanted
    return Math.min(this.wanted, Math.max(0, idleSlots) + this.#mostBuffered - this.buffered)
  }

  /** Takes in jobs of a claim that took so long. */
  add(jobs: readonly Buffered[], tookMs: number): void {
    const [first] = jobs
    if (first === undefined) return
    for (const job of jobs) this.#buffered.push(job)
    const sinceMs = first.at - this.#measuredAt
    if (sinceMs < buffer.measureMs) return
    const aheadMs = Math.min(buffer.aheadMs + 2 * tookMs, buffer.mostAheadMs)
    this.#longestMs = Math.max(buffer.longestMs, buffer.longestOfAhead * aheadMs)
    const perMs = this.#started / sinceMs
    const most = Math.min(buffer.most, this.#mostBuffered ?? buffer.most)
    this.#target = Math.floor(Math.min(most, mostOfSize(jobs), perMs * aheadMs))
    this.#started = 0
    this.#measuredAt = first.at
  }

  /** The next job to start, if one may. */
  next(): Buffered | undefined {
    if (this.running + Math.max(this.reserved, this.turnDue ? 1 : 0) >= this.limit) return undefined
    const next = this.#buffered[this.#head]
    if (next === undefined) return undefined
    this.#started++
    // Moving up those behind it is dear, so it is done for many at once.
    if (++this.#head >= movedUp || this.buffered === 0) this.#moveUp()
    return next
  }

  /** Takes one job out of the buffer. */
  take(id: string, token: number): Buffered | undefined {
    this.#moveUp()
    const index = this.#buffered.findIndex(({ job }) => job.id === id && job.token === token)
    return index < 0 ? undefined : this.#buffered.splice(index, 1)[0]
  }

  /** Empties the buffer. */
  drain(): readonly Buffered[] {
    this.#moveUp()
    return this.#buffered.splice(0)
  }

  /**
   * Empties the buffer if its first job has waited too long; it grows anew when jobs are fast
   * again.
   */
  drainIfSlow(now: number): readonly Buffered[] {
    const first = this.#buffered[this.#head]
    if (first === undefined || now - first.at < this.#longestMs) return []
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

  #moveUp(): void {
    this.#buffered.splice(0, this.#head)
    this.#head = 0
  }
}

/** How many jobs like these a buffer may hold for their size. */
function mostOfSize(jobs: readonly Buffered[]): number {
  let chars = 0
  for (const { job } of jobs) chars += job.input.length
  return (buffer.mostChars / chars) * jobs.length
}
