/**
 * Lets workers that are told to restart do so one after another: each takes a lock of the store, and
 * keeps it until it has stopped.
 *
 * waiting (asks for the lock once a second) → at its turn (until as many workers run as when it
 * began to wait, so that the one before has been replaced, but not for ever) → ending (the lock is
 * extended until it has stopped, and runs out a moment later).
 */
import { createHash, randomUUID } from 'node:crypto'
import { hostname } from 'node:os'
import type { App } from '../app/app.ts'
import { concerns, restartLocks, type Order } from '../core/control.ts'
import { answered } from '../loops/call-deadline.ts'
import type { Ticks } from '../loops/time.ts'

/** Times in milliseconds. */
const times = {
  askMs: 1_000,
  ttlMs: 15_000,
  extendMs: 4_000,
  /** How long the lock outlives the worker: its successor is there in less. */
  lastMs: 2_000,
  /** How long it waits for the successor of the one before. */
  replacedMs: 30_000,
  /** A worker that was not seen for so long does not run. */
  lostMs: 30_000,
} as const

export interface RestartTurnOptions {
  readonly app: App
  readonly worker: string
  readonly ticks: Ticks
}

/** The lock of the restarts of one target; no singleton has a name like it. */
function lockOf({ kind, name }: Order): string {
  const hash = createHash('sha256').update(name).digest('hex').slice(0, 16)
  return `${restartLocks}${kind}:${hash}`
}

export class RestartTurn {
  readonly #options: RestartTurnOptions
  readonly #holder = randomUUID()
  #order: Order | null = null
  /** How many workers ran when it began to wait. */
  #living = 0
  #token: number | null = null
  #turnSince = 0
  #heldAt = 0
  #stopExtending: () => void = () => undefined

  constructor(options: RestartTurnOptions) {
    this.#options = options
  }

  /**
   * Asks whether it is this worker's turn; resolves with null if it is, else with when to ask again,
   * in milliseconds.
   */
  async take(order: Order): Promise<number | null> {
    const { ticks } = this.#options
    if (this.#order?.id !== order.id) {
      this.#living = await this.#countLiving(order)
      this.#order = order
    }
    if (this.#token === null) {
      this.#token = await this.#hold(null, times.ttlMs)
      if (this.#token === null) return times.askMs
      this.#turnSince = ticks()
    } else if (ticks() - this.#heldAt >= times.extendMs) {
      this.#token = await this.#hold(this.#token, times.ttlMs)
      if (this.#token === null) return times.askMs
    }
    const isLate = ticks() - this.#turnSince >= times.replacedMs
    if (!isLate && (await this.#countLiving(order)) < this.#living) return times.askMs
    this.#extendLater()
    return null
  }

  /** The worker has stopped: the next one may begin in a moment. */
  async pass(): Promise<void> {
    this.#stopExtending()
    if (this.#token === null) return
    const token = this.#token
    this.#token = null
    await this.#hold(token, times.lastMs)
  }

  /** Returns the token; null while another has the lock. */
  async #hold(token: number | null, ttlMs: number): Promise<number | null> {
    const { app, ticks } = this.#options
    if (this.#order === null) return null
    const call = app.store.hold({
      name: lockOf(this.#order),
      holder: this.#holder,
      token,
      ttlMs,
      host: hostname(),
      pid: process.pid,
    })
    const answer = await answered(app.store.clock, call)
    this.#heldAt = ticks()
    return answer.status === 'held' ? answer.token : null
  }

  /** While the worker stops. Where this fails, another may begin before it has ended. */
  #extendLater(): void {
    const { app } = this.#options
    this.#stopExtending = app.store.clock.after(times.extendMs, () => {
      const token = this.#token
      if (token === null) return
      this.#hold(token, times.ttlMs).catch((error: unknown) =>
        app.events.emit('part-failed', { part: 'control', error, againMs: times.extendMs }),
      )
      this.#extendLater()
    })
  }

  async #countLiving(order: Order): Promise<number> {
    const { store } = this.#options.app
    const workers = await answered(store.clock, store.workers())
    const seenSince = Math.max(...workers.map(({ lastSeenAt }) => lastSeenAt)) - times.lostMs
    return workers.filter(
      ({ id, group = null, slots, stopped, lastSeenAt }) =>
        !stopped && slots > 0 && lastSeenAt >= seenSince && concerns(order, { id, group }),
    ).length
  }
}
