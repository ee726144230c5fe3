/**
 * The record of a process that runs sources and neither a worker nor a keeper, such as `errand sources`: without it nobody
 * elsewhere would know of them.
 *
 * Modes: resting (while a worker or keeper of the app tells of its process) ⇄ telling (a heartbeat each few seconds). The end
 * of telling is written, so that the process is listed once.
 */
import { v7 as uuidv7 } from 'uuid'
import type { App } from '../app/app.ts'
import { sleep } from '../core/clock.ts'
import { Loop } from '../loops/supervised.ts'
import { ticksOf } from '../loops/time.ts'
import { Contact } from './contact.ts'
import { Heartbeat } from './heartbeat.ts'

/** How long the end may take, in milliseconds. */
const endMs = 600

export class Presence {
  readonly id: string = uuidv7()
  readonly #app: App
  readonly #isTold: () => boolean
  readonly #heartbeat: Heartbeat
  readonly #loop: Loop
  #isTelling = false

  /** `isTold` says whether a worker or keeper of the app tells of this process. */
  constructor(app: App, isTold: () => boolean) {
    this.#app = app
    this.#isTold = isTold
    const ticks = ticksOf(app.store)
    this.#heartbeat = new Heartbeat({
      app,
      id: this.id,
      queues: [],
      slotCount: 0,
      running: () => [],
      group: null,
      paused: () => [],
      schedules: null,
      contact: new Contact(app.leaseMs, ticks),
      ticks,
      startedAt: app.store.clock.now(),
      told: () => undefined,
    })
    this.#loop = new Loop('presence', app.events, app.store.clock, () => this.#pass())
  }

  start(): void {
    this.#loop.start()
  }

  /** Tells no more, and writes the end of the record. Resolves within a second, even when the store is gone. */
  stop(): Promise<void> {
    return this.#briefly(this.#loop.stop().then(() => this.#end()))
  }

  /** Waits for an end, but not for long; a failure is told. */
  async #briefly(work: Promise<void>): Promise<void> {
    const { events, store } = this.#app
    const over = new AbortController()
    const told = work.catch((error: unknown) =>
      events.warn('worker-record', { worker: this.id, error }),
    )
    await Promise.race([told, sleep(store.clock, endMs, over.signal)])
    over.abort()
  }

  async #end(): Promise<void> {
    if (!this.#isTelling) return
    await this.#heartbeat.last()
    this.#isTelling = false
  }

  async #pass(): Promise<number> {
    if (this.#isTold()) await this.#end()
    else {
      await this.#heartbeat.first()
      this.#isTelling = true
    }
    return this.#heartbeat.everyMs
  }
}
