/**
 * Renews the leases of one worker and writes the start of runs that last. It runs in a thread of its own, so that a
 * handler that blocks the event loop keeps its lease; or on the event loop, for stores that no thread can open.
 *
 * Modes: resting (no leases: no timer) → ticking (leases held: a look at the table each tick, a renewal each third of
 * the lease). `add` and `check` end the rest; a tick that finds no lease begins it.
 */
import type { Clock } from '../core/clock.ts'
import type { LeaseRef, Note, Store } from '../store.ts'
import { answered } from './supervised.ts'
import { entryState, type LeaseEntry, type SharedLeases } from './lease-table.ts'
import type { Ticks } from './time.ts'

/** What the loop tells the worker. */
export type RenewReport =
  | { readonly kind: 'lost' | 'cancel'; readonly leases: readonly LeaseRef[] }
  | { readonly kind: 'failed'; readonly error: unknown }
  | { readonly kind: 'worked' }

/** A run's start is written once it has lasted this long; shorter runs are settled before it would matter. */
const noteStartAfterMs = 50
const tickMs = 50
const batch = 1_000
/** A renewal is given at least this long. */
const leastAnswerMs = 250

export interface RenewLoopOptions {
  readonly store: Pick<Store, 'renew' | 'note'>
  readonly clock: Clock
  readonly ticks: Ticks
  readonly shared: SharedLeases
  readonly leaseMs: number
  readonly report: (report: RenewReport) => void
}

export class RenewLoop {
  readonly #options: RenewLoopOptions
  readonly #leases = new Map<number, LeaseEntry & { noted: boolean }>()
  #renewAt = Infinity
  #asked = false
  #ticking = false
  #stopTimer: (() => void) | null = null
  #busy: Promise<void> | null = null
  #failures = 0
  #restUntil = -Infinity
  #hasWorked = false
  #stopped = false

  constructor(options: RenewLoopOptions) {
    this.#options = options
  }

  /** Takes over leases that were just claimed. */
  add(entries: readonly LeaseEntry[]): void {
    for (const entry of entries)
      this.#leases.set(entry.index, { ...entry, noted: entry.startNoted })
    if (this.#renewAt === Infinity)
      this.#renewAt = this.#options.ticks() + this.#options.leaseMs / 3
    this.#tickSoon()
  }

  /** Renews at once, to learn of cancels. */
  check(): void {
    if (this.#leases.size === 0) return
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
    if (this.#leases.size > 0) this.#tickSoon()
    else this.#renewAt = Infinity
  }

  async #work(): Promise<void> {
    const { ticks, leaseMs, report } = this.#options
    const now = ticks()
    if (now < this.#restUntil) return
    try {
      await this.#noteStarts(now)
      if (now < this.#renewAt && !this.#asked) return
      this.#asked = false
      await this.#renew(now)
      this.#renewAt = now + leaseMs / 3
      if (this.#failures > 0 || !this.#hasWorked) report({ kind: 'worked' })
      this.#failures = 0
      this.#hasWorked = true
    } catch (error) {
      // A failed renewal is repeated well before the lease ends, but never without a pause.
      this.#failures++
      const restMs = Math.min(leaseMs / 10, 100 * 2 ** Math.min(this.#failures, 5))
      this.#renewAt = this.#restUntil = ticks() + restMs * (0.5 + Math.random() / 2)
      report({ kind: 'failed', error })
    }
  }

  async #noteStarts(now: number): Promise<void> {
    const { store, clock, shared } = this.#options
    const notes: (Note & { kind: 'start' })[] = []
    const noted: { noted: boolean }[] = []
    for (const lease of this.#leases.values()) {
      const state = shared.states[lease.index]
      if (state === entryState.free) {
        this.#leases.delete(lease.index)
      } else if (state === entryState.running && !lease.noted) {
        const agoMs = now - (shared.startedAt[lease.index] ?? now)
        if (agoMs < noteStartAfterMs || notes.length === batch) continue
        notes.push({ kind: 'start', id: lease.id, token: lease.token, agoMs: Math.round(agoMs) })
        noted.push(lease)
      }
    }
    if (notes.length === 0) return
    await answered(clock, store.note(notes))
    for (const lease of noted) lease.noted = true
  }

  async #renew(now: number): Promise<void> {
    const { store, clock, shared, leaseMs, report } = this.#options
    const due = [...this.#leases.values()].filter(
      ({ index }) =>
        shared.states[index] !== entryState.free && now < (shared.renewUntil[index] ?? 0),
    )
    const lost: LeaseRef[] = []
    const cancelled: LeaseRef[] = []
    for (let from = 0; from < due.length; from += batch) {
      const part = due.slice(from, from + batch)
      const refs = part.map(({ id, token }) => ({ id, token }))
      // A renewal that hangs is tried again long before others may take the silence for the end of this worker.
      const withinMs = Math.max(leaseMs / 6, leastAnswerMs)
      const answers = await answered(clock, store.renew(refs, leaseMs), undefined, withinMs)
      for (const [i, answer] of answers.entries()) {
        const lease = part[i]
        if (lease === undefined || answer === 'renewed') continue
        const ref = { id: lease.id, token: lease.token }
        if (answer === 'stale') lost.push(ref)
        else cancelled.push(ref)
      }
    }
    if (lost.length > 0) report({ kind: 'lost', leases: lost })
    if (cancelled.length > 0) report({ kind: 'cancel', leases: cancelled })
  }
}
