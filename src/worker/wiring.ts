/**
 * The parts of one running worker, each made with what it needs of those before it. Nothing is
 * decided here.
 */
import { builtInTasks } from '../app/built-in-tasks.ts'
import type { App } from '../app/app.ts'
import type { Client } from '../client/client.ts'
import type { LoadBounds } from '../core/pause-when.ts'
import { isRunnable } from '../core/task.ts'
import type { TaskList } from '../core/task-list.ts'
import { Chores, type OwnSchedules } from '../keeper/chores.ts'
import { Rescuer } from '../keeper/rescuer.ts'
import { StoreTime } from '../loops/store-time.ts'
import type { Health, Loop } from '../loops/supervised.ts'
import { ticksOf } from '../loops/time.ts'
import type { Hint, Unwatch } from '../store/worker-calls.ts'
import { BrokenTasks } from './broken-tasks.ts'
import { untilEmpty } from './burst.ts'
import { ControlWatch, type Told } from './control-watch.ts'
import { Fetcher } from './fetcher.ts'
import type { Holds } from './holds.ts'
import { LeaseTable } from './lease-table.ts'
import { LoadGuard } from './load-guard.ts'
import { LoopWatch } from './loop-watch.ts'
import { Notes } from './notes.ts'
import { Records } from './records.ts'
import { Registrar } from './register-tasks.ts'
import { Renewer } from './renewer.ts'
import { readRules, type RulesOf } from './rules.ts'
import type { IsolatedHandlers } from './runner.ts'
import { runnerHere } from './run-here.ts'
import { ServedQueues } from './served-queues.ts'
import { SettleBatches } from './settle-batches.ts'
import { Settler } from './settler.ts'
import { Slots } from './slots.ts'

/** A worker's settings, read. */
export interface WiringOptions {
  readonly app: App
  readonly client: Client
  readonly worker: string
  readonly registry: TaskList
  readonly context: unknown
  /** Runs handlers of isolated tasks; null when there are none. */
  readonly isolated: IsolatedHandlers | null
  /** Queues served, with `'*'` for all others. */
  readonly queues: readonly string[]
  readonly slots: number
  readonly pollMs: number
  readonly schedules: OwnSchedules
  /** By which operators address it; null for none. */
  readonly group: string | null
  /** Whether it rescues jobs, prunes and fires schedules. */
  readonly keeps: boolean
  readonly holds: Holds
  /** From which load on it claims nothing; null for any. */
  readonly loadBounds: LoadBounds | null
}

/** A part with a loop of its own. */
interface Part {
  readonly loop: Loop
  stop(): Promise<void>
}

/** The hints that a worker acts on. */
const workerHints: readonly Hint[] = ['work', 'cancel', 'paused', 'record']

export class Wiring {
  readonly fetcher: Fetcher
  readonly slots: Slots
  readonly settler: Settler
  readonly #options: WiringOptions
  readonly #batches: SettleBatches
  readonly #notes: Notes
  readonly #renewer: Renewer
  readonly #rescuer: Rescuer
  readonly #chores: Chores
  readonly #registrar: Registrar
  readonly #broken: BrokenTasks
  readonly #loopWatch: LoopWatch
  readonly #control: ControlWatch
  readonly #loadGuard: LoadGuard | null
  #unwatch: Unwatch = () => undefined

  constructor(options: WiringOptions) {
    const { app, client, worker, registry, context, slots: slotCount, pollMs } = options
    const { store, events, leaseMs } = app
    const builtIn = builtInTasks(app)
    const find = (task: string) => builtIn.get(task) ?? registry.find(task)?.definition ?? null
    const rulesOf: RulesOf = (job) => readRules(app, find(job.task), job)
    const ticks = ticksOf(store)
    const time = new StoreTime(ticks, store.clock.now())
    const table = new LeaseTable()
    const batches = new SettleBatches({ store, events, patience: 'forever' })
    const notes = new Notes(store, events, ticks)
    const renewer = new Renewer({ store, events, table, leaseMs })
    const queues = new ServedQueues({
      slots: slotCount,
      slotsOf: (queue) => app.queueSettings(queue)?.slots ?? null,
      bufferOf: (queue) => app.queueSettings(queue)?.bufferMax ?? null,
      queues: options.queues.filter((name) => name !== '*'),
      open: options.queues.includes('*'),
    })
    const shared = { app, client, worker, rulesOf, table, batches, notes, renewer, ticks, time }
    const { isolated, group, holds, keeps, loadBounds } = options
    const broken = new BrokenTasks(events, ticks)
    this.#broken = broken
    const runner = runnerHere({ app, client, context, ticks, isolated, broken })
    const settler = new Settler({ ...shared, tellsRuns: true })
    const calls = {
      store,
      records: new Records(store),
      results: client.results,
      events,
    }
    const watch: LoopWatch = new LoopWatch(events, () => slots.running)
    const slots: Slots = new Slots({
      ...shared,
      runner,
      settler,
      queues,
      calls,
      putAsideMs: (names) => control.putAsideMs(names),
      blocked: (attempt, blockedMs) => watch.blocked(attempt, blockedMs),
    })
    const control = new ControlWatch({
      app,
      worker,
      group,
      holds,
      ticks,
      pollMs,
      isAtRest: () => this.fetcher.isAtRest,
    })
    const chores = new Chores({
      app,
      id: worker,
      queues: options.queues,
      slotCount,
      running: () => runningIn(slots),
      renewer: () => renewer.mode,
      group,
      paused: () => holds.reasons,
      keeps,
      context,
      schedules: options.schedules,
      ticks,
      time,
      told: (tended) => {
        this.fetcher.told(tended)
        this.#rescuer.told(tended)
      },
    })

    this.#options = options
    this.#loopWatch = watch
    this.#control = control
    this.#loadGuard =
      loadBounds === null ? null : new LoadGuard({ clock: store.clock, bounds: loadBounds, holds })
    holds.onTurn(() => {
      this.fetcher.holdsTurned()
      chores.ask()
    })
    this.#batches = batches
    this.#notes = notes
    this.#renewer = renewer
    this.settler = settler
    this.slots = slots
    this.#chores = chores
    this.fetcher = new Fetcher({ ...shared, slotCount, pollMs, queues, slots, settler, holds })
    this.#rescuer = new Rescuer({
      app,
      worker,
      contact: chores.contact,
      keepsLeases: () => renewer.works,
      tasks: [...registry.names, ...builtIn.keys()].filter((name) => {
        const found = find(name)
        return found !== null && isRunnable(found)
      }),
      settle: (job, outcome) => settler.endRescued(job, outcome),
    })
    this.#registrar = new Registrar(app, registry, { time, ticks })
  }

  /** Each part's health. */
  get health(): readonly Health[] {
    const loops = [this.fetcher, ...this.#others, ...this.#chores.parts]
    const renewer = this.#renewer
    const parts = [...loops.map(({ loop }) => loop), this.#batches, this.#notes, renewer]
    return [...parts.map(({ health }) => health), renewer.threadHealth]
  }

  /** Where leases are renewed now. */
  get renewing(): Renewer['mode'] {
    return this.#renewer.mode
  }

  /**
   * Writes the worker's record and its tasks, and starts to renew. Threads and processes of
   * isolated tasks start at the same time. Rejects when the store cannot be reached.
   */
  async announce(): Promise<void> {
    this.#options.isolated?.start((task, error) => this.#broken.mark(task, error))
    const renewing = this.#renewer.start({
      lost: (leases) => this.fetcher.lost(leases),
      cancelAsked: (leases) => this.fetcher.cancelAsked(leases),
      turned: () => this.fetcher.renewalTurned(),
    })
    try {
      await this.#chores.announce(() => this.#registrar.announce())
      await this.#control.first()
      await renewing
    } catch (error) {
      await Promise.all([this.#renewer.stop(), this.endIsolated()])
      throw error
    }
  }

  /** Starts all parts; `told` is called when an operator ends the worker. */
  start(told: Told): void {
    this.#unwatch = this.#options.app.store.watch((hint) => this.#hint(hint), workerHints)
    this.#control.obey(told)
    for (const { loop } of [this.fetcher, ...this.#others]) loop.start()
    this.#chores.start()
    this.#loadGuard?.start()
    this.#loopWatch.start()
  }

  /** Ends all but the fetcher. Attempts that still run are watched no more. */
  async stop(): Promise<void> {
    this.#unwatch()
    this.settler.giveUp()
    this.slots.stop()
    this.#loopWatch.stop()
    this.#loadGuard?.stop()
    this.#notes.stop()
    const stopped = [this.#chores, ...this.#others, this.#renewer]
    await Promise.all(stopped.map((part) => part.stop()))
  }

  /** Ends the threads and processes of isolated tasks; null when there are none. */
  endIsolated(): Promise<void> | null {
    return this.#options.isolated?.stop() ?? null
  }

  /** Writes the end of the worker's record, and lets the next one of a restart begin. */
  async recordEnd(): Promise<void> {
    await this.#chores.recordEnd()
    await this.#control.ended()
  }

  /** Resolves once its queues are empty and nothing runs here, or when it is aborted. */
  async untilEmpty(signal: AbortSignal): Promise<void> {
    const { app } = this.#options
    const isIdle = (): boolean => this.fetcher.isAtRest && this.slots.waiting === 0
    await untilEmpty({ clock: app.store.clock, fetcher: this.fetcher, isIdle, signal })
  }

  /** Parts with a loop of their own, beside the fetcher and the chores. */
  get #others(): readonly Part[] {
    const parts: readonly Part[] = [this.#registrar, this.#control]
    return this.#options.keeps ? [this.#rescuer, ...parts] : parts
  }

  #hint(hint: Hint): void {
    switch (hint) {
      case 'work':
        return this.fetcher.hint()
      case 'cancel':
        return this.#renewer.check()
      case 'paused':
        return this.#chores.ask()
      case 'finished':
      case 'lock':
        return
      case 'record':
        this.#chores.recordsChanged()
        return this.#control.hint()
    }
  }
}

function* runningIn({ running }: Slots): Generator<string> {
  for (const { job } of running) yield job.id
}
