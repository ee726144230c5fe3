/**
 * Claims that wait for work. They wait in one line for each store and are served in their order, one claim at a time, so that a
 * hint that thousands wait for makes as many claims as there are jobs, and one more for each set of queues.
 *
 * Modes: idle (nobody waits) → resting (until a hint, a due time or the slow look) ⇄ serving.
 */
import { randomUUID } from 'node:crypto'
import type { HandedOut, HandIn, HandOut } from '../../app/hand-in.ts'
import type { Clock } from '../../core/clock.ts'
import { clearTimeout, setTimeout } from '../../core/timers.ts'
import type { Unwatch } from '../../store/worker-calls.ts'
import type { HintHub } from '../store/hint-hub.ts'

/** A look without a hint, and the shortest time between two looks for a due time. */
const looks = { slowMs: 5_000, leastMs: 20 } as const

/** Jobs of dead workers are looked for so often, by the tasks of those who wait or ask. */
const sweepMs = 5_000

/** More than this many tasks to sweep for, and ids of claims, are forgotten, the longest ago first. */
const mostKept = 10_000

interface Waiter {
  readonly request: HandOut
  /** The same for those who ask for the same. */
  readonly key: string
  readonly done: (handed: HandedOut) => void
  readonly failed: (error: unknown) => void
}

export class Line {
  readonly #handIn: HandIn
  readonly #hub: HintHub
  readonly #waiters = new Set<Waiter>()
  readonly #clock: Clock
  readonly #sweptAt = new Map<string, number>()
  /** Under which id a claim got its jobs that had to wait for them. */
  readonly #givenUnder = new Map<string, string>()
  #unlisten: Unwatch | null = null
  #timer: NodeJS.Timeout | undefined
  #isServing = false
  #isAsked = false

  constructor(handIn: HandIn, hub: HintHub, clock: Clock) {
    this.#handIn = handIn
    this.#clock = clock
    this.#hub = hub
  }

  /** Claims, and waits for work up to so long; nothing is claimed for a caller whose signal has aborted. */
  async claim(request: HandOut, waitMs: number, signal: AbortSignal): Promise<HandedOut> {
    await this.#sweep(request.tasks)
    const { id } = request
    const earlier = id === null ? undefined : this.#givenUnder.get(id)
    if (earlier !== undefined) return this.#handIn.claim({ ...request, id: earlier })
    const handed = await this.#handIn.claim(request)
    if (signal.aborted) return this.#giveBack(request, handed)
    if (handed.jobs.length > 0 || waitMs <= 0) return handed
    return this.#wait(request, waitMs, signal, handed.nextDueMs)
  }

  #wait(
    request: HandOut,
    waitMs: number,
    signal: AbortSignal,
    nextDueMs: number | null,
  ): Promise<HandedOut> {
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        this.#waiters.delete(waiter)
        clearTimeout(timer)
        signal.removeEventListener('abort', stop)
        if (this.#waiters.size === 0) this.#rest()
      }
      const stop = (): void => {
        leave()
        resolve({ jobs: [], nextDueMs: null })
      }
      const waiter: Waiter = {
        request,
        key: JSON.stringify([request.queues.toSorted(), request.tasks.toSorted()]),
        done: (handed) => {
          leave()
          resolve(handed)
        },
        failed: (error) => {
          leave()
          reject(error)
        },
      }
      const timer = setTimeout(stop, waitMs)
      timer.unref()
      signal.addEventListener('abort', stop, { once: true })
      this.#waiters.add(waiter)
      this.#unlisten ??= this.#hub.listen((hint) => {
        if (hint === 'work' || hint === 'paused') this.#look()
      })
      this.#lookIn(nextDueMs)
    })
  }

  /** Serves the line, once more if it is being served: what came meanwhile may be for those at its head. */
  #look(): void {
    this.#isAsked = true
    if (!this.#isServing) void this.#serve()
  }

  async #serve(): Promise<void> {
    this.#isServing = true
    while (this.#isAsked) {
      this.#isAsked = false
      const empty = new Set<string>()
      let nextDueMs: number | null = null
      for (const waiter of this.#waiters) {
        if (empty.has(waiter.key)) continue
        try {
          await this.#sweep(waiter.request.tasks)
          // It may have left meanwhile.
          if (!this.#waiters.has(waiter)) continue
          const handed = await this.#try(waiter)
          if (!this.#waiters.has(waiter)) await this.#giveBack(waiter.request, handed)
          else if (handed.jobs.length > 0) waiter.done(handed)
          else empty.add(waiter.key)
          nextDueMs = earlier(nextDueMs, handed.nextDueMs)
        } catch (error) {
          waiter.failed(error)
        }
      }
      this.#lookIn(nextDueMs)
    }
    this.#isServing = false
  }

  /** Claims once more for one who waits: each try has an id of its own, for a try that is repeated finds nothing new. */
  async #try({ request }: Waiter): Promise<HandedOut> {
    if (request.id === null) return this.#handIn.claim(request)
    const id = randomUUID()
    const handed = await this.#handIn.claim({ ...request, id })
    if (handed.jobs.length > 0) keep(this.#givenUnder, request.id, id)
    return handed
  }

  /** For a caller who has gone. One whose claim has an id asks again, and finds its jobs. */
  async #giveBack({ id, worker }: HandOut, { jobs }: HandedOut): Promise<HandedOut> {
    if (id === null)
      for (const job of jobs) await this.#handIn.end(job, worker, { kind: 'release', ranMs: null })
    return { jobs: [], nextDueMs: null }
  }

  #lookIn(nextDueMs: number | null): void {
    if (this.#waiters.size === 0) return this.#rest()
    clearTimeout(this.#timer)
    const ms = Math.max(looks.leastMs, Math.min(nextDueMs ?? looks.slowMs, looks.slowMs))
    this.#timer = setTimeout(() => this.#look(), ms)
    this.#timer.unref()
  }

  #rest(): void {
    clearTimeout(this.#timer)
    this.#unlisten?.()
    this.#unlisten = null
  }

  async #sweep(tasks: readonly string[]): Promise<void> {
    const now = this.#clock.now()
    const due = tasks.filter(
      (task) => Math.abs(now - (this.#sweptAt.get(task) ?? -Infinity)) >= sweepMs,
    )
    if (due.length === 0) return
    for (const task of due) keep(this.#sweptAt, task, now)
    await this.#handIn.sweep(due)
  }
}

/** Keeps a value as the newest, and forgets the oldest beyond the bound. */
function keep<T>(map: Map<string, T>, key: string, value: T): void {
  map.delete(key)
  map.set(key, value)
  if (map.size <= mostKept) return
  const [oldest] = map.keys()
  map.delete(oldest ?? '')
}

function earlier(a: number | null, b: number | null): number | null {
  return a === null ? b : b === null ? a : Math.min(a, b)
}
