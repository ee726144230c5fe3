/**
 * The queues of a worker as lines: which are worth asking, what to ask of each, and what an answer
 * tells about them.
 */
import type { Claimed, ClaimRequest } from '../store/worker-calls.ts'
import { Courtesy } from './courtesy.ts'
import { buffer, ServedQueue } from './served-queue.ts'

/** The most jobs in one claim. */
const largestClaim = 1_000

/** A job that was lost this often runs with no other such job beside it. */
export const quarantineLosses = 2

/**
 * Lines of queues that nobody named are forgotten when they have been idle for so long, or sooner
 * when there are more of them.
 */
const idle = { longestMs: 4_000, most: 100 } as const

export interface ServedQueuesOptions {
  readonly slots: number
  /** Slots of a queue, by its own settings. */
  readonly slotsOf: (queue: string) => number | null
  /** The most jobs in the buffer of a queue, by its own settings; none has any by default. */
  readonly bufferOf?: (queue: string) => number | null
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
export type Ask = Pick<ClaimRequest, 'queues' | 'others' | 'limit' | 'maxLosses'>

export class ServedQueues {
  #all: ServedQueue[] = []
  readonly #named: ReadonlySet<string>
  readonly #byName = new Map<string, ServedQueue>()
  readonly #options: ServedQueuesOptions
  #paused: ReadonlySet<string> = new Set()
  /** Like `likely` of a line, for queues that have none yet. */
  #othersLikely: boolean
  readonly #othersCourtesy = new Courtesy()
  #turn = 0
  #claims = 0

  constructor(options: ServedQueuesOptions) {
    this.#options = options
    this.#othersLikely = options.open
    this.#named = new Set(options.queues)
    for (const queue of options.queues) this.of(queue)
  }

  get all(): readonly ServedQueue[] {
    return this.#all
  }

  /** The line of a queue; opens it when the queue is new. */
  of(queue: string): ServedQueue {
    let line = this.#byName.get(queue)
    if (line === undefined) {
      const { slots, slotsOf, bufferOf = () => null } = this.#options
      const courtesy = this.#named.has(queue) ? new Courtesy() : this.#othersCourtesy
      const limit = Math.min(slotsOf(queue) ?? slots, slots)
      line = new ServedQueue(queue, limit, courtesy, bufferOf(queue))
      this.#byName.set(queue, line)
      this.#all.push(line)
    }
    return line
  }

  /**
   * A job of a task that is not known here has come; returns whether to offer it to other workers,
   * or else to put it aside.
   */
  meet(queue: string, now: number): 'offer' | 'aside' {
    return this.of(queue).courtesy.meet(now)
  }

  /** The line of a queue, if there is one. */
  find(queue: string): ServedQueue | undefined {
    return this.#byName.get(queue)
  }

  /**
   * Forgets lines of queues that nobody named and that have nothing to do, so that a queue for each
   * customer costs nothing once it is empty. What comes into one later is found among the others.
   */
  forgetIdle(now: number): void {
    const found = this.all.filter((line) => {
      line.idleSince = line.isIdle ? (line.idleSince ?? now) : null
      return line.idleSince !== null && !this.#named.has(line.name)
    })
    const gone = new Set(
      found.length > idle.most
        ? found
        : found.filter(({ idleSince }) => now - (idleSince ?? now) >= idle.longestMs),
    )
    if (gone.size === 0) return
    for (const line of gone) {
      this.#byName.delete(line.name)
      this.#othersLikely ||= line.likely
    }
    this.#all = this.#all.filter((line) => !gone.has(line))
  }

  /** The next line in turn. */
  next(): ServedQueue | undefined {
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
  mayHaveWork(now: number): void {
    if (this.#options.open && !this.#othersLikely) this.#othersCourtesy.news(now)
    this.#othersLikely = this.#options.open
    for (const line of this.all) {
      if (line.likely) continue
      line.likely = true
      if (line.courtesy !== this.#othersCourtesy) line.courtesy.news(now)
    }
  }

  /** Whether no queue gives jobs. */
  get arePaused(): boolean {
    return !this.#options.open && this.all.every(({ name }) => this.#paused.has(name))
  }

  /** Whether a claim asks all queues that give jobs. */
  areAllIn({ queues, others }: Ask): boolean {
    if (this.#options.open && others === 0) return false
    const asked = new Set(queues.filter(({ limit }) => limit > 0).map(({ name }) => name))
    return this.all.every(({ name }) => this.#paused.has(name) || asked.has(name))
  }

  /** Whether a queue that is not left to others may have work. */
  areLikely(now: number): boolean {
    if (this.#othersLikely && !this.#othersCourtesy.isResting(now)) return true
    return this.all.some((line) => line.likely && !line.courtesy.isResting(now))
  }

  /**
   * When the first queue that may have work, but is left to others for a moment, may be asked
   * again.
   */
  restsUntil(now: number): number {
    let first = Infinity
    const ofQueue = ({ restUntil }: Courtesy): void => {
      if (restUntil > now && restUntil < first) first = restUntil
    }
    if (this.#othersLikely) ofQueue(this.#othersCourtesy)
    for (const line of this.all) if (line.likely) ofQueue(line.courtesy)
    return first
  }

  /** Sizes of all buffers, as they should be. */
  get target(): number {
    let target = 0
    for (const line of this.all) target += line.target
    return target
  }

  /** Whether a line whose lost jobs wait for their turn could start one, were a slot idle. */
  haveTurn(now: number): boolean {
    return this.all.some((line) => line.turnDue && line.hasRoom && !line.courtesy.isResting(now))
  }

  /** What to ask for; null when there is no room, or nothing to be expected. */
  ask(room: Room): Ask | null {
    const { slots, slotsOf, open } = this.#options
    if (this.#all.length > this.#named.size + idle.most) this.forgetIdle(room.now)
    const served = this.all.filter(
      ({ name, courtesy }) => !this.#paused.has(name) && !courtesy.isResting(room.now),
    )
    const asksOthers = this.#othersLikely && !this.#othersCourtesy.isResting(room.now)
    const maxLosses = mostLosses(served, room)
    const asked = served.filter(
      (line) =>
        (line.turnDue || (line.likely && line.wantedNow(room.idleSlots) > 0)) &&
        (maxLosses === null || line.hasRoom),
    )
    // The one that was given something longest ago comes first: the claim may end before it comes
    // to the others.
    asked.sort((one, other) => one.givenIn - other.givenIn)
    const isAsked = new Set(asked)
    const isEmpty = asked.length === 0 && !asksOthers
    for (const line of served) line.turn(maxLosses !== null && isAsked.has(line), room.now)
    const free = room.idleSlots - room.buffered + Math.min(this.target, buffer.most)
    const limit = Math.min(maxLosses === null ? free : Math.max(free, 1), room.leases, largestClaim)
    if (limit <= 0 || isEmpty) return null
    const share = shareOf(limit, asked)
    const queues = asked.map((line) => ({
      name: line.name,
      limit: Math.max(1, Math.min(line.wantedNow(room.idleSlots), share)),
    }))
    if (!asksOthers || !open) return { queues, others: 0, limit, maxLosses }
    // Every line is named, or else it would count as one of the others.
    for (const line of this.all) {
      if (!isAsked.has(line)) queues.push({ name: line.name, limit: 0 })
    }
    return { queues, others: Math.min(slotsOf('*') ?? slots, slots), limit, maxLosses }
  }

  /** A line that gave less than it was asked for has no more, unless there was news meanwhile. */
  learn(ask: Ask, { jobs, cut }: Pick<Claimed, 'jobs' | 'cut'>, hasNews: boolean): void {
    this.#claims++
    const counts = new Map<string, number>()
    for (const { queue } of jobs) counts.set(queue, (counts.get(queue) ?? 0) + 1)
    const isCut = cut || jobs.length >= ask.limit
    for (const { name, limit } of ask.queues) {
      const count = counts.get(name) ?? 0
      counts.delete(name)
      if (limit === 0 || (isCut && count === 0)) continue
      const line = this.find(name)
      if (line === undefined) continue
      line.courtesy.asked()
      line.busy = count > 0
      if (count > 0) line.givenIn = this.#claims
      if (count < limit && !isCut && !hasNews) line.likely = false
    }
    if (ask.others > 0 && !isCut) this.#othersCourtesy.asked()
    if (isCut || hasNews || ask.others === 0) return
    // What is left was given by queues that were not named.
    for (const [name, count] of counts) {
      const line = this.find(name)
      if (line !== undefined) line.likely = count >= ask.others
    }
    this.#othersLikely = [...counts.values()].some((count) => count >= ask.others)
  }
}

/**
 * The highest loss count that a claim may ask for. Null without an idle slot; and while lines at
 * their limit want more for their buffers, since a claim that asks for lost jobs leaves those lines
 * out: then only when others have waited for a turn.
 */
function mostLosses(served: readonly ServedQueue[], room: Room): number | null {
  if (room.idleSlots <= 0) return null
  const isCrowded = served.some((line) => line.likely && !line.hasRoom && line.wanted > 0)
  if (isCrowded && !served.some((line) => line.hasRoom && line.waitsForTurn(room.now))) return null
  return room.quarantined ? quarantineLosses - 1 : Number.MAX_SAFE_INTEGER
}

/**
 * How much of a claim one line may take, so that a long line leaves room for others. Lines without
 * work share one part.
 */
function shareOf(limit: number, lines: readonly ServedQueue[]): number {
  const busy = lines.filter((line) => line.busy || line.running > 0).length
  const parts = busy === 0 ? lines.length : busy + (busy < lines.length ? 1 : 0)
  return Math.max(2, Math.ceil(limit / Math.max(1, parts)))
}
