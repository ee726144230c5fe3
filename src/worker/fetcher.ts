/**
 * Claims jobs and hands them to free slots, queue by queue. It has what is claimed and not started;
 * the slots have the rest.
 *
 * Modes: claiming (while queues may have work and there is room for it) → resting (until a hint, a
 * free slot, a due time or the slow poll). While leases cannot be renewed it rests in any case, and
 * gives back what is buffered.
 *
 * Jobs that were lost are claimed alone and never buffered: a claim may ask for one only while a
 * slot is kept free for it. Under full load no slot is free when a claim is made, so after a while
 * the next one that frees is kept for such a claim.
 */
import type { App } from '../app/app.ts'
import type { Claimed, LeaseRef, Tended } from '../store/worker-calls.ts'
import type { ClaimedJob } from '../store/job.ts'
import type { Holds } from './holds.ts'
import { LineSeat, type Seats } from './line-seat.ts'
import type { LeaseTable } from './lease-table.ts'
import { buffer, type Buffered, type ServedQueue } from './served-queue.ts'
import { quarantineLosses, type Ask, type ServedQueues } from './served-queues.ts'
import type { Renewer } from './renewer.ts'
import type { SettleBatches } from './settle-batches.ts'
import type { Settler } from './settler.ts'
import type { Slots } from './slots.ts'
import type { StoreTime } from '../loops/store-time.ts'
import { answered } from '../loops/call-deadline.ts'
import { firstLeaseMs } from '../loops/renew-interval.ts'
import { Loop } from '../loops/supervised.ts'
import type { Ticks } from '../loops/time.ts'

export interface FetcherOptions {
  readonly app: App
  readonly worker: string
  readonly slotCount: number
  readonly pollMs: number
  readonly queues: ServedQueues
  readonly slots: Slots
  readonly settler: Settler
  readonly batches: SettleBatches
  readonly table: LeaseTable
  readonly renewer: Renewer
  readonly holds: Holds
  readonly ticks: Ticks
  readonly time: StoreTime
}

export class Fetcher implements Seats {
  readonly loop: Loop
  readonly #options: FetcherOptions
  readonly #lines: ServedQueues
  readonly #slots: Slots
  #hints = 0
  /** A slot that is kept for a job that was lost: 1, else 0. */
  #reserved = 0
  #buffered = 0
  /** Characters of their inputs. */
  #bufferedChars = 0
  #quarantined = 0
  #dueAt = Infinity
  #pollAt = 0
  #resting = false
  #stopped = false
  /** Claims that asked all queues while nothing ran here, and got nothing. */
  #foundEmpty = 0
  #stopGiveBack: (() => void) | null = null

  constructor(options: FetcherOptions) {
    const { app, batches, queues, slots } = options
    this.#options = options
    this.#lines = queues
    this.#slots = slots
    this.loop = new Loop('fetcher', app.events, app.store.clock, () => this.#pass())
    batches.onWritten(() => this.dispatch())
  }

  get buffered(): number {
    return this.#buffered
  }

  /** There may be work. */
  hint(): void {
    this.#hints++
    this.#lines.mayHaveWork(this.#options.ticks())
    this.loop.wake()
  }

  /**
   * What a heartbeat has learnt: whether work is ready, when the next job is due, which queues are
   * paused.
   */
  told({ ready, nextDueMs, paused }: Pick<Tended, 'ready' | 'nextDueMs' | 'paused'>): void {
    const now = this.#options.ticks()
    this.#dueAt = nextDueMs === null ? Infinity : now + nextDueMs
    this.#pollAt = now + this.#options.pollMs
    this.#lines.pause(paused)
    for (const line of this.#lines.all) {
      if (this.#lines.isPaused(line.name)) this.#giveBack(line.drain())
    }
    this.#lines.forgetIdle(now)
    if (ready) this.#lines.mayHaveWork(now)
    this.loop.wake()
  }

  /** Whether leases can be renewed has changed: without that it starts no further job. */
  renewalTurned(): void {
    const { app, renewer, worker } = this.#options
    if (!renewer.works) app.events.warn('cannot-renew', { worker })
    this.holdsTurned()
  }

  /** Why nothing is to be claimed has changed: with any reason left it starts no further job. */
  holdsTurned(): void {
    if (this.#isOpen) return this.hint()
    for (const line of this.#lines.all) this.#giveBack(line.drain())
  }

  /** How often all queues were asked while nothing ran here, and gave nothing. */
  get foundEmpty(): number {
    return this.#foundEmpty
  }

  /** Whether nothing is buffered or runs, but for what is stuck, and all that ran is settled. */
  get isAtRest(): boolean {
    return this.#buffered === 0 && this.#slots.isAtRest
  }

  /** Whether it may take in jobs. */
  get #isOpen(): boolean {
    const { renewer, holds } = this.#options
    return renewer.works && !holds.any
  }

  /**
   * These leases are someone else's: their handlers are told, and what waits for a slot is dropped.
   */
  lost(leases: readonly LeaseRef[]): void {
    for (const { id, token } of leases) {
      if (this.#slots.abort(id, token, 'lease-lost')) continue
      const held = this.#take(id, token)
      if (held !== undefined) this.#options.table.drop(held.lease)
    }
  }

  /**
   * These jobs are to be cancelled: their handlers are told, and what waits for a slot ends at
   * once.
   */
  cancelAsked(leases: readonly LeaseRef[]): void {
    for (const { id, token } of leases) {
      if (this.#slots.abort(id, token, 'cancelled')) continue
      const held = this.#take(id, token)
      if (held !== undefined) this.#options.settler.endHeld(held, { kind: 'cancelled' })
    }
  }

  /** Starts buffered jobs while there are slots, then asks for more if the buffer runs low. */
  dispatch(): void {
    this.#slots.grant()
    if (this.#isTurn()) this.#reserved = 1
    const count = this.#lines.all.length
    for (let idle = 0; idle < count && this.#idleSlots() > this.#reserved;) {
      const line = this.#lines.next()
      if (line === undefined || !this.#startNext(line)) idle++
      else idle = 0
    }
    if (this.#resting && this.#mayClaim()) {
      this.#resting = false
      this.loop.wake()
    }
  }

  /**
   * Claims nothing more and gives back what is buffered. Resolves when the last claim was answered.
   */
  async stop(): Promise<void> {
    this.#stopped = true
    this.#stopGiveBack?.()
    for (const line of this.#lines.all) this.#giveBack(line.drain())
    await this.loop.stop()
  }

  #startNext(line: ServedQueue): boolean {
    if (this.#slots.isFull) return false
    if (line.buffered === 0 || this.#options.batches.isFull) return false
    const held = line.next()
    if (held === undefined) return false
    this.#left(held)
    this.#begin(line, held)
    return true
  }

  #begin(line: ServedQueue, held: Buffered): void {
    const quarantined = held.job.counters.losses >= quarantineLosses ? 1 : 0
    this.took(line, quarantined)
    if (this.#slots.start(held, new LineSeat(this, line, quarantined))) return
    line.running--
    this.#quarantined -= quarantined
  }

  /** A job has taken a slot. */
  took(line: ServedQueue, quarantined: 0 | 1): void {
    line.running++
    this.#quarantined += quarantined
  }

  /** A job has left its slot. */
  freed(line: ServedQueue, quarantined: 0 | 1): void {
    line.running--
    if (quarantined === 1) {
      this.#quarantined--
      this.hint()
    }
    this.dispatch()
  }

  lineOf(queue: string): ServedQueue {
    return this.#lines.of(queue)
  }

  /** Whether there is a slot for a job of this line that comes back to it. */
  hasSlot(line: ServedQueue): boolean {
    return this.#idleSlots() > this.#reserved && line.running + line.reserved < line.limit
  }

  /** Takes a job out of its buffer, if it is there. */
  #take(id: string, token: number): Buffered | undefined {
    for (const line of this.#lines.all) {
      const held = line.take(id, token)
      if (held === undefined) continue
      this.#left(held)
      return held
    }
    return undefined
  }

  #idleSlots(): number {
    return this.#options.slotCount - this.#slots.running.size
  }

  /** Whether it is the turn of jobs that were lost. */
  #isTurn(): boolean {
    return this.#idleSlots() > 0 && this.#lines.haveTurn(this.#options.ticks())
  }

  /**
   * Whether a claim is worth its while: lines may have work and the buffers are half empty, or it
   * is a turn.
   */
  #mayClaim(): boolean {
    if (!this.#isOpen) return false
    if (this.#slots.isFull) return false
    if (this.#isTurn()) return true
    if (this.#bufferedChars >= buffer.mostChars) return false
    if (this.#buffered > 0 && this.#buffered > this.#lines.target / 2) return false
    return this.#lines.areLikely(this.#options.ticks())
  }

  async #pass(): Promise<number> {
    if (this.#stopped) return 0
    const now = this.#options.ticks()
    if (now >= this.#dueAt || now >= this.#pollAt) {
      this.#lines.mayHaveWork(now)
      this.#dueAt = Infinity
      this.#pollAt = now + this.#options.pollMs
    }
    const ask = this.#mayClaim() ? this.#ask(now) : null
    if (ask === null) {
      if (this.#isOpen && this.isAtRest && this.#lines.arePaused) this.#foundEmpty++
      this.#reserved = 0
      // Not resting as yet: this pass has found that there is nothing to claim.
      this.#resting = false
      this.dispatch()
      this.#resting = true
      return Math.max(1, Math.min(this.#dueAt, this.#pollAt, this.#lines.restsUntil(now)) - now)
    }
    this.#resting = false
    await this.#claim(ask)
    return 0
  }

  #ask(now: number): Ask | null {
    const { table, batches } = this.#options
    if (batches.isFull) return null
    return this.#lines.ask({
      now,
      idleSlots: this.#idleSlots(),
      buffered: this.#buffered,
      leases: table.room,
      quarantined: this.#quarantined > 0 && this.#slots.isQuarantined,
    })
  }

  async #claim(ask: Ask): Promise<void> {
    const { app, worker, time, ticks } = this.#options
    const hints = this.#hints
    const mayFindEmpty = this.isAtRest && this.#lines.areAllIn(ask)
    const from = ticks()
    this.#reserve(ask, ask.maxLosses === null ? 0 : 1)
    try {
      const leaseMs = firstLeaseMs(app.store, app.leaseMs)
      const call = app.store.claim({ ...ask, id: null, worker, leaseMs })
      // What the claim before brought runs while the store works at this one.
      this.dispatch()
      const claimed = await answered(app.store.clock, call, {
        late: (claimed) => this.#takeLate(claimed),
      })
      const now = ticks()
      time.heard(claimed.now)
      if (mayFindEmpty && claimed.jobs.length === 0) this.#foundEmpty++
      this.#dueAt = claimed.nextDueMs === null ? Infinity : now + claimed.nextDueMs
      if (this.#takeIn(claimed.jobs, now - from)) {
        this.#lines.learn(ask, claimed, hints !== this.#hints)
      }
      if (claimed.jobs.length === ask.limit) return
    } finally {
      this.#reserve(ask, 0)
      this.#slots.grant()
    }
    this.dispatch()
  }

  /** Keeps room for one job that was lost, in the slots and in each queue that may give it. */
  #reserve(ask: Ask, places: 0 | 1): void {
    this.#reserved = places
    for (const { name } of ask.queues) {
      const line = this.#lines.find(name)
      if (line !== undefined) line.reserved = places
    }
  }

  /**
   * Returns whether the jobs show what else there is: one that was lost comes alone, and does not.
   */
  #takeIn(jobs: readonly ClaimedJob[], tookMs: number): boolean {
    const held = this.#hold(jobs)
    if (this.#stopped || !this.#isOpen) {
      this.#slots.giveBack(held)
      return false
    }
    const [first] = held
    if (first !== undefined && first.job.startedAt !== null) {
      this.#begin(this.#lines.of(first.job.queue), first)
      return false
    }
    for (const [queue, ofQueue] of Map.groupBy(held, ({ job }) => job.queue)) {
      if (this.#lines.isPaused(queue)) this.#slots.giveBack(ofQueue)
      else {
        this.#lines.of(queue).add(ofQueue, tookMs)
        this.#buffered += ofQueue.length
        for (const { job } of ofQueue) this.#bufferedChars += job.input.length
      }
    }
    this.#giveBackLater()
    return true
  }

  #hold(jobs: readonly ClaimedJob[]): readonly Buffered[] {
    const { app, table, renewer, ticks } = this.#options
    const at = ticks()
    const held = jobs.map((job) => ({
      job,
      lease: table.hold(job.id, job.token, job.startedAt !== null, at + app.leaseMs),
      at,
    }))
    if (held.length > 0) renewer.held()
    return held
  }

  /**
   * The answer of a claim that was given up: nobody waits for its jobs any more. Without room their
   * leases run out.
   */
  #takeLate({ jobs }: Claimed): void {
    this.#slots.giveBack(this.#hold(jobs.slice(0, this.#options.table.room)))
  }

  /** Looks after a while whether buffered jobs wait too long. */
  #giveBackLater(): void {
    if (this.#stopGiveBack !== null || this.#buffered === 0) return
    this.#stopGiveBack = this.#options.app.store.clock.after(buffer.lookMs, () => {
      this.#stopGiveBack = null
      const now = this.#options.ticks()
      for (const line of this.#lines.all) this.#giveBack(line.drainIfSlow(now))
      this.#giveBackLater()
    })
  }

  #giveBack(held: readonly Buffered[]): void {
    if (held.length === 0) return
    for (const one of held) this.#left(one)
    this.#slots.giveBack(held)
  }

  /** A job has left its buffer. */
  #left({ job }: Buffered): void {
    this.#buffered--
    this.#bufferedChars -= job.input.length
  }
}
