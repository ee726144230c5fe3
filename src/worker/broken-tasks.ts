/**
 * Tasks that cannot be started here: a module that does not load, a program that is not there. Their
 * jobs are given back, so that other workers run them, and for a while, which grows with each
 * failure, none is tried.
 */
import { isErrandError } from '../core/errors.ts'
import type { Ticks } from '../loops/time.ts'
import type { EventHub } from '../observe/events.ts'

const pause = { firstMs: 1_000, mostMs: 300_000 } as const

interface Broken {
  readonly until: number
  readonly times: number
}

export class BrokenTasks {
  readonly #tasks = new Map<string, Broken>()
  readonly #events: EventHub
  readonly #ticks: Ticks

  constructor(events: EventHub, ticks: Ticks) {
    this.#events = events
    this.#ticks = ticks
  }

  /** Whether jobs of the task are left to others now. */
  has(task: string): boolean {
    return this.#tasks.size > 0 && this.#ticks() < (this.#tasks.get(task)?.until ?? -Infinity)
  }

  /** It could not be started. What fails while it is known to be broken is no further failure. */
  mark(task: string, error: unknown): void {
    if (this.has(task)) return
    const times = (this.#tasks.get(task)?.times ?? 0) + 1
    const againMs = Math.min(pause.firstMs * 2 ** Math.min(times - 1, 20), pause.mostMs)
    this.#tasks.set(task, { times, until: this.#ticks() + againMs })
    this.#events.warn('task-broken', { task, error, againMs })
  }

  /** It could be started. */
  mended(task: string): void {
    if (this.#tasks.size > 0) this.#tasks.delete(task)
  }
}

/** Whether this says that a handler could not be started: the attempt counts for nothing. */
export function isCannotStart(error: unknown): boolean {
  return isErrandError(error, 'cannot-start')
}
