/**
 * Keeps a part of a worker at work: it outlives failures of any length, with jittered back-off, and
 * shows its health.
 */
import { sleep, type Clock } from '../core/clock.ts'
import { isErrandError } from '../core/errors.ts'
import type { EventHub } from '../observe/events.ts'
import { setImmediate } from '../core/timers.ts'

/** Back-off after failures in a row: doubled from the first, drawn between half and all of it. */
const backoffBounds = {
  firstMs: 100,
  maxMs: 4_000,
  /**
   * A wake ends a back-off that has lasted so long: whoever wakes may have heard from the store.
   */
  wakeableMs: 250,
}

/** The health of one part. */
export class Health {
  readonly part: string
  readonly #events: EventHub
  #failures = 0

  constructor(part: string, events: EventHub) {
    this.part = part
    this.#events = events
  }

  /** Failures in a row. */
  get failures(): number {
    return this.#failures
  }

  /** Reports a failure; answers the milliseconds to wait, `leastMs` or more. */
  failed(error: unknown, leastMs = 0): number {
    this.#failures++
    const ceiling = Math.min(
      backoffBounds.firstMs * 2 ** Math.min(this.#failures - 1, 10),
      backoffBounds.maxMs,
    )
    const againMs = Math.max(ceiling / 2 + (Math.random() * ceiling) / 2, leastMs)
    this.#events.emit('part-failed', { part: this.part, error, againMs })
    return againMs
  }

  worked(): void {
    if (this.#failures === 0) return
    this.#events.emit('part-recovered', { part: this.part, failures: this.#failures })
    this.#failures = 0
  }
}

/**
 * Runs `pass` again and again until the signal aborts. A pass answers how many milliseconds to rest
 * before the next one, `Infinity` for until it is woken; `wake` cuts the rest short. A pass that
 * throws is repeated after the back-off, which a wake cuts short, too, once it has lasted a while.
 */
export class Loop {
  readonly health: Health
  readonly #clock: Clock
  readonly #pass: () => Promise<number>
  readonly #stop = new AbortController()
  #rest = new AbortController()
  #woken = false
  #done: Promise<void> | null = null

  constructor(part: string, events: EventHub, clock: Clock, pass: () => Promise<number>) {
    this.health = new Health(part, events)
    this.#clock = clock
    this.#pass = pass
  }

  start(): void {
    this.#done ??= this.#run()
  }

  /**
   * Runs the next pass now, or right after the one under way; during a back-off no sooner than 250
   * ms after the failure.
   */
  wake(): void {
    this.#woken = true
    this.#rest.abort()
  }

  /** Starts no further pass and resolves when the one under way has ended. */
  async stop(): Promise<void> {
    this.#stop.abort()
    this.#rest.abort()
    await this.#done
  }

  async #run(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      try {
        this.#woken = false
        const restMs = await this.#pass()
        this.health.worked()
        if (!this.#woken) await this.#sleep(restMs)
      } catch (error) {
        await this.#backOff(this.health.failed(error))
      }
    }
  }

  async #backOff(ms: number): Promise<void> {
    const firstMs = Math.min(ms, backoffBounds.wakeableMs)
    await sleep(this.#clock, firstMs, this.#stop.signal)
    if (ms > firstMs && !this.#woken) await this.#sleep(ms - firstMs)
  }

  async #sleep(ms: number): Promise<void> {
    if (this.#stop.signal.aborted) return
    // Without a rest the event loop still gets its turn.
    if (ms <= 0) return new Promise((resolve) => setImmediate(resolve))
    this.#rest = new AbortController()
    const { signal } = this.#rest
    if (ms === Infinity) await new Promise((resolve) => signal.addEventListener('abort', resolve))
    else await sleep(this.#clock, ms, signal)
  }
}

const passing = [
  'store-busy',
  'store-unavailable',
  'unknown-outcome',
  'overloaded',
  'timeout',
  'closed',
  'store-corrupt',
  'store-too-new',
  'store-replaced',
  // A token may be made anew, a manager updated.
  'unauthorized',
  'protocol-mismatch',
] as const

/**
 * Whether an error of a store may pass with time, so that the same call is worth another try;
 * `maybe` for errors of unknown kind.
 */
export function mayPass(error: unknown): 'yes' | 'no' | 'maybe' {
  if (!isErrandError(error)) return 'maybe'
  return passing.some((code) => error.code === code) ? 'yes' : 'no'
}

/** Whether an error comes from what was sent: then the store, being well, takes an empty batch. */
export async function isOfTheBatch(
  error: unknown,
  callEmpty: () => Promise<unknown>,
): Promise<boolean> {
  const verdict = mayPass(error)
  if (verdict !== 'maybe') return verdict === 'no'
  try {
    await callEmpty()
    return true
  } catch {
    return false
  }
}
