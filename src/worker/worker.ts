/**
 * A worker: fetcher, slots, settler, renewer, notes and sweeper, put together, started and stopped.
 *
 * new → running (`start`) → stopping (`stop`: no claims, the buffer is given back, running attempts may end, then are
 * aborted, then are left) → stopped.
 */
import { hostname } from 'node:os'
import { v7 as uuidv7 } from 'uuid'
import type { App } from '../client/app.ts'
import { readCount } from '../client/app.ts'
import type { Client } from '../client/client.ts'
import { describeTask } from '../client/registered-tasks.ts'
import { sleep } from '../core/clock.ts'
import { toMs } from '../core/duration.ts'
import { ErrandError } from '../core/errors.ts'
import { refuseUnknownKeys } from '../core/nearest.ts'
import type { Hint, Tended, Unwatch, WorkerRecord } from '../store.ts'
import { version } from '../version.ts'
import type { Attempt } from './attempt.ts'
import { Fetcher } from './fetcher.ts'
import type { ViewServices } from './job-view.ts'
import { LeaseTable } from './lease-table.ts'
import { Notes } from './notes.ts'
import type { StopOptions, Worker, WorkerOptions, WorkerStatus } from './public.ts'
import { Renewer } from './renewer.ts'
import { makeSettlement } from './settlement.ts'
import { Settler } from './settler.ts'
import { Slots } from './slots.ts'
import { Sweeper } from './sweeper.ts'
import { ticksOf, type Ticks } from './time.ts'

/** Bounds of a stop, in milliseconds. */
const stopDefaults = { graceMs: 25_000, abortGraceMs: 5_000, closeMs: 900 } as const

/** Tasks in one call of `registerTasks`. */
const registerChunk = 1_000

/** The most slots of one worker: each running job holds a lease in a table of fixed size. */
const mostSlots = 1_000

export class ErrandWorker implements Worker {
  readonly id: string = uuidv7()
  readonly #app: App
  readonly #client: Client
  readonly #slotCount: number
  readonly #queues: readonly string[] | null
  readonly #pollMs: number
  readonly #ticks: Ticks
  readonly #table = new LeaseTable()
  readonly #settler: Settler
  readonly #renewer: Renewer
  readonly #notes: Notes
  #slots: Slots | null = null
  #fetcher: Fetcher | null = null
  #sweeper: Sweeper | null = null
  #state: WorkerStatus['state'] = 'new'
  #served: readonly string[] = []
  #startedAt = 0
  /** The store's time minus ours. */
  #offset = 0
  #unwatch: Unwatch = () => undefined
  #keepAlive: NodeJS.Timeout | null = null
  #stopping: Promise<void> | null = null
  /** When running attempts are aborted, and when they are left, by `#ticks`. */
  #abortAt = Infinity
  #leaveAt = Infinity
  #stopChanged = new AbortController()
  /** Whether the last claim was answered, so that nothing more comes in. */
  #fetched = false

  /** Throws `invalid-option` for options that cannot work. */
  constructor(app: App, client: Client, options: WorkerOptions) {
    refuseUnknownKeys(options, ['queues', 'slots', 'poll'], 'worker()')
    this.#app = app
    this.#client = client
    this.#slotCount = readCount(options.slots ?? app.slots, 'worker().slots')
    if (this.#slotCount > mostSlots) {
      throw new ErrandError(
        'invalid-option',
        `worker().slots is at most ${mostSlots}; start more workers for more.`,
      )
    }
    this.#queues = options.queues === undefined ? null : [...new Set(options.queues)]
    if (this.#queues?.length === 0)
      throw new ErrandError('invalid-option', 'worker().queues lists no queue.')
    this.#pollMs = options.poll === undefined ? app.pollMs : toMs(options.poll, 'worker().poll')
    if (this.#pollMs < 10)
      throw new ErrandError('invalid-option', 'worker().poll must be at least 10 ms.')
    const { store, events } = app
    this.#ticks = ticksOf(store)
    this.#settler = new Settler(store, events)
    this.#notes = new Notes(store, events, this.#ticks)
    this.#renewer = new Renewer({
      store,
      events,
      table: this.#table,
      leaseMs: app.leaseMs,
      lost: (leases) => {
        for (const { id, token } of leases) this.#slots?.abort(id, token, 'lease-lost')
      },
      cancelAsked: (leases) => {
        for (const { id, token } of leases) this.#slots?.abort(id, token, 'cancelled')
      },
    })
  }

  get status(): WorkerStatus {
    return {
      id: this.id,
      state: this.#state,
      queues: this.#served,
      slots: this.#slotCount,
      running: this.#slots?.running.size ?? 0,
      buffered: this.#fetcher?.buffered ?? 0,
      stuck: this.#slots?.stuck ?? 0,
      renewer: this.#renewer.mode,
      parts: Object.fromEntries(
        [this.#fetcher?.loop, this.#sweeper?.loop, this.#settler, this.#notes, this.#renewer]
          .filter((part) => part !== undefined && part !== null)
          .map(({ health }) => [health.part, health.failures]),
      ),
    }
  }

  async start(): Promise<void> {
    if (this.#state !== 'new')
      throw new ErrandError(
        'closed',
        'A worker starts once; make another one with errand.worker().',
      )
    this.#state = 'running'
    try {
      await this.#open()
    } catch (error) {
      this.#state = 'stopped'
      throw error
    }
  }

  /** `exiting` says that the process ends right after: what still runs is then given up as interrupted. */
  stop(options: StopOptions & { readonly exiting?: boolean } = {}): Promise<void> {
    refuseUnknownKeys(options, ['grace', 'abortGrace', 'exiting'], 'stop()')
    const graceMs =
      options.grace === 'none'
        ? Infinity
        : toMs(options.grace ?? stopDefaults.graceMs, 'stop().grace')
    const abortGraceMs = toMs(options.abortGrace ?? stopDefaults.abortGraceMs, 'stop().abortGrace')
    this.#abortAt = Math.min(this.#abortAt, this.#ticks() + graceMs)
    this.#leaveAt = Math.min(this.#leaveAt, this.#abortAt + abortGraceMs)
    this.#stopChanged.abort()
    this.#stopping ??= this.#close(options.exiting ?? false)
    return this.#stopping
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  async #open(): Promise<void> {
    const app = this.#app
    const registry = await app.tasks()
    for (const queue of this.#queues ?? []) app.checkQueue(queue)
    this.#served = this.#queues ?? [...app.queueNames(), ...(app.open ? ['*'] : [])]
    const context = await app.context.acquire()
    try {
      const services: ViewServices = {
        ticks: this.#ticks,
        taskFacts: (task) => this.#client.taskFacts(task),
        completeIn: (tx, attempt, output, value) => this.#completeIn(tx, attempt, output, value),
      }
      const storeNow = (): number => Math.round(this.#ticks() + this.#offset)
      this.#hear(app.store.clock.now())
      this.#startedAt = storeNow()
      this.#fetcher = this.#makeFetcher()
      this.#slots = new Slots({
        app,
        worker: this.id,
        registry,
        context,
        table: this.#table,
        settler: this.#settler,
        notes: this.#notes,
        services,
        storeNow,
        freed: (queue) => this.#fetcher?.freed(queue),
      })
      this.#sweeper = new Sweeper({
        app,
        registry,
        record: () => this.#record(),
        settler: this.#settler,
        services,
        storeNow,
        told: (tended) => this.#told(tended),
      })
      await this.#sweeper.first()
      const described = registry.tasks.map((task) => describeTask(app, task))
      for (let from = 0; from < described.length; from += registerChunk) {
        await app.store.registerTasks(described.slice(from, from + registerChunk))
      }
    } catch (error) {
      await app.context.release()
      throw error
    }
    this.#keepAlive = setInterval(() => undefined, 2 ** 30)
    this.#unwatch = app.store.watch((hint) => this.#hint(hint))
    this.#renewer.start()
    this.#fetcher.start(this.#slots)
    this.#sweeper.loop.start()
    app.events.emit('worker-started', {
      worker: this.id,
      queues: this.#served,
      slots: this.#slotCount,
    })
  }

  #makeFetcher(): Fetcher {
    const app = this.#app
    return new Fetcher({
      app,
      worker: this.id,
      slots: this.#slotCount,
      queues: this.#served.filter((name) => name !== '*'),
      open: this.#queues === null && app.open,
      pollMs: this.#pollMs,
      table: this.#table,
      renewer: this.#renewer,
      settler: this.#settler,
      ticks: this.#ticks,
      heard: (now) => this.#hear(now),
    })
  }

  #hear(storeNow: number): void {
    this.#offset = storeNow - this.#ticks()
  }

  #hint(hint: Hint): void {
    switch (hint) {
      case 'work':
        return this.#fetcher?.hint()
      case 'cancel':
        return this.#renewer.check()
      case 'paused':
        return this.#sweeper?.ask()
      case 'finished':
        return
    }
  }

  #told(tended: Tended): void {
    this.#hear(tended.now)
    this.#fetcher?.told(tended)
  }

  #record(stopped = false): WorkerRecord {
    const running = [...(this.#slots?.running ?? [])].slice(0, 100).map(({ job }) => job.id)
    return {
      id: this.id,
      host: hostname(),
      pid: process.pid,
      version,
      queues: this.#served,
      slots: this.#slotCount,
      running: stopped ? [] : running,
      startedAt: this.#startedAt,
      lastSeenAt: 0,
      stopped,
    }
  }

  /** Settles an attempt as completed inside the user's transaction; it stays ours until that commits. */
  async #completeIn(tx: unknown, attempt: Attempt, output: string, value: unknown): Promise<void> {
    const { job, parts, enqueued } = attempt
    const { settlement } = await makeSettlement({
      ...parts,
      job,
      outcome: { kind: 'completed' },
      begun: true,
      output,
      value,
      enqueued,
      now: Math.round(this.#ticks() + this.#offset),
      taskFacts: parts.services.taskFacts,
    })
    const [answer] = await this.#app.store.settle([settlement], tx)
    if (answer === 'settled') return
    throw new ErrandError(
      'lease-lost',
      `${job.task} ${job.id} is no longer this worker's; roll the transaction back.`,
    )
  }

  async #close(exiting: boolean): Promise<void> {
    if (this.#state === 'new' || this.#state === 'stopped') {
      this.#state = 'stopped'
      return
    }
    this.#state = 'stopping'
    const { events } = this.#app
    events.emit('worker-stopping', { worker: this.id, running: this.#slots?.running.size ?? 0 })
    void this.#fetcher?.stop().then(() => (this.#fetched = true))
    await this.#until(
      () => this.#abortAt,
      () => this.#atRest(),
    )
    this.#slots?.abortAll('interrupted')
    await this.#until(
      () => this.#leaveAt,
      () => this.#atRest(),
    )
    const clean = this.#atRest()
    if (exiting && !clean) {
      this.#slots?.release()
      await this.#within(stopDefaults.closeMs / 3, this.#settled())
    }
    this.#settler.giveUp()
    await this.#within(stopDefaults.closeMs / 3, this.#letGo())
    if (this.#keepAlive !== null) clearInterval(this.#keepAlive)
    this.#state = 'stopped'
    events.emit('worker-stopped', { worker: this.id, clean })
  }

  /** Whether no claim is under way, nothing runs and nothing waits to be settled. Stuck handlers are not waited for. */
  #atRest(): boolean {
    const running = (this.#slots?.running.size ?? 0) - (this.#slots?.stuck ?? 0)
    return running === 0 && this.#fetched && this.#settler.pending === 0
  }

  /** Looks until something holds or its time has come, which a second `stop` may change. */
  async #until(at: () => number, holds: () => boolean): Promise<void> {
    for (let look = 1; !holds(); look++) {
      const leftMs = at() - this.#ticks()
      if (leftMs <= 0) return
      if (this.#stopChanged.signal.aborted) this.#stopChanged = new AbortController()
      await sleep(this.#app.store.clock, Math.min(leftMs, look, 20), this.#stopChanged.signal)
    }
  }

  async #settled(): Promise<void> {
    while (this.#settler.pending > 0) await sleep(this.#app.store.clock, 5)
  }

  async #letGo(): Promise<void> {
    this.#unwatch()
    this.#slots?.stop()
    this.#notes.stop()
    await Promise.all([this.#sweeper?.stop(), this.#renewer.stop()])
    await this.#app.store.tend(this.#record(true)).catch((error: unknown) => {
      this.#app.events.emit('warning', {
        code: 'worker-record',
        message: `The end of worker ${this.id} could not be recorded: ${String(error)}`,
      })
    })
    await this.#app.context.release().catch((error: unknown) => {
      this.#app.events.emit('warning', {
        code: 'context-dispose',
        message: `The context could not be disposed: ${String(error)}`,
      })
    })
  }

  /** Waits for something, but not for longer than its time. */
  async #within(ms: number, work: Promise<unknown>): Promise<void> {
    const over = new AbortController()
    await Promise.race([work, sleep(this.#app.store.clock, ms, over.signal)])
    over.abort()
  }
}
