/**
 * Obeys the orders of operators, which lie in one record of the store.
 *
 * Modes: resting (until a hint that a record has changed, or the slow look) → looking → resting.
 * While a drain is in force it also looks whether anything still runs here, and while a restart is,
 * whether it is this worker's turn. What it knew holds while the record cannot be read.
 */
import type { App } from '../app/app.ts'
import { controlKey, readOrders, standingOf, type Order, type Standing } from '../core/control.ts'
import { isErrandError } from '../core/errors.ts'
import { answered } from '../loops/call-deadline.ts'
import { Loop } from '../loops/supervised.ts'
import type { Ticks } from '../loops/time.ts'
import type { Holds } from './holds.ts'
import { RestartTurn } from './restart-turn.ts'

/** Times in milliseconds. */
const looks = {
  /** After a hint, at most this often. */
  leastMs: 500,
  /** While an order is in force. */
  inForceMs: 5_000,
  /** In case a hint was lost, or the store gives none: the worker's poll, but not more often. */
  leastPollMs: 5_000,
  /** Whether a drain is over. */
  drainMs: 100,
} as const

/** Why an operator ends a worker, with the order. */
export type Told = (why: 'drain' | 'stop' | 'restart', order: Order) => void

export interface ControlWatchOptions {
  readonly app: App
  readonly worker: string
  readonly group: string | null
  readonly holds: Holds
  readonly ticks: Ticks
  readonly pollMs: number
  /** Whether no job runs here, and all that ran is settled. */
  readonly isAtRest: () => boolean
}

const nothing: Standing = { held: null, tasks: new Set(), restarts: [] }

export class ControlWatch {
  readonly loop: Loop
  readonly #options: ControlWatchOptions
  readonly #turn: RestartTurn
  #standing: Standing = nothing
  #text: string | null = null
  #lookedAt = -Infinity
  #isHinted = false
  /** Restarts that were in force when this worker started, or have been obeyed. */
  #knownRestarts: Set<string> | null = null
  #told: Told | null = null
  readonly #pausedSince = new Map<string, number>()

  constructor(options: ControlWatchOptions) {
    const { app } = options
    this.#options = options
    this.#turn = new RestartTurn(options)
    this.loop = new Loop('control', app.events, app.store.clock, () => this.#pass())
  }

  /** Looks once, before anything is claimed. Rejects when the store cannot be reached. */
  first(): Promise<void> {
    return this.#look()
  }

  /**
   * `told` is called at most once, with the order that ends this worker. Before the loop starts,
   * which looks anew: hints between the first look and the watch came to nobody.
   */
  obey(told: Told): void {
    this.#told = told
    this.#lookedAt = -Infinity
  }

  /** A record of the store has changed: it may be the orders. */
  hint(): void {
    this.#isHinted = true
    this.loop.wake()
  }

  /**
   * For how long a job of this task is to be put aside, in milliseconds; null while the task is not
   * paused. As long as the pause has lasted, so that a short one keeps nothing for long.
   */
  putAsideMs(names: readonly string[]): number | null {
    const since = names.map((name) => this.#pausedSince.get(name)).find((at) => at !== undefined)
    if (since === undefined) return null
    const lastedMs = Math.round(this.#options.ticks() - since)
    return Math.min(Math.max(lastedMs, aside.leastMs), aside.mostMs)
  }

  async stop(): Promise<void> {
    this.#told = null
    await this.loop.stop()
  }

  /** Lets the next worker of a restart begin. */
  async ended(): Promise<void> {
    await this.#turn.pass()
  }

  async #pass(): Promise<number> {
    const { ticks, isAtRest } = this.#options
    const sinceMs = ticks() - this.#lookedAt
    if (sinceMs >= this.#lookEveryMs) await this.#look()
    const { held } = this.#standing
    if (held?.verb === 'stop') this.#end('stop', held)
    if (held?.verb === 'drain' && isAtRest()) this.#end('drain', held)
    const restart = this.#dueRestart
    const turnMs = restart === null ? Infinity : await this.#takeTurn(restart)
    const drainMs = held?.verb === 'drain' && this.#told !== null ? looks.drainMs : Infinity
    const lookMs = this.#lookedAt + this.#lookEveryMs - ticks()
    return Math.max(1, Math.min(lookMs, drainMs, turnMs))
  }

  get #lookEveryMs(): number {
    if (this.#isHinted) return looks.leastMs
    if (this.#text !== null) return looks.inForceMs
    return Math.max(this.#options.pollMs, looks.leastPollMs)
  }

  get #dueRestart(): Order | null {
    return this.#standing.restarts.find(({ id }) => !this.#knownRestarts?.has(id)) ?? null
  }

  async #takeTurn(order: Order): Promise<number> {
    const againMs = await this.#turn.take(order)
    if (againMs !== null) return againMs
    this.#end('restart', order)
    return Infinity
  }

  #end(why: 'drain' | 'stop' | 'restart', order: Order): void {
    const told = this.#told
    this.#told = null
    told?.(why, order)
  }

  async #look(): Promise<void> {
    const { app, ticks } = this.#options
    this.#isHinted = false
    const text = await this.#read()
    this.#lookedAt = ticks()
    if (text === undefined || (text === this.#text && this.#knownRestarts !== null)) return
    const orders = readOrders(text)
    if (orders === null) {
      app.events.warn('control-unreadable', { worker: this.#options.worker })
      this.#text = text
      return
    }
    this.#text = text
    this.#heed(orders)
  }

  /** Undefined for a worker that may not read records. */
  async #read(): Promise<string | null | undefined> {
    const { store } = this.#options.app
    try {
      const [text = null] = await answered(store.clock, store.getRecords([controlKey]))
      return text
    } catch (error) {
      if (isErrandError(error, 'forbidden')) return undefined
      throw error
    }
  }

  #heed(orders: readonly Order[]): void {
    const { worker: id, group, holds, ticks } = this.#options
    const standing = standingOf(orders, { id, group })
    this.#knownRestarts ??= new Set(standing.restarts.map((order) => order.id))
    this.#standing = standing
    for (const task of this.#pausedSince.keys())
      if (!standing.tasks.has(task)) this.#pausedSince.delete(task)
    for (const task of standing.tasks)
      if (!this.#pausedSince.has(task)) this.#pausedSince.set(task, ticks())
    holds.set('control', standing.held !== null)
  }
}

/** How long a job of a paused task is put aside, at least and at most, in milliseconds. */
const aside = { leastMs: 5_000, mostMs: 120_000 } as const
