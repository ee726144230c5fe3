/**
 * Calls the functions of schedules in this process. They are no jobs: nothing is stored of them, and
 * an error is a warning.
 */
import type { App } from '../app/app.ts'
import type { ScheduledFunction, ScheduledRun } from '../flows/schedules/schedule.ts'
import type { ScheduleBook } from '../flows/schedules/book.ts'

/** A process that stops waits so long for what runs at its stop. */
const stopMs = 5_000

export class LocalRuns {
  readonly #app: App
  readonly #book: ScheduleBook
  readonly #context: unknown
  readonly #stop = new AbortController()
  readonly #running = new Set<Promise<void>>()
  readonly #timers: (() => void)[] = []

  constructor(app: App, book: ScheduleBook, context: unknown) {
    this.#app = app
    this.#book = book
    this.#context = context
  }

  /** Begins what runs once in every process. */
  start(): void {
    const { clock } = this.#app.store
    for (const { name, run, on } of this.#book.processRuns) {
      if (on.event !== 'start') continue
      const begin = (): void => this.begin(name, run, new Date(clock.now()))
      if (on.afterMs === 0) begin()
      else this.#timers.push(clock.after(on.afterMs, begin))
    }
  }

  /** Calls a function; its error becomes a warning. */
  begin(schedule: string, run: ScheduledFunction, plannedAt: Date): void {
    this.#begin(schedule, run, plannedAt, this.#stop.signal)
  }

  /** Aborts what runs, calls what runs at the stop of a process, and waits for both, but not for ever. */
  async stop(): Promise<void> {
    for (const cancel of this.#timers) cancel()
    this.#stop.abort()
    const { clock } = this.#app.store
    const last = new AbortController()
    for (const { name, run, on } of this.#book.processRuns)
      if (on.event === 'stop') this.#begin(name, run, new Date(clock.now()), last.signal)
    const { promise: late, resolve } = Promise.withResolvers<void>()
    const cancel = clock.after(stopMs, resolve)
    await Promise.race([Promise.all(this.#running), late])
    cancel()
    last.abort()
  }

  #begin(schedule: string, run: ScheduledFunction, plannedAt: Date, signal: AbortSignal): void {
    const running = this.#call(run, { schedule, plannedAt, context: this.#context, signal })
    this.#running.add(running)
    void running.then(() => this.#running.delete(running))
  }

  async #call(run: ScheduledFunction, given: ScheduledRun): Promise<void> {
    const { schedule } = given
    try {
      await run(given)
    } catch (error) {
      this.#app.events.warn('schedule-failed', { schedule, error })
    }
  }
}
