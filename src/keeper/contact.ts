/**
 * Whether a process has been in unbroken contact with the store. After any gap, on either side, it
 * waits for one renew interval of contact before it rescues jobs, so that live workers can renew
 * first.
 */
import { renewEveryMs } from '../loops/renew-interval.ts'
import type { Ticks } from '../loops/time.ts'

/** For short leases contact takes this long: clients take a moment to come back, too. */
const leastContactMs = 1_000

export class Contact {
  readonly #leaseMs: number
  readonly #ticks: Ticks
  /** Since when every call was made and answered in time; null after a failure. */
  #since: number | null = null
  #heardAt = -Infinity

  constructor(leaseMs: number, ticks: Ticks) {
    this.#leaseMs = leaseMs
    this.#ticks = ticks
  }

  /** Whether it has lasted long enough to rescue jobs. */
  get isLong(): boolean {
    const sinceMs = this.#ticks() - (this.#since ?? Infinity)
    return sinceMs >= Math.max(renewEveryMs(this.#leaseMs), leastContactMs)
  }

  /** A heartbeat was answered. */
  heard(): void {
    const now = this.#ticks()
    // A shorter silence lets no lease run out that is renewed in time.
    if (now - this.#heardAt > 2 * renewEveryMs(this.#leaseMs)) this.#since = null
    this.#heardAt = now
    this.#since ??= now
  }

  /** Makes calls whose failure is a silence of the store. */
  async during<T>(calls: () => Promise<T>): Promise<T> {
    try {
      return await calls()
    } catch (error) {
      this.#since = null
      throw error
    }
  }
}
