/**
 * Renews the leases of one worker and writes the start of runs that last. It runs in a thread of
 * its own, so that a handler that blocks the event loop keeps its lease; or on the event loop, for
 * stores that no thread can open.
 *
 * Modes: resting (no leases: no timer) → ticking (leases held: a look at the table each tick, a
 * renewal each third of the lease). `wake` and `check` end the rest; a tick that finds no lease
 * begins it. After a failure nothing rests before a renewal has succeeded, if need be of a lease
 * that nobody has: until then the worker takes in no jobs.
 */
import type { Clock } from '../core/clock.ts'
import { isErrandError } from '../core/errors.ts'
import type { LeaseRef, Note } from '../store/worker-calls.ts'
import type { Store } from '../store/store.ts'
import { renewEveryMs } from '../loops/renew-interval.ts'
import { answered } from '../loops/call-deadline.ts'
import { entryState, LeaseReader, type SharedLeases } from './lease-table.ts'
import type { Ticks } from '../loops/time.ts'

/** What the loop tells the worker. */
export type RenewReport =
  | { readonly kind: 'lost' | 'cancel'; readonly leases: readonly LeaseRef[] }
  | { readonly kind: 'failed'; readonly error: unknown }
  | { readonly kind: 'worked' }

/**
 * A run's start is written once it has lasted this long; shorter runs are settled before it would
 * matter.
 */
const noteStartAfterMs = 50
const tickMs = 50
const batch = 1_000
/** A renewal is given at least this long. */
const leastAnswerMs = 1_000
/** Renewed when no lease is held, to learn whether one could be. */
const nobodys: LeaseRef = { id: '00000000-0000-7000-8000-000000000000', token: 1 }

export interface RenewLoopOptions {
  readonly store: Pick<Store, 'renew' | 'note'>
  readonly clock: Clock
  readonly ticks: Ticks
  readonly shared: SharedLeases
  readonly leaseMs: number
  /** How long a lease lasts that was not renewed yet, where that is less. */
  readonly firstLeaseMs?: number | undefined
  /**
   * Whether the last renewal failed, of whoever renewed before: then one is tried though nothing is
   * leased. Default false.
   */
  readonly failing?: boolean
  readonly report: (report: RenewReport) => void
}

export class RenewLoop {
  readonly #options: RenewLoopOptions
  readonly #everyMs: number
  readonly #reader: LeaseReader
  /** At each place the token of the last lease whose start was written. */
  readonly #noted: Float64Array
  #renewAt = Infinity
  #asked = false
  #ticking = false
  #stopTimer: (() => void) | null = null
  #busy: Promise<void> | null = null
  #failures: number
  #restUntil = -Infinity
  #hasWorked = false
  #stopped = false

  constructor(options: RenewLoopOptions) {
    this.#options = options
    const { leaseMs, firstLeaseMs = leaseMs } = options
    this.#everyMs = renewEveryMs(Math.min(leaseMs, firstLeaseMs))
    this.#failures = options.failing === true ? 1 : 0
    this.#reader = new LeaseReader(options.shared)
    this.#noted = new Float64Array(options.shared.states.length)
  }

  /** Looks after the leases of the table from now on, until none is left. */
  wake(): void {
    if (this.#renewAt === Infinity) this.#renewAt = this.#options.ticks() + this.#everyMs
    this.#tickSoon()
  }

  /** Renews at once, to learn of cancels. */
  check(): void {
    if (this.#renewAt === Infinity) return
    this.#asked = true
    if (this.#busy !== null) return
    this.#stopTimer?.()
    this.#ticking = false
    void this.#tick()
  }

  /** Renews nothing more; resolves when the call under way has ended. */
  async stop(): Promise<void> {
    this.#stopped = true
    this.#stopTimer?.()
    await this.#busy
  }

  #tickSoon(): void {
    if (this.#ticking || this.#stopped) return
    this.#ticking = true
    this.#stopTimer = this.#options.clock.after(tickMs, () => {
      this.#ticking = false
      void this.#tick()
    })
  }

  /** One look at the table. A look that comes while a call is under way waits for the next tick. */
  async #tick(): Promise<void> {
    if (this.#busy === null) {
      this.#busy = this.#work()
      await this.#busy
      this.#busy = null
    }
    if (this.#failures === 0 && this.#reader.rests()) this.#renewAt = Infinity
    else this.#tickSoon()
  }

  async #work(): Promise<void> {
    const { ticks, leaseMs, report } = this.#options
    const now = ticks()
    if (now < this.#restUntil) return
    const isDue = now >= this.#renewAt || this.#asked || this.#failures > 0
    try {
      // First, so that a start that cannot be written costs no lease.
      if (isDue) await this.#renew(now)
      await this.#noteStarts(now)
      if (!isDue) return
      if (this.#failures > 0 || !this.#hasWorked) report({ kind: 'worked' })
      this.#failures = 0
      this.#hasWorked = true
    } catch (error) {
      if (isErrandError(error, 'store-replaced')) this.#loseAll()
      // What failed is repeated well before the lease ends, but never without a pause.
      this.#failures++
      const restMs = Math.min(leaseMs / 10, 100 * 2 ** Math.min(this.#failures, 5))
      this.#restUntil = ticks() + restMs * (0.5 + Math.random() / 2)
      report({ kind: 'failed', error })
    }
  }

  /** Whatever lies in the place of the store knows nothing of its leases. */
  #loseAll(): void {
    const leases: LeaseRef[] = []
    for (const index of this.#reader.held()) {
      const lease = this.#reader.lease(index, this.#reader.tokenAt(index))
      if (lease !== null) leases.push(lease)
    }
    this.#options.report({ kind: 'lost', leases })
  }

  async #noteStarts(now: number): Promise<void> {
    const { store, shared } = this.#options
    const notes: (Note & { kind: 'start' })[] = []
    const places: number[] = []
    for (const index of this.#reader.held()) {
      const token = this.#reader.tokenAt(index)
      if (shared.startNoted[index] === 1 || this.#noted[index] === token) continue
      if (Atomics.load(shared.states, index) !== entryState.running) continue
      const agoMs = now - (shared.startedAt[index] ?? now)
      if (agoMs < noteStartAfterMs || notes.length === batch) continue
      const lease = this.#reader.lease(index, token)
      if (lease === null) continue
      notes.push({ kind: 'start', ...lease, agoMs: Math.round(agoMs) })
      places.push(index)
    }
    if (notes.length === 0) return
    await this.#answered(store.note(notes))
    for (const [n, index] of places.entries()) this.#noted[index] = notes[n]?.token ?? 0
  }

  async #renew(now: number): Promise<void> {
    const { store, shared, leaseMs, report } = this.#options
    this.#asked = false
    const due: LeaseRef[] = []
    for (const index of this.#reader.held()) {
      if (now >= (shared.renewUntil[index] ?? 0)) continue
      const lease = this.#reader.lease(index, this.#reader.tokenAt(index))
      if (lease !== null) due.push(lease)
    }
    if (due.length === 0 && this.#failures > 0)
      await this.#answered(store.renew([nobodys], leaseMs))
    const lost: LeaseRef[] = []
    const cancelled: LeaseRef[] = []
    for (let from = 0; from < due.length; from += batch) {
      const part = due.slice(from, from + batch)
      const answers = await this.#answered(store.renew(part, leaseMs))
      for (const [i, answer] of answers.entries()) {
        const lease = part[i]
        if (lease === undefined || answer === 'renewed') continue
        if (answer === 'stale') lost.push(lease)
        else cancelled.push(lease)
      }
    }
    this.#renewAt = now + this.#everyMs
    if (lost.length > 0) report({ kind: 'lost', leases: lost })
    if (cancelled.length > 0) report({ kind: 'cancel', leases: cancelled })
  }

  /**
   * A call that hangs is made again long before others may take the silence for the end of this
   * worker.
   */
  #answered<T>(call: Promise<T>): Promise<T> {
    const { clock, leaseMs } = this.#options
    return answered(clock, call, { withinMs: Math.max(leaseMs / 6, leastAnswerMs) })
  }
}
