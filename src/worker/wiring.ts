/**
 * The parts of one running worker, each made with what it needs of those before it. Nothing is
 * decided here.
 */
import type { App } from '../app/app.ts'
import type { Client } from '../client/client.ts'
import type { TaskList } from '../core/task-list.ts'
import { Contact } from '../keeper/contact.ts'
import { Pruner } from '../keeper/pruner.ts'
import { Rescuer } from '../keeper/rescuer.ts'
import { StoreTime } from '../loops/store-time.ts'
import type { Health } from '../loops/supervised.ts'
import { ticksOf } from '../loops/time.ts'
import type { Hint, Tended, Unwatch } from '../store/worker-calls.ts'
import { Fetcher } from './fetcher.ts'
import { Heartbeat } from './heartbeat.ts'
import { LeaseTable } from './lease-table.ts'
import { Notes } from './notes.ts'
import { registerTasks } from './register-tasks.ts'
import { Renewer } from './renewer.ts'
import { readRules, type RulesOf } from './rules.ts'
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
  /** Queues served, with `'*'` for all others. */
  readonly queues: readonly string[]
  readonly slots: number
  readonly pollMs: number
}

export class Wiring {
  readonly fetcher: Fetcher
  readonly slots: Slots
  readonly settler: Settler
  readonly #options: WiringOptions
  readonly #time: StoreTime
  readonly #batches: SettleBatches
  readonly #notes: Notes
  readonly #renewer: Renewer
  readonly #rescuer: Rescuer
  readonly #pruner: Pruner
  readonly #heartbeat: Heartbeat
  #unwatch: Unwatch = () => undefined

  constructor(options: WiringOptions) {
    const { app, client, worker, registry, context, slots: slotCount, pollMs } = options
    const { store, events, leaseMs } = app
    const find = (task: string) => registry.find(task)?.definition ?? null
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
      queues: options.queues.filter((name) => name !== '*'),
      open: options.queues.includes('*'),
    })
    const shared = { app, client, worker, rulesOf, table, batches, notes, renewer, ticks, time }
    const runner = runnerHere({ app, client, context, ticks })
    const settler = new Settler({ ...shared, tellsRuns: true })
    const slots = new Slots({ ...shared, runner, settler, queues })
    const contact = new Contact(leaseMs, ticks)

    this.#options = options
    this.#time = time
    this.#batches = batches
    this.#notes = notes
    this.#renewer = renewer
    this.settler = settler
    this.slots = slots
    this.fetcher = new Fetcher({ ...shared, slotCount, pollMs, queues, slots, settler })
    this.#rescuer = new Rescuer({
      app,
      worker,
      contact,
      keepsLeases: () => renewer.works,
      tasks: registry.names.filter((name) => find(name)?.handler),
      settle: (job, outcome) => settler.endRescued(job, outcome),
    })
    this.#pruner = new Pruner(app, ticks)
    this.#heartbeat = new Heartbeat({
      app,
      worker,
      queues: options.queues,
      slotCount,
      slots,
      contact,
      ticks,
      startedAt: time.now,
      told: (tended) => this.#told(tended),
    })
  }

  /** Each part's health. */
  get health(): readonly Health[] {
    const loops = [this.fetcher, this.#heartbeat, this.#rescuer, this.#pruner]
    const renewer = this.#renewer
    const parts = [...loops.map(({ loop }) => loop), this.#batches, this.#notes, renewer]
    return [...parts.map(({ health }) => health), renewer.threadHealth]
  }

  /** Where leases are renewed now. */
  get renewing(): Renewer['mode'] {
    return this.#renewer.mode
  }

  /**
   * Writes the worker's record and its tasks, and starts to renew. Rejects when the store cannot be
   * reached.
   */
  async announce(): Promise<void> {
    const { app, registry } = this.#options
    const renewing = this.#renewer.start({
      lost: (leases) => this.fetcher.lost(leases),
      cancelAsked: (leases) => this.fetcher.cancelAsked(leases),
      turned: () => this.fetcher.renewalTurned(),
    })
    try {
      await this.#heartbeat.first()
      await registerTasks(app, registry)
      await renewing
    } catch (error) {
      await this.#renewer.stop()
      throw error
    }
  }

  start(): void {
    this.#unwatch = this.#options.app.store.watch((hint) => this.#hint(hint))
    for (const { loop } of [this.fetcher, this.#heartbeat, this.#rescuer, this.#pruner])
      loop.start()
  }

  /** Ends all but the fetcher. Attempts that still run are watched no more. */
  async stop(): Promise<void> {
    this.#unwatch()
    this.settler.giveUp()
    this.slots.stop()
    this.#notes.stop()
    const stopped = [this.#heartbeat, this.#rescuer, this.#pruner, this.#renewer]
    await Promise.all(stopped.map((part) => part.stop()))
  }

  /** Writes the end of the worker's record. */
  recordEnd(): Promise<void> {
    return this.#heartbeat.last()
  }

  #hint(hint: Hint): void {
    switch (hint) {
      case 'work':
        return this.fetcher.hint()
      case 'cancel':
        return this.#renewer.check()
      case 'paused':
        return this.#heartbeat.ask()
      case 'finished':
      case 'lock':
      case 'record':
        return
    }
  }

  #told(tended: Tended): void {
    this.#time.heard(tended.now)
    this.fetcher.told(tended)
    this.#rescuer.told(tended)
    this.#pruner.told(tended)
  }
}
