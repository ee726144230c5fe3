/** The worker's side of lease renewal: a thread when the store can be opened again, the event loop otherwise. */
import { Worker as Thread } from 'node:worker_threads'
import type { EventHub } from '../observe/events.ts'
import type { LeaseRef, Store } from '../store.ts'
import type { LeaseTable } from './lease-table.ts'
import { RenewLoop, type RenewReport } from './renew-loop.ts'
import type { ThreadData, ToThread } from './renewer-thread.ts'
import { Health } from './supervised.ts'
import { ticksOf } from './time.ts'

export interface RenewerOptions {
  readonly store: Store
  readonly events: EventHub
  readonly table: LeaseTable
  readonly leaseMs: number
  /** Leases that are no longer this worker's. */
  readonly lost: (leases: readonly LeaseRef[]) => void
  /** Jobs that someone asked to cancel. */
  readonly cancelAsked: (leases: readonly LeaseRef[]) => void
  /** Whether leases can be renewed has changed. */
  readonly turned: () => void
}

/** How long a stopping thread may take before it is ended, and a starting one before it is no longer waited for. */
const threadBounds = { stopMs: 2_000, startMs: 1_000 } as const

export class Renewer {
  readonly health: Health
  readonly mode: 'thread' | 'event-loop'
  readonly #options: RenewerOptions
  #loop: RenewLoop | null = null
  #thread: Thread | null = null
  #stopped = false

  constructor(options: RenewerOptions) {
    this.#options = options
    this.health = new Health('renewer', options.events)
    this.mode = options.store.connector === null ? 'event-loop' : 'thread'
  }

  /** Whether leases can be renewed, as far as is known: what a worker that cannot begins may run elsewhere, too. */
  get works(): boolean {
    return this.health.failures === 0
  }

  /** Resolves when leases are renewed; a thread that takes long to start is not waited for. */
  async start(): Promise<void> {
    const { store, table, leaseMs } = this.#options
    if (store.connector !== null) {
      this.#startThread()
      return this.#threadStarted()
    }
    this.#loop = new RenewLoop({
      store,
      clock: store.clock,
      ticks: ticksOf(store),
      shared: table.shared,
      leaseMs,
      report: (report) => this.#take(report),
    })
  }

  /** Leases were held; called before their handlers start. */
  held(): void {
    if (this.#options.table.mustWake()) this.#send({ kind: 'wake' })
  }

  /** Asks the store at once whether a cancel was asked for. */
  check(): void {
    this.#send({ kind: 'check' })
  }

  async stop(): Promise<void> {
    this.#stopped = true
    await this.#loop?.stop()
    const thread = this.#thread
    if (thread === null) return
    const ended = new Promise<void>((resolve) => thread.once('exit', () => resolve()))
    this.#send({ kind: 'stop' })
    const timer = setTimeout(() => void thread.terminate(), threadBounds.stopMs)
    await ended
    clearTimeout(timer)
  }

  #send(message: ToThread): void {
    if (this.#thread !== null) return this.#thread.postMessage(message)
    if (message.kind === 'wake') this.#loop?.wake()
    if (message.kind === 'check') this.#loop?.check()
  }

  #startThread(): void {
    const { store, table, leaseMs } = this.#options
    if (store.connector === null || this.#stopped) return
    const file = import.meta.url.endsWith('.ts') ? './renewer-thread.ts' : './renewer-thread.js'
    const data: ThreadData = { connector: store.connector, shared: table.shared, leaseMs }
    const thread = new Thread(new URL(file, import.meta.url), { workerData: data })
    thread.unref()
    this.#thread = thread
    thread.on('message', (report: RenewReport) => this.#take(report))
    thread.on('error', (error) => this.#failed(error))
    thread.on('exit', () => {
      this.#thread = null
      if (this.#stopped) return
      const againMs = this.#failed(new Error('the thread that renews leases ended'))
      this.#options.store.clock.after(againMs, () => this.#startThread())
    })
  }

  async #threadStarted(): Promise<void> {
    const late = new AbortController()
    const timer = setTimeout(() => late.abort(), threadBounds.startMs)
    const thread = this.#thread
    await new Promise<void>((resolve) => {
      late.signal.addEventListener('abort', () => resolve(), { once: true })
      thread?.once('message', () => resolve())
      thread?.once('exit', () => resolve())
    })
    clearTimeout(timer)
  }

  #take(report: RenewReport): void {
    switch (report.kind) {
      case 'lost':
        return this.#options.lost(report.leases)
      case 'cancel':
        return this.#options.cancelAsked(report.leases)
      case 'failed':
        return void this.#failed(report.error)
      case 'worked': {
        const didWork = this.works
        this.health.worked()
        if (!didWork) this.#options.turned()
      }
    }
  }

  /** Answers the milliseconds to wait. */
  #failed(error: unknown): number {
    const didWork = this.works
    const againMs = this.health.failed(error)
    if (didWork) this.#options.turned()
    return againMs
  }
}
