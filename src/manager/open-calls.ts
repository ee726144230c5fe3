/**
 * The requests that a manager has not answered yet. Those that wait or stream are told to end when
 * the manager stops, and within a second or two when their token is revoked.
 */
import { sleep, type Clock } from '../core/clock.ts'
import type { Caller } from './caller.ts'

/** How often the tokens of waiting calls are looked at. */
const lookMs = 500

interface Followed {
  readonly caller: Caller
  readonly abort: () => void
}

export interface OpenCallsOptions {
  readonly clock: Clock
  /** Whether the caller's token was not revoked. */
  readonly stillKnown: (caller: Caller) => Promise<boolean>
}

export class OpenCalls {
  readonly #options: OpenCallsOptions
  readonly #followed = new Set<Followed>()
  #count = 0
  #stopping = false
  /** Aborts when all are answered. */
  readonly #quiet = new AbortController()
  #stopLooking: (() => void) | null = null

  constructor(options: OpenCallsOptions) {
    this.#options = options
  }

  get count(): number {
    return this.#count
  }

  get isStopping(): boolean {
    return this.#stopping
  }

  begin(): void {
    this.#count++
  }

  /** One is answered. */
  end(): void {
    if (--this.#count === 0 && this.#stopping) this.#quiet.abort()
  }

  /** Ends a call early when it must not go on. */
  follow(call: Followed): void {
    if (this.#stopping) return call.abort()
    this.#followed.add(call)
    this.#lookLater()
  }

  leave(call: Followed): void {
    this.#followed.delete(call)
  }

  /** Aborts what waits; resolves when all are answered, or after so long. */
  async stop(graceMs: number): Promise<void> {
    this.#stopping = true
    this.#stopLooking?.()
    for (const { abort } of this.#followed) abort()
    this.#followed.clear()
    if (this.#count === 0) return
    await sleep(this.#options.clock, graceMs, this.#quiet.signal)
  }

  #lookLater(): void {
    if (this.#stopLooking !== null || this.#stopping || this.#followed.size === 0) return
    this.#stopLooking = this.#options.clock.after(lookMs, () => {
      void this.#look().finally(() => {
        this.#stopLooking = null
        this.#lookLater()
      })
    })
  }

  async #look(): Promise<void> {
    for (const call of this.#followed) {
      const { caller, abort } = call
      // A store that does not answer says nothing of a token; what a call waits for does not come either.
      const isKnown = await this.#options.stillKnown(caller).catch(() => true)
      if (!isKnown) abort()
    }
  }
}
