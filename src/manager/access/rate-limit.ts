/** Limits how many requests a token makes in a window of time, at this manager. */
import { formatMs } from '../../core/duration.ts'
import type { Ticks } from '../../loops/time.ts'

export interface RateLimit {
  readonly requests: number
  readonly windowMs: number
}

/** Where a caller stands after a request. */
export interface Rate {
  readonly allowed: boolean
  /** `RateLimit` and `RateLimit-Policy`, as draft-ietf-httpapi-ratelimit-headers-11 writes them. */
  readonly headers: Readonly<Record<string, string>>
  /** Whole seconds until the window ends. */
  readonly resetSeconds: number
}

export class RateLimiter {
  readonly #limit: RateLimit
  readonly #ticks: Ticks
  readonly #used = new Map<string, number>()
  #endsAt = -Infinity

  constructor(limit: RateLimit, ticks: Ticks) {
    this.#limit = limit
    this.#ticks = ticks
  }

  /** What is let in, such as `600 in 1 min`. */
  get text(): string {
    return `${this.#limit.requests} in ${formatMs(this.#limit.windowMs)}`
  }

  /** Counts one request. All windows begin and end together, so no more is kept than callers of one window. */
  count(caller: string): Rate {
    const { requests, windowMs } = this.#limit
    const now = this.#ticks()
    if (now >= this.#endsAt) {
      this.#used.clear()
      this.#endsAt = now + windowMs
    }
    const used = this.#used.get(caller) ?? 0
    const allowed = used < requests
    if (allowed) this.#used.set(caller, used + 1)
    const resetSeconds = Math.max(1, Math.ceil((this.#endsAt - now) / 1_000))
    const left = allowed ? requests - used - 1 : 0
    const headers = {
      'ratelimit-policy': `"default";q=${requests};w=${Math.ceil(windowMs / 1_000)}`,
      ratelimit: `"default";r=${left};t=${resetSeconds}`,
    }
    return { allowed, headers, resetSeconds }
  }
}
