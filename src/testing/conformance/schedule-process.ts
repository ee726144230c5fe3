/** A process that fires schedules, moved by hand: its code, and its view of the store's time. */
import { App } from '../../app/app.ts'
import { Client } from '../../client/client.ts'
import { task, type Task } from '../../core/task.ts'
import { ScheduleBook } from '../../flows/schedules/book.ts'
import { planRun } from '../../flows/workflows/plan-run.ts'
import type { Schedule } from '../../flows/schedules/schedule.ts'
import { createSchedules, type Schedules } from '../../flows/schedules/schedules.ts'
import { Declarer } from '../../keeper/declarer.ts'
import { LocalRuns } from '../../keeper/local-runs.ts'
import { Ticker } from '../../keeper/ticker.ts'
import { StoreTime } from '../../loops/store-time.ts'
import type { Store } from '../../store/store.ts'
import { claimOf, workerOf } from './jobs.ts'

interface Ticked {
  readonly n: number
}

/** The task that schedules of rules enqueue; its jobs are claimed and settled by hand. */
export const ticked: Task<Ticked, Ticked, unknown, unknown> = task<Ticked>({
  name: 'ticked',
  queue: 'queue',
  run: () => undefined,
})

export class ScheduleProcess {
  readonly schedules: Schedules
  readonly #store: Store
  readonly #id: string
  readonly #book: ScheduleBook
  readonly #time: StoreTime
  readonly #app: App
  #ticker: Ticker | null = null
  #declarer: Declarer | null = null
  #set: string | null = null
  /** Moves on with each step, so that the process looks at everything anew. */
  #ticks = 0

  constructor(store: Store, schedules: readonly Schedule[], id = 'process') {
    const app = new App({ store, tasks: [ticked] }, '.')
    const client = new Client(app)
    this.#store = store
    this.#id = id
    this.#app = app
    this.#book = new ScheduleBook(
      { schedules },
      { prepare: (...call) => client.prepareAll(...call), planRun: (run) => planRun(client, run) },
    )
    this.#time = new StoreTime(() => this.#ticks, 0)
    this.schedules = createSchedules(this.#book, (make) => make(store))
  }

  /** Starts as a worker does: declares its schedules and puts them. */
  async start(): Promise<void> {
    const declared = await this.#book.declared()
    const set = await this.#book.set()
    const [app, time, ticks] = [this.#app, this.#time, (): number => this.#ticks] as const
    const runs = new LocalRuns(app, this.#book, {})
    const listed = (): void => undefined
    this.#ticker = new Ticker({ app, declared, time, ticks, runs, listed })
    this.#declarer = new Declarer({
      app,
      book: this.#book,
      declared,
      set,
      time,
      ticker: this.#ticker,
    })
    this.#set = set?.key ?? null
    await this.#hear()
    await this.#declarer.announce()
    await this.beat()
    await this.#declarer.put()
  }

  /** Writes its heartbeat. */
  async beat(stopped = false): Promise<void> {
    await this.#store.tend(workerOf({ id: this.#id, schedules: this.#set, stopped }))
  }

  /** Fires all that is due by the store's time. */
  async fire(): Promise<void> {
    await this.#hear()
    while ((await this.#ticker?.fireDue()) === 0);
  }

  /** Looks after what living code declares. */
  async mind(): Promise<void> {
    await this.#hear()
    await this.#ticker?.fireDue()
    await this.#declarer?.mind()
  }

  async #hear(): Promise<void> {
    this.#ticks += 3_600_000
    this.#time.heard((await this.#store.claim(claimOf({ queues: [], limit: 0 }))).now)
  }
}
