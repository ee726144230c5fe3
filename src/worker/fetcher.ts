/**
 * Claims jobs and hands them to free slots. Each queue has a line: its limit, what runs of it, and a small buffer of
 * claimed jobs, whose size follows from how fast the line moves.
 *
 * Modes: idle (no work known: rests until a hint, a due time or the slow poll) → busy (claims whenever lines have room,
 * until a claim gives less than it asked for). Between the two only `#likely` changes.
 */
import type { App } from '../client/app.ts'
import type { ClaimedJob, ClaimRequest } from '../store.ts'
import type { LeaseTable } from './lease-table.ts'
import type { Renewer } from './renewer.ts'
import { settlerBound, type Settler } from './settler.ts'
import type { Held, Slots } from './slots.ts'
import { Loop } from './supervised.ts'
import type { Ticks } from './time.ts'

/** Bounds of the buffer, in jobs and milliseconds. */
const buffer = {
  /** The first size that a line grows to. */
  first: 8,
  most: 500,
  /** A buffer that ran empty faster than this is doubled. */
  fastMs: 25,
  /** One whose last job waited longer than this is halved. */
  slowMs: 50,
  /** A job that waits longer is given back. */
  longestMs: 100,
} as const

/** The most jobs in one claim. */
const largestClaim = 1_000

/** A slot is kept free this often, so that jobs that were lost get their turn under any load. */
const suspectTurnMs = 1_000

/** A job that was lost this often runs with no other such job beside it. */
const quarantineLosses = 2

interface Line {
  readonly name: string
  readonly limit: number
  running: number
  target: number
  buffered: (Held & { readonly at: number })[]
}

export interface FetcherOptions {
  readonly app: App
  readonly worker: string
  readonly slots: number
  /** Queues served; the lines of others are opened when `open`. */
  readonly queues: readonly string[]
  readonly open: boolean
  readonly pollMs: number
  readonly table: LeaseTable
  readonly renewer: Renewer
  readonly settler: Settler
  readonly ticks: Ticks
  /** A claim told the store's time. */
  readonly heard: (storeNow: number) => void
}

export class Fetcher {
  readonly loop: Loop
  readonly #options: FetcherOptions
  readonly #lines = new Map<string, Line>()
  readonly #order: Line[] = []
  #slots: Slots | null = null
  #paused: ReadonlySet<string> = new Set()
  #likely = true
  #hints = 0
  #reserved = 0
  #suspectsAllowedAt = 0
  #turn = 0
  #buffered = 0
  #dueAt = Infinity
  #pollAt = 0
  #resting = false
  #stopped = false
  #stopGiveBack: (() => void) | null = null

  constructor(options: FetcherOptions) {
    this.#options = options
    this.loop = new Loop('fetcher', options.app.events, options.app.store.clock, () => this.#pass())
    for (const queue of options.queues) this.#line(queue)
  }

  get buffered(): number {
    return this.#buffered
  }

  start(slots: Slots): void {
    this.#slots = slots
    this.loop.start()
  }

  /** There may be work. */
  hint(): void {
    this.#hints++
    this.#likely = true
    this.loop.wake()
  }

  /** What the store told: whether work is ready, when the next job is due, which queues are paused. */
  told(told: {
    readonly ready: boolean
    readonly nextDueMs: number | null
    readonly paused: readonly string[]
  }): void {
    const now = this.#options.ticks()
    this.#dueAt = told.nextDueMs === null ? Infinity : now + told.nextDueMs
    this.#pollAt = now + this.#options.pollMs
    this.#paused = new Set(told.paused)
    for (const line of this.#lines.values())
      if (this.#paused.has(line.name)) this.#giveBackLine(line)
    if (told.ready) this.#likely = true
    this.loop.wake()
  }

  /** A slot became free. */
  freed(queue: string): void {
    const line = this.#lines.get(queue)
    if (line !== undefined) line.running--
    this.dispatch()
  }

  /** Starts buffered jobs while there are slots, then asks for more if the buffer runs low. */
  dispatch(): void {
    const slots = this.#slots
    if (slots === null) return
    const lines = this.#order
    for (let idle = 0; idle < lines.length && this.#freeSlots() > 0;) {
      const line = lines[this.#turn++ % lines.length]
      if (line === undefined || !this.#startNext(line, slots)) idle++
      else idle = 0
    }
    if (this.#resting && this.#likely && this.#wantsMore()) {
      this.#resting = false
      this.loop.wake()
    }
  }

  /** Claims nothing more and gives back what is buffered. */
  async stop(): Promise<void> {
    this.#stopped = true
    this.#stopGiveBack?.()
    for (const line of this.#lines.values()) this.#giveBackLine(line)
    await this.loop.stop()
  }

  #startNext(line: Line, slots: Slots): boolean {
    if (line.running >= line.limit || this.#options.settler.pending >= settlerBound) return false
    const held = line.buffered.shift()
    if (held === undefined) return false
    this.#buffered--
    if (line.buffered.length === 0) this.#adapt(line, this.#options.ticks() - held.at)
    line.running++
    if (!slots.start(held)) line.running--
    return true
  }

  #adapt(line: Line, waitedMs: number): void {
    if (waitedMs < buffer.fastMs)
      line.target = Math.min(buffer.most, Math.max(buffer.first, line.target * 2))
    else if (waitedMs > buffer.slowMs) line.target = Math.floor(line.target / 2)
  }

  #idleSlots(): number {
    return this.#options.slots - (this.#slots?.running.size ?? 0)
  }

  #freeSlots(): number {
    return this.#idleSlots() - this.#reserved
  }

  /** Whether a claim is worth its while: the buffers are half empty, or it is the turn of lost jobs. */
  #wantsMore(): boolean {
    if (this.#buffered === 0 || (this.#reserved > 0 && this.#idleSlots() > 0)) return true
    let target = 0
    for (const line of this.#lines.values()) target += line.target
    return this.#buffered <= target / 2
  }

  async #pass(): Promise<number> {
    if (this.#stopped) return 0
    const now = this.#options.ticks()
    if (now >= this.#dueAt || now >= this.#pollAt) {
      this.#likely = true
      this.#dueAt = Infinity
      this.#pollAt = now + this.#options.pollMs
    }
    const request = this.#likely && this.#wantsMore() ? this.#request(now) : null
    if (request === null) {
      this.#resting = true
      return Math.max(1, Math.min(this.#dueAt, this.#pollAt) - now)
    }
    this.#resting = false
    await this.#claim(request)
    return 0
  }

  async #claim(request: ClaimRequest): Promise<void> {
    const { app, heard, ticks } = this.#options
    const hints = this.#hints
    // A suspect starts at once, so the slot that was idle when it was asked for stays so.
    this.#reserved = request.suspects >= 0 ? 1 : 0
    try {
      const claimed = await app.store.claim(request)
      heard(claimed.now)
      this.#dueAt = claimed.nextDueMs === null ? Infinity : ticks() + claimed.nextDueMs
      const exhausted = gaveLess(request, claimed.jobs)
      this.#likely = !exhausted || hints !== this.#hints
      this.#takeIn(claimed.jobs)
    } finally {
      this.#reserved = 0
    }
    this.dispatch()
  }

  #takeIn(jobs: readonly ClaimedJob[]): void {
    const { table, renewer, ticks } = this.#options
    const at = ticks()
    const taken = jobs.map((job) => ({
      job,
      entry: table.hold(job.id, job.token, job.startedAt !== null),
      at,
    }))
    if (taken.length > 0) renewer.add(taken.map(({ entry }) => entry))
    if (this.#stopped) return this.#slots?.giveBack(taken)
    this.#buffered += taken.length
    for (const held of taken) {
      const { buffered } = this.#line(held.job.queue)
      if (held.job.startedAt === null) buffered.push(held)
      else buffered.unshift(held)
    }
    this.#giveBackLater()
  }

  /** What to ask for; null when there is no room. */
  #request(now: number): ClaimRequest | null {
    const { app, worker, slots, table, open, settler } = this.#options
    if (settler.pending >= settlerBound) return null
    let target = 0
    const queues: { name: string; limit: number }[] = []
    for (const line of this.#rotated()) {
      if (this.#paused.has(line.name)) continue
      const limit = Math.min(line.limit - line.running, slots) + line.target - line.buffered.length
      if (limit > 0) queues.push({ name: line.name, limit })
      target += line.target
    }
    const room = this.#idleSlots() - this.#buffered + Math.min(target, buffer.most)
    const suspects = this.#suspectsAllowed(now)
    const limit = Math.min(suspects < 0 ? room : Math.max(room, 1), table.room, largestClaim)
    if (limit <= 0 || (queues.length === 0 && !open)) return null
    const others = open ? Math.min(app.queueSettings('*')?.slots ?? slots, slots) : 0
    return { worker, queues, others, limit, leaseMs: app.leaseMs, suspects }
  }

  /**
   * The highest loss count that may be started now; −1 without an idle slot. When every slot was taken for a while, the
   * next one that frees is kept for a claim, so that the turn of lost jobs comes under any load.
   */
  #suspectsAllowed(now: number): number {
    if (this.#idleSlots() <= 0) {
      if (now - this.#suspectsAllowedAt >= suspectTurnMs) this.#reserved = 1
      return -1
    }
    this.#suspectsAllowedAt = now
    const running = this.#slots?.running ?? new Set()
    const quarantined = [...running].some(({ job }) => job.counters.losses >= quarantineLosses)
    return quarantined ? quarantineLosses - 1 : Number.MAX_SAFE_INTEGER
  }

  /** The lines, beginning with another one each time. */
  #rotated(): readonly Line[] {
    const from = this.#turn++ % Math.max(1, this.#order.length)
    return [...this.#order.slice(from), ...this.#order.slice(0, from)]
  }

  #line(name: string): Line {
    let line = this.#lines.get(name)
    if (line === undefined) {
      const { app, slots } = this.#options
      const limit = Math.min(app.queueSettings(name)?.slots ?? slots, slots)
      this.#lines.set(name, (line = { name, limit, running: 0, target: 0, buffered: [] }))
      this.#order.push(line)
    }
    return line
  }

  /** Looks after a while whether buffered jobs wait too long. */
  #giveBackLater(): void {
    if (this.#stopGiveBack !== null || this.#buffered === 0) return
    this.#stopGiveBack = this.#options.app.store.clock.after(buffer.longestMs, () => {
      this.#stopGiveBack = null
      const before = this.#options.ticks() - buffer.longestMs
      for (const line of this.#lines.values()) {
        if (line.buffered[0] !== undefined && line.buffered[0].at <= before) {
          line.target = Math.floor(line.target / 4)
          this.#giveBackLine(line)
        }
      }
      this.#giveBackLater()
    })
  }

  #giveBackLine(line: Line): void {
    if (line.buffered.length === 0) return
    const given = line.buffered
    line.buffered = []
    this.#buffered -= given.length
    this.#slots?.giveBack(given)
  }
}

/** Whether a claim found less than it asked for, so that nothing is left to claim. A suspect comes alone and tells nothing. */
function gaveLess(request: ClaimRequest, jobs: readonly ClaimedJob[]): boolean {
  if (jobs.length >= request.limit || jobs[0]?.startedAt) return false
  const counts = new Map<string, number>()
  for (const { queue } of jobs) counts.set(queue, (counts.get(queue) ?? 0) + 1)
  const limits = new Map(request.queues.map(({ name, limit }) => [name, limit]))
  return [...counts].every(([queue, count]) => count < (limits.get(queue) ?? request.others))
}
