/**
 * The heartbeat of a worker or a keeper: tends the store each few seconds, and hands on what it says
 * to whoever acts on it: the fetcher, and the chores, each in a loop of its own, so that none waits
 * for another.
 */
import { hostname } from 'node:os'
import type { App } from '../app/app.ts'
import { sleep } from '../core/clock.ts'
import { version } from '../core/version.ts'
import { answered } from '../loops/call-deadline.ts'
import { ownProcess } from '../loops/own-process.ts'
import { Loop } from '../loops/supervised.ts'
import type { Ticks } from '../loops/time.ts'
import type { WorkerRecord } from '../store/registry.ts'
import type { Tended } from '../store/worker-calls.ts'
import type { Contact } from './contact.ts'

/** Calls out of turn come at most this often. */
const leastMs = 50

/** Ids of running jobs in a worker's record. */
const shownRunning = 100
/** Sources in it. */
const shownSources = 100

export interface HeartbeatOptions {
  readonly app: App
  /** The id of the worker or the keeper. */
  readonly id: string
  /** Queues served, with `'*'` for all others. */
  readonly queues: readonly string[]
  readonly slotCount: number
  /** Ids of the jobs that run. */
  readonly running: () => Iterable<string>
  /** Where leases are renewed now; left out where no jobs run. */
  readonly renewer?: () => NonNullable<WorkerRecord['renewer']>
  readonly group: string | null
  /** Why nothing is claimed for now. */
  readonly paused: () => readonly string[]
  /** The key of the record that lists the schedules of this code. */
  readonly schedules: string | null
  readonly contact: Contact
  readonly ticks: Ticks
  /** The store's time of the start. */
  readonly startedAt: number
  readonly told: (tended: Tended) => void
}

export class Heartbeat {
  readonly loop: Loop
  /** How long it rests after each. */
  readonly everyMs: number
  readonly #options: HeartbeatOptions
  readonly #stop = new AbortController()
  #tendedAt = -Infinity

  constructor(options: HeartbeatOptions) {
    const { app } = options
    this.#options = options
    this.everyMs = Math.max(100, Math.min(5_000, app.leaseMs / 6))
    this.loop = new Loop('sweeper', app.events, app.store.clock, () => this.#pass())
  }

  /** Tends the store once, at the worker's start. Rejects when it cannot be reached. */
  first(): Promise<void> {
    return this.#tend()
  }

  /** Asks for a call out of turn. */
  ask(): void {
    this.loop.wake()
  }

  async stop(): Promise<void> {
    this.#stop.abort()
    await this.loop.stop()
  }

  /** Writes the end of the worker's record. */
  async last(): Promise<void> {
    await this.#options.app.store.tend({ ...this.#record(), running: [], stopped: true })
  }

  async #pass(): Promise<number> {
    const { app, contact, ticks } = this.#options
    const sinceMs = ticks() - this.#tendedAt
    if (sinceMs < leastMs) await sleep(app.store.clock, leastMs - sinceMs, this.#stop.signal)
    if (this.#stop.signal.aborted) return 0
    await contact.during(() => this.#tend())
    return this.everyMs
  }

  async #tend(): Promise<void> {
    const { app, contact, told, ticks } = this.#options
    const tended = await answered(app.store.clock, app.store.tend(this.#record()))
    this.#tendedAt = ticks()
    contact.heard()
    told(tended)
  }

  #record(): WorkerRecord {
    const { app, id, queues, slotCount, schedules, running, renewer, startedAt, group, paused } =
      this.#options
    const place = ownProcess()
    const sources = app.sourcesNow().slice(0, shownSources)
    return {
      id,
      host: hostname(),
      pid: process.pid,
      version,
      queues,
      slots: slotCount,
      schedules,
      ...(renewer && { renewer: renewer() }),
      running: [...running()].slice(0, shownRunning),
      startedAt,
      lastSeenAt: 0,
      stopped: false,
      group,
      paused: paused(),
      ...(place === null ? {} : { process: place }),
      ...(sources.length === 0 ? {} : { sources }),
    }
  }
}
