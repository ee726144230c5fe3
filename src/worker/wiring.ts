/** The parts of one running worker, wired to each other: what one learns, the others are told. */
import { hostname } from 'node:os'
import type { App } from '../app/app.ts'
import type { Client } from '../client/client.ts'
import { describeTask } from '../app/registered-tasks.ts'
import { ErrandError } from '../core/errors.ts'
import type { TaskList } from '../core/task-list.ts'
import type { ClaimedJob } from '../store/job.ts'
import type { Hint, Tended, Unwatch } from '../store/worker-calls.ts'
import type { Store } from '../store/store.ts'
import type { WorkerRecord } from '../store/registry.ts'
import { version } from '../core/version.ts'
import type { Attempt } from './attempt.ts'
import { Endings } from './endings.ts'
import { Fetcher } from './fetcher.ts'
import type { ViewServices } from './job-view.ts'
import { LeaseTable } from './lease-table.ts'
import { Notes } from './notes.ts'
import { Renewer } from './renewer.ts'
import { makeSettlement } from './settlement.ts'
import { Settler } from './settler.ts'
import { Slots } from './slots.ts'
import { answered, type Health } from '../loops/supervised.ts'
import { Sweeper } from './sweeper.ts'
import { ticksOf, type Ticks } from '../loops/time.ts'

/** Tasks in one call of `registerTasks`. */
const registerChunk = 1_000

/** Ids of running jobs in a worker's record. */
const shownRunning = 100

/** A worker's settings, read. */
export interface PartsOptions {
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

export class Parts {
  readonly fetcher: Fetcher
  readonly slots: Slots
  readonly endings: Endings
  readonly #options: PartsOptions
  readonly #ticks: Ticks
  readonly #table = new LeaseTable()
  readonly #settler: Settler
  readonly #notes: Notes
  readonly #renewer: Renewer
  readonly #sweeper: Sweeper
  readonly #startedAt: number
  /** The store's time minus ours. */
  #offset = 0
  #unwatch: Unwatch = () => undefined

  constructor(options: PartsOptions) {
    const { app, worker, registry, context, queues, slots, pollMs } = options
    const { store, events } = app
    this.#options = options
    this.#ticks = ticksOf(store)
    this.#hear(store.clock.now())
    this.#startedAt = this.#storeNow()
    this.#settler = new Settler(store, events, () => this.fetcher.dispatch())
    this.#notes = new Notes(store, events, this.#ticks)
    const services: ViewServices = {
      ticks: this.#ticks,
      client: options.client,
      completeIn: (tx, attempt, output, value) => this.#completeIn(tx, attempt, output, value),
    }
    const shared = {
      app,
      worker,
      registry,
      services,
      table: this.#table,
      settler: this.#settler,
      notes: this.#notes,
      ticks: this.#ticks,
      storeNow: () => this.#storeNow(),
    }
    this.#renewer = new Renewer({
      store,
      events,
      table: this.#table,
      leaseMs: app.leaseMs,
      lost: (leases) => {
        for (const { id, token } of leases) this.#lost(id, token)
      },
      cancelAsked: (leases) => {
        for (const { id, token } of leases) this.#cancelAsked(id, token)
      },
      turned: () => this.#renewalTurned(),
    })
    this.fetcher = new Fetcher({
      ...shared,
      slots,
      queues: queues.filter((name) => name !== '*'),
      open: queues.includes('*'),
      pollMs,
      renewer: this.#renewer,
      heard: (now) => this.#hear(now),
    })
    this.endings = new Endings(shared)
    this.slots = new Slots({
      ...shared,
      context,
      endings: this.endings,
      freed: (job) => this.fetcher.freed(job),
      unknown: (job) => this.fetcher.meet(job),
    })
    this.#sweeper = new Sweeper({
      ...shared,
      record: () => this.#record(),
      told: (tended) => this.#told(tended),
    })
  }

  /** Each part's health. */
  get health(): readonly Health[] {
    const { loops } = this.#sweeper
    const renewer = this.#renewer
    const parts = [this.fetcher.loop, ...loops, this.#settler, this.#notes, renewer]
    return [...parts.map(({ health }) => health), renewer.threadHealth]
  }

  /** Where leases are renewed now. */
  get renewing(): Renewer['mode'] {
    return this.#renewer.mode
  }

  /** Handlers that run and are not stuck. */
  get live(): number {
    return this.slots.running.size - this.slots.stuck
  }

  /** Writes the worker's record and its tasks, and starts to renew. Rejects when the store cannot be reached. */
  async announce(): Promise<void> {
    const renewing = this.#renewer.start()
    try {
      await this.#register()
      await renewing
    } catch (error) {
      await this.#renewer.stop()
      throw error
    }
  }

  async #register(): Promise<void> {
    const { app, registry } = this.#options
    await this.#sweeper.first()
    for (const { name, definition } of registry.tasks) {
      if (definition.handler !== null) continue
      const message = `${name} at ${definition.place} has no handler, so its jobs are put aside here. Give it one by run().`
      app.events.emit('warning', { code: 'no-handler', message })
    }
    const described = registry.tasks.map((task) => describeTask(app, task))
    for (let from = 0; from < described.length; from += registerChunk) {
      const call = app.store.registerTasks(described.slice(from, from + registerChunk))
      await answered(app.store.clock, call)
    }
  }

  start(): void {
    this.#unwatch = this.#options.app.store.watch((hint) => this.#hint(hint))
    this.fetcher.start(this.slots)
    this.#sweeper.start()
  }

  /** Ends all but the fetcher. Attempts that still run are watched no more. */
  async stop(): Promise<void> {
    this.#unwatch()
    this.endings.giveUp()
    this.slots.stop()
    this.#notes.stop()
    await Promise.all([this.#sweeper.stop(), this.#renewer.stop()])
  }

  /** Writes the end of the worker's record. */
  async recordEnd(): Promise<void> {
    await this.#options.app.store.tend({ ...this.#record(), running: [], stopped: true })
  }

  #storeNow(): number {
    return Math.round(this.#ticks() + this.#offset)
  }

  #hear(storeNow: number): void {
    this.#offset = storeNow - this.#ticks()
  }

  #hint(hint: Hint): void {
    switch (hint) {
      case 'work':
        return this.fetcher.hint()
      case 'cancel':
        return this.#renewer.check()
      case 'paused':
        return this.#sweeper.ask()
      case 'finished':
      case 'lock':
      case 'record':
        return
    }
  }

  #told(tended: Tended): void {
    this.#hear(tended.now)
    this.fetcher.told(tended)
  }

  #renewalTurned(): void {
    const { app, worker } = this.#options
    if (!this.#renewer.works) {
      const message = `Worker ${worker} cannot renew its leases, so it starts no further job until it can. See part-failed for why.`
      app.events.emit('warning', { code: 'cannot-renew', message })
    }
    this.fetcher.renewalTurned()
  }

  /** A lease is someone else's: its handler is told, or if it waits for a slot it is let go. */
  #lost(id: string, token: number): void {
    if (this.slots.abort(id, token, 'lease-lost')) return
    const held = this.fetcher.take(id, token)
    if (held !== undefined) this.#table.drop(held.lease)
  }

  /** A job is to be cancelled: its handler is told, or if it waits for a slot it ends at once. */
  #cancelAsked(id: string, token: number): void {
    if (this.slots.abort(id, token, 'cancelled')) return
    const held = this.fetcher.take(id, token)
    if (held === undefined) return
    this.endings.settleHeld(held, { kind: 'cancelled' }, this.endings.rulesOf(held.job))
  }

  #record(): WorkerRecord {
    const { worker, queues, slots } = this.#options
    return {
      id: worker,
      host: hostname(),
      pid: process.pid,
      version,
      queues,
      slots,
      running: [...this.slots.running].slice(0, shownRunning).map(({ job }) => job.id),
      startedAt: this.#startedAt,
      lastSeenAt: 0,
      stopped: false,
    }
  }

  /** Settles an attempt as completed inside the user's transaction; it stays ours until that commits. */
  async #completeIn(tx: unknown, attempt: Attempt, output: string, value: unknown): Promise<void> {
    const { job, parts, enqueued } = attempt
    const { store } = this.#options.app
    if (attempt.completedInTx !== null && (await isOver(store, job))) {
      throw new ErrandError(
        'not-committed',
        `${job.task} ${job.id} was completed before, in a transaction that has committed; roll this one back.`,
      )
    }
    const { settlement } = await makeSettlement({
      rules: parts,
      app: parts.app,
      job,
      outcome: { kind: 'completed' },
      begun: true,
      ranMs: this.#ticks() - attempt.startedAt,
      output,
      value,
      enqueued,
      now: this.#storeNow(),
      worker: this.#options.worker,
      client: parts.services.client,
    })
    const [answer] = await store.settle([settlement], tx)
    if (answer === 'settled') return
    throw new ErrandError(
      'lease-lost',
      `${job.task} ${job.id} is no longer this worker's; roll the transaction back.`,
    )
  }
}

/** Whether a lease has ended. A read, so that it waits for no transaction that a handler holds open. */
async function isOver(store: Store, { id, token }: ClaimedJob): Promise<boolean> {
  const [job] = await answered(store.clock, store.get([id]))
  return job?.state !== 'running' || job.token !== token
}
