/**
 * A process that looks after a store and runs no job, such as a manager whose workers are elsewhere.
 *
 * new → starting (until the store has taken its record) → running → stopped.
 */
import { v7 as uuidv7 } from 'uuid'
import type { App } from '../app/app.ts'
import { sleep } from '../core/clock.ts'
import { ErrandError } from '../core/errors.ts'
import type { ScheduleBook } from '../flows/schedules/book.ts'
import { refuseInThread } from '../loops/in-thread.ts'
import { keepAlive } from '../loops/keep-alive.ts'
import { inRootContext } from '../loops/root-context.ts'
import { StoreTime } from '../loops/store-time.ts'
import { Health, mayPass } from '../loops/supervised.ts'
import { ticksOf } from '../loops/time.ts'
import type { Unwatch } from '../store/worker-calls.ts'
import { Chores } from './chores.ts'

/** How long the end of one part may take, in milliseconds. */
const closeMs = 300

/** Tends the store, prunes and fires schedules. Listed among the workers, without slots. */
export interface Keeper extends AsyncDisposable {
  readonly id: string
  /**
   * Resolves when the store has taken its record, which it tries until it is stopped. Rejects when a
   * schedule is wrong or the context fails. A keeper starts once.
   */
  start(): Promise<void>
  /** Resolves within a second, even when the store is gone. */
  stop(): Promise<void>
}

export class ErrandKeeper implements Keeper {
  readonly id: string = uuidv7()
  readonly #app: App
  readonly #book: ScheduleBook
  readonly #over: () => void
  readonly #stop = new AbortController()
  #isStarted = false
  /** Settles when `start` is over, however it went. */
  #opening: Promise<void> = Promise.resolve()
  #chores: Chores | null = null
  #unwatch: Unwatch = () => undefined
  #release: () => void = () => undefined
  #hasContext = false
  #stopping: Promise<void> | null = null

  /** `over` is called when it has stopped, or could not start. */
  constructor(app: App, book: ScheduleBook, over: () => void) {
    this.#app = app
    this.#book = book
    this.#over = over
  }

  async start(): Promise<void> {
    if (this.#isStarted)
      throw new ErrandError('closed', 'A keeper starts once; make another by errand.keeper().')
    refuseInThread('A keeper')
    this.#isStarted = true
    this.#release = keepAlive()
    const opening = inRootContext(() => this.#open())
    this.#opening = opening.catch(() => undefined)
    try {
      await opening
    } catch (error) {
      await this.stop()
      throw error
    }
  }

  stop(): Promise<void> {
    this.#stop.abort()
    this.#stopping ??= inRootContext(() => this.#close()).finally(this.#over)
    return this.#stopping
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }

  async #open(): Promise<void> {
    const app = this.#app
    const book = this.#book
    const schedules = { book, declared: await book.declared(), set: await book.set() }
    const runs = [...schedules.declared.values()].some(({ run }) => run !== null)
    let context: unknown
    if (runs || book.processRuns.length > 0) {
      context = await app.context.acquire()
      this.#hasContext = true
    }
    const ticks = ticksOf(app.store)
    const chores = new Chores({
      app,
      id: this.id,
      queues: [],
      slotCount: 0,
      running: () => [],
      group: null,
      paused: () => [],
      keeps: true,
      context,
      schedules,
      ticks,
      time: new StoreTime(ticks, app.store.clock.now()),
      told: () => undefined,
    })
    if (!(await this.#announce(chores))) return
    this.#chores = chores
    if (this.#stop.signal.aborted) return
    this.#unwatch = app.store.watch(() => chores.recordsChanged(), ['record'])
    chores.start()
  }

  /** Until the store has taken it, for a manager may be there before its database; or until a stop. */
  async #announce(chores: Chores): Promise<boolean> {
    const { events, store } = this.#app
    const health = new Health('keeper', events)
    while (!this.#stop.signal.aborted) {
      try {
        await chores.announce(async () => undefined)
        health.worked()
        return true
      } catch (error) {
        if (mayPass(error) !== 'yes') throw error
        await sleep(store.clock, health.failed(error), this.#stop.signal)
      }
    }
    return false
  }

  async #close(): Promise<void> {
    await this.#briefly('part-stop', this.#opening)
    this.#unwatch()
    const chores = this.#chores
    if (chores !== null) {
      await this.#briefly('part-stop', chores.stop())
      await this.#briefly('worker-record', chores.recordEnd())
    }
    if (this.#hasContext) await this.#briefly('context-dispose', this.#app.context.release())
    this.#release()
  }

  /** Waits for an end, but not for long; a failure is told. */
  async #briefly(
    code: 'part-stop' | 'worker-record' | 'context-dispose',
    work: Promise<unknown>,
  ): Promise<void> {
    const { events, store } = this.#app
    const over = new AbortController()
    const told = work.catch((error: unknown) => events.warn(code, { worker: this.id, error }))
    await Promise.race([told, sleep(store.clock, closeMs, over.signal)])
    over.abort()
  }
}
