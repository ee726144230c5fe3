/**
 * The chores that any process may do for a store: it tends it, prunes, fires schedules and minds those
 * of its code. A worker does them beside its jobs, a keeper does nothing else. To rescue jobs takes
 * their tasks, so that is the worker's own.
 */
import type { App } from '../app/app.ts'
import type { ScheduleBook } from '../flows/schedules/book.ts'
import type { ScheduleSet } from '../flows/schedules/declarations.ts'
import type { Declared } from '../flows/schedules/declared.ts'
import type { StoreTime } from '../loops/store-time.ts'
import type { Loop } from '../loops/supervised.ts'
import type { Ticks } from '../loops/time.ts'
import type { Tended } from '../store/worker-calls.ts'
import { Contact } from './contact.ts'
import { Declarer } from './declarer.ts'
import { Heartbeat, type HeartbeatOptions } from './heartbeat.ts'
import { Historian } from './historian.ts'
import { LocalRuns } from './local-runs.ts'
import { Pruner } from './pruner.ts'
import { Ticker } from './ticker.ts'

/** The schedules of a process's code, read. */
export interface OwnSchedules {
  readonly book: ScheduleBook
  readonly declared: ReadonlyMap<string, Declared>
  readonly set: ScheduleSet | null
}

export interface ChoresOptions extends Pick<
  HeartbeatOptions,
  'app' | 'id' | 'queues' | 'slotCount' | 'running' | 'renewer' | 'group' | 'paused' | 'ticks'
> {
  readonly app: App
  readonly ticks: Ticks
  readonly time: StoreTime
  /** Given to functions of schedules. */
  readonly context: unknown
  readonly schedules: OwnSchedules
  /** Whether it prunes and fires schedules, beside its heartbeats. */
  readonly keeps: boolean
  /** Hears what each heartbeat learns. */
  readonly told: (tended: Tended) => void
}

/** A part with a loop of its own. */
interface Part {
  readonly loop: Loop
  stop(): Promise<void>
}

export class Chores {
  /** With the store, as the heartbeat has it. */
  readonly contact: Contact
  readonly #heartbeat: Heartbeat
  readonly #runs: LocalRuns
  readonly #ticker: Ticker
  readonly #declarer: Declarer
  readonly #pruner: Pruner
  /** Null for an app without charts. */
  readonly #historian: Historian | null
  readonly #keeps: boolean

  constructor(options: ChoresOptions) {
    const { app, ticks, time, context, schedules, told, keeps } = options
    this.#keeps = keeps
    this.contact = new Contact(app.leaseMs, ticks)
    this.#pruner = new Pruner(app, ticks)
    this.#historian = app.history ? new Historian({ app, id: options.id, time, ticks }) : null
    this.#heartbeat = new Heartbeat({
      ...options,
      schedules: schedules.set?.key ?? null,
      contact: this.contact,
      startedAt: time.now,
      told: (tended) => {
        time.heard(tended.now)
        this.#historian?.told(tended)
        told(tended)
        this.#pruner.told(tended)
      },
    })
    this.#runs = new LocalRuns(app, schedules.book, context)
    const listed = (): void => this.#declarer.loop.wake()
    this.#ticker = new Ticker({ ...schedules, app, time, ticks, runs: this.#runs, listed })
    this.#declarer = new Declarer({ ...schedules, app, time, ticker: this.#ticker })
  }

  get parts(): readonly Part[] {
    const keeping = this.#keeps ? [this.#pruner, this.#ticker, this.#declarer] : []
    // What a worker itself has run is for it alone to write.
    const charts = this.#historian === null ? [] : [this.#historian]
    return [this.#heartbeat, ...keeping, ...charts]
  }

  /**
   * Writes the record of this process, then what `present` writes of it, then its schedules. Rejects
   * when the store cannot be reached.
   */
  async announce(present: () => Promise<void>): Promise<void> {
    await this.#declarer.announce()
    await this.#heartbeat.first()
    await present()
    if (this.#keeps) await this.#declarer.put()
  }

  start(): void {
    for (const { loop } of this.parts) loop.start()
    this.#historian?.start()
    this.#runs.start()
  }

  async stop(): Promise<void> {
    await Promise.all([...this.parts, this.#runs].map((part) => part.stop()))
  }

  /** Writes the end of the process's record. */
  recordEnd(): Promise<void> {
    return this.#heartbeat.last()
  }

  /** Asks for a heartbeat out of turn. */
  ask(): void {
    this.#heartbeat.ask()
  }

  /** A record of the store has changed: it may be a schedule. */
  recordsChanged(): void {
    this.#ticker.hint()
  }
}
