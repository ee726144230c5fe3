/** The queues of a worker as lines: which are worth asking, what to ask of each, and what an answer tells about them. */
import type { ClaimedJob, ClaimRequest } from '../store.ts'
import { buffer, Line } from './line.ts'

/** The most jobs in one claim. */
const largestClaim = 1_000

/** A job that was lost this often runs with no other such job beside it. */
export const quarantineLosses = 2

export interface LinesOptions {
  readonly slots: number
  /** Slots of a queue, by its own settings. */
  readonly slotsOf: (queue: string) => number | null
  /** Queues served. */
  readonly queues: readonly string[]
  /** Whether queues of any other name are served too. */
  readonly open: boolean
}

/** What a claim has room for. */
export interface Room {
  readonly now: number
  readonly idleSlots: number
  /** Jobs in all buffers. */
  readonly buffered: number
  /** Leases that can be held beside those that are. */
  readonly leases: number
  /** Whether a job runs that must have no other beside it that was lost as often. */
  readonly quarantined: boolean
}

/** A claim without what is the same in all. */
export type Ask = Pick<ClaimRequest, 'queues' | 'others' | 'limit' | 'suspects'>

export class Lines {
  readonly all: Line[] = []
  readonly #byName = new Map<string, Line>()
  readonly #options: LinesOptions
  #paused: ReadonlySet<string> = new Set()
  /** Like `likely` of a line, for queues that have none yet. */
  #othersLikely: boolean
  #turn = 0
  #claims = 0

  constructor(options: LinesOptions) {
    this.#options = options
    this.#othersLikely = options.open
    for (const queue of options.queues) this.of(queue)
  }

  /** The line of a queue; opens it when the queue is new. */
  of(queue: string): Line {
    let line = this.#byName.get(queue)
    if (line === undefined) {
      const { slots, slotsOf } = this.#options
      line = new Line(queue, Math.min(slotsOf(queue) ?? slots, slots))
      this.#byName.set(queue, line)
      this.all.push(line)
    }
    return line
  }

  /** The next line in turn. */
  next(): Line | undefined {
    return this.all[this.#turn++ % this.all.length]
  }

  pause(queues: readonly string[]): void {
    this.#paused = new Set(queues)
    for (const line of this.all) if (this.#paused.has(line.name)) line.turnDue = false
  }

  isPaused(queue: string): boolean {
    return this.#paused.has(queue)
  }

  /** Any queue may have work. */
  mayHaveWork(): void {
    for (const line of this.all) line.likely = true
    this.#othersLikely = this.#options.open
  }

  get areLikely(): boolean {
    return this.#othersLikely || this.all.some((line) => line.likely)
  }

  /** Sizes of all buffers, as they should be. */
  get target(): number {
    let target = 0
    for (const line of this.all) target += line.target
    return target
  }

  /** Whether a line whose lost jobs wait for their turn could start one, were a slot idle. */
  get haveTurn(): boolean {
    return this.all.some((line) => line.turnDue && line.hasRoom)
  }

  /** What to ask for; null when there is no room, or nothing to be expected. */
  ask(room: Room): Ask | null {
    const { slots, slotsOf, open } = this.#options
    const served = this.all.filter(({ name }) => !this.#paused.has(name))
    const suspects = mostLosses(served, room)
    const asked = served.filter(
      (line) =>
        (line.turnDue || (line.likely && line.wanted > 0)) && (suspects < 0 || line.hasRoom),
    )
    // The one that was given something longest ago comes first: the claim may end before it comes to the others.
    asked.sort((one, other) => one.givenIn - other.givenIn)
    const isEmpty = asked.length === 0 && !this.#othersLikely
    for (const line of served) line.turn(suspects >= 0 && asked.includes(line), room.now)
    const free = room.idleSlots - room.buffered + Math.min(this.target, buffer.most)
    const limit = Math.min(suspects < 0 ? free : Math.max(free, 1), room.leases, largestClaim)
    if (limit <= 0 || isEmpty) return null
    const share = shareOf(limit, asked)
    const queues = asked.map(({ name, wanted }) => ({
      name,
      limit: Math.max(1, Math.min(wanted, share)),
    }))
    if (!this.#othersLikely || !open) return { queues, others: 0, limit, suspects }
    // Every line is named, or else it would count as one of the others.
    for (const line of this.all) {
      if (!asked.includes(line)) queues.push({ name: line.name, limit: 0 })
    }
    return { queues, others: Math.min(slotsOf('*') ?? slots, slots), limit, suspects }
  }

  /** A line that gave less than it was asked for has no more, unless there was news meanwhile. */
  learn(ask: Ask, jobs: readonly ClaimedJob[], hasNews: boolean): void {
    this.#claims++
    const counts = new Map<string, number>()
    for (const { queue } of jobs) counts.set(queue, (counts.get(queue) ?? 0) + 1)
    const isCut = jobs.length >= ask.limit
    for (const { name, limit } of ask.queues) {
      const count = counts.get(name) ?? 0
      counts.delete(name)
      if (limit === 0 || (isCut && count === 0)) continue
      const line = this.of(name)
      line.busy = count > 0
      if (count > 0) line.givenIn = this.#claims
      if (count < limit && !isCut && !hasNews) line.likely = false
    }
    if (isCut || hasNews) return
    this.#othersLikely = [...counts.values()].some((count) => count >= ask.others)
  }
}

/**
 * The highest loss count that a claim may ask for. −1 without an idle slot; and while lines at their limit want more for
 * their buffers, since a claim that asks for lost jobs leaves those lines out: then only when others have waited for a turn.
 */
function mostLosses(served: readonly Line[], room: Room): number {
  if (room.idleSlots <= 0) return -1
  const isCrowded = served.some((line) => line.likely && !line.hasRoom && line.wanted > 0)
  if (isCrowded && !served.some((line) => line.hasRoom && line.waitsForTurn(room.now))) return -1
  return room.quarantined ? quarantineLosses - 1 : Number.MAX_SAFE_INTEGER
}

/** How much of a claim one line may take, so that a long line leaves room for others. Lines without work share one part. */
function shareOf(limit: number, lines: readonly Line[]): number {
  const busy = lines.filter((line) => line.busy || line.running > 0).length
  const parts = busy === 0 ? lines.length : busy + (busy < lines.length ? 1 : 0)
  return Math.max(2, Math.ceil(limit / Math.max(1, parts)))
}
