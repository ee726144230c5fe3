/**
 * Holds one lock for one process: takes it, extends it each third of its time, and frees it. It runs in a thread of its own, so that a task that
 * blocks the event loop keeps its lock; or on the event loop, for locks that no thread can open.
 *
 * Modes: idle → holding, by a `take` that is answered `held`, or by `adopt` → idle again, by a `release`, by an extension that is answered
 * `taken`, by a store that is not the one that gave the lock, or by the end of the time for which the last answer was good. Calls go to the server
 * one at a time.
 */
import { isErrandError } from '../core/errors.ts'
import { longestTimerMs } from '../core/clock.ts'
import type { HoldAnswer, Holding, Locks } from '../store/locks.ts'
import { clearTimeout, setTimeout } from '../core/timers.ts'

/** Where the loop writes until when its process may believe in the lock, on the machine's monotonic clock, for all threads to read. */
interface SharedBelief {
  /** One number: milliseconds of `machineTicks`; 0 while the lock is not held. */
  readonly until: Float64Array
}

export interface HoldLoopOptions {
  readonly locks: Locks
  readonly name: string
  readonly holder: string
  readonly ttlMs: number
  readonly host: string
  readonly pid: number
  readonly belief: SharedBelief
  readonly ticks: () => number
  readonly report: (report: HoldReport) => void
}

/** What the loop tells its process unasked. */
export type HoldReport =
  /** The holding has ended, and not by a release. */
  | {
      readonly kind: 'lost'
      readonly token: number
      readonly why: 'taken' | 'replaced' | 'silence'
    }
  /** An extension failed; it is tried again. */
  | { readonly kind: 'failed'; readonly error: unknown }
  | { readonly kind: 'worked' }

/** A holder believes in its lock a little shorter than it lasts, so that its signal has aborted when the lock passes on. */
const marginShare = 0.05
const extendShare = 1 / 3
/** Pauses between extensions that fail, as shares of the lock's time. */
const retryShare = { first: 1 / 60, most: 1 / 12 } as const

export class HoldLoop {
  readonly #options: HoldLoopOptions
  #token: number | null = null
  #failures = 0
  #isLoose = false
  #timer: NodeJS.Timeout | null = null
  #turn: Promise<unknown> = Promise.resolve()

  constructor(options: HoldLoopOptions) {
    this.#options = options
  }

  /** Tries once to take the lock. Rejects when the server does not answer. */
  take(): Promise<HoldAnswer> {
    return this.#inTurn(async () => {
      const answer = await this.#hold(null)
      if (answer.status === 'held') this.#extendLater()
      return answer
    })
  }

  /** Goes on with a holding that another loop of this process began, and extends it at once. */
  adopt(token: number): void {
    this.#token = token
    void this.#extendNow()
  }

  /** Extends now. Answers whether the lock is still held. Rejects when the server does not answer. */
  extend(): Promise<boolean> {
    return this.#inTurn(async () => {
      const token = this.#token
      return token !== null && (await this.#extend(token))
    })
  }

  /** Frees the lock; when the server does not answer it is only given up. */
  release(): Promise<void> {
    return this.#inTurn(async () => {
      const { locks, name, holder } = this.#options
      const token = this.#token
      if (token === null) return
      const holding: Holding = { name, holder, token }
      this.#letGo()
      await locks.release(holding)
    })
  }

  /** From now on its timer does not keep the process. */
  unref(): void {
    this.#isLoose = true
    this.#timer?.unref()
  }

  #inTurn<T>(action: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(action)
    this.#turn = turn.catch(() => {})
    return turn
  }

  /** Asks the server, and believes its answer from before the question on. */
  async #hold(token: number | null): Promise<HoldAnswer> {
    const { locks, name, holder, ttlMs, host, pid, belief, ticks } = this.#options
    const askedAt = ticks()
    const answer = await locks.hold({ name, holder, token, ttlMs, host, pid })
    if (answer.status === 'taken') return answer
    this.#token = answer.token
    belief.until[0] = askedAt + answer.validMs * (1 - marginShare)
    return answer
  }

  async #extend(token: number): Promise<boolean> {
    const { report } = this.#options
    const answer = await this.#hold(token).catch((error: unknown) => {
      if (isErrandError(error, 'store-replaced')) this.#lose(token, 'replaced')
      throw error
    })
    if (this.#failures > 0) report({ kind: 'worked' })
    this.#failures = 0
    if (answer.status === 'held') {
      this.#extendLater()
      return true
    }
    this.#lose(token, 'taken')
    return false
  }

  #extendLater(): void {
    const { ttlMs, belief, ticks } = this.#options
    const share =
      this.#failures === 0
        ? extendShare
        : Math.min(retryShare.first * 2 ** (this.#failures - 1), retryShare.most)
    // The end of the belief is not slept over.
    const untilMs = Math.max((belief.until[0] ?? 0) - ticks(), 0)
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = setTimeout(
      () => void this.#extendNow(),
      Math.min(ttlMs * share, untilMs, longestTimerMs),
    )
    if (this.#isLoose) this.#timer.unref()
  }

  async #extendNow(): Promise<void> {
    const { belief, ticks, report } = this.#options
    const token = this.#token
    if (token === null) return
    const late = (): boolean => ticks() >= (belief.until[0] ?? 0)
    try {
      await this.#inTurn(async () => {
        if (this.#token === token) await this.#extend(token)
      })
    } catch (error) {
      this.#failures++
      report({ kind: 'failed', error })
      if (this.#token !== token) return
      if (late()) this.#lose(token, 'silence')
      else this.#extendLater()
    }
  }

  #lose(token: number, why: 'taken' | 'replaced' | 'silence'): void {
    this.#letGo()
    this.#options.report({ kind: 'lost', token, why })
  }

  #letGo(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    this.#token = null
    this.#failures = 0
    this.#options.belief.until[0] = 0
  }
}
