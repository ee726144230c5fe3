/**
 * The worker's side of lease renewal.
 *
 * Modes: `event-loop` (a loop here renews) ⇄ `thread` (a thread renews that said that it is ready,
 * and nothing does here). A thread that cannot start, or ends, leaves the leases to the event loop
 * at once, loudly, and is tried again. So leases are renewed from `start` to `stop`.
 */
import type { Worker as Thread } from 'node:worker_threads'
import { EventHub } from '../observe/events.ts'
import type { Connector, Store } from '../store/store.ts'
import type { LeaseRef } from '../store/worker-calls.ts'
import { LeaseTable } from './lease-table.ts'
import { RenewLoop, type RenewReport } from './renew-loop.ts'
import type { FromThread, RenewerData, ToThread } from './renewer-thread.ts'
import { receivedError } from '../loops/sent-error.ts'
import { Health } from '../loops/supervised.ts'
import { sayNoThread, startThread, stopThread, whyNoThread } from '../loops/thread.ts'
import { ticksOf } from '../loops/time.ts'

export interface RenewerOptions {
  readonly store: Store
  readonly events: EventHub
  readonly table: LeaseTable
  readonly leaseMs: number
}

/** Whom it reports to. */
export interface RenewerReports {
  /** Leases that are no longer this worker's. */
  readonly lost: (leases: readonly LeaseRef[]) => void
  /** Jobs that someone asked to cancel. */
  readonly cancelAsked: (leases: readonly LeaseRef[]) => void
  /** Whether leases can be renewed has changed. */
  readonly turned: () => void
}

const heard = (): void => undefined

const nobody: RenewerReports = { lost: heard, cancelAsked: heard, turned: heard }

/** Threads that failed one after another this often are tried at a slow pace only. */
const quickTries = 4
const slowTryMs = 60_000
/** Of no account: nothing is leased. */
const triedLeaseMs = 30_000

/**
 * Starts a renewer without leases, and returns how it renews and, when no thread could start, why.
 */
export async function tryRenewer(
  store: Store,
): Promise<{ readonly mode: Renewer['mode']; readonly why: string | null }> {
  const events = new EventHub()
  // The caller says what came out.
  events.on('warning', heard)
  const table = new LeaseTable()
  const renewer = new Renewer({ store, events, table, leaseMs: triedLeaseMs })
  await renewer.start(nobody)
  const { mode, whyNoThread: why } = renewer
  await renewer.stop()
  return { mode, why }
}

export class Renewer {
  readonly health: Health
  /** Of the thread alone: leases are renewed without it, too. */
  readonly threadHealth: Health
  readonly #options: RenewerOptions
  readonly #stopping = new AbortController()
  #reports: RenewerReports = nobody
  #loop: RenewLoop | null = null
  #thread: Thread | null = null
  /** The start of a thread that is under way. */
  #starting: Promise<void> | null = null
  /** Why there is no thread, for people; null when there is one, or none was asked for. */
  #why: string | null = null
  #untry: () => void = () => undefined

  constructor(options: RenewerOptions) {
    this.#options = options
    this.health = new Health('renewer', options.events)
    this.threadHealth = new Health('renewer-thread', options.events)
  }

  /**
   * Whether leases can be renewed, as far as is known: what a worker that cannot begins may run
   * elsewhere, too.
   */
  get works(): boolean {
    return this.health.failures === 0
  }

  get mode(): 'thread' | 'event-loop' {
    return this.#thread === null ? 'event-loop' : 'thread'
  }

  get whyNoThread(): string | null {
    return this.#why
  }

  /** Resolves when leases are renewed, by a thread if there can be one. */
  async start(reports: RenewerReports): Promise<void> {
    this.#reports = reports
    const { connector } = this.#options.store
    if (connector === null) return this.#renewHere()
    const why = whyNoThread('worker/renewer-thread', connector)
    if (why === null) return this.#tryThread(connector)
    this.#renewHere()
    this.#say(why)
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
    this.#stopping.abort()
    this.#untry()
    await this.#starting
    const thread = this.#thread
    if (thread !== null) await stopThread(thread, () => this.#send({ kind: 'stop' }))
    await this.#loop?.stop()
  }

  #send(message: ToThread): void {
    if (this.#thread !== null) return this.#thread.postMessage(message)
    if (message.kind === 'wake') this.#loop?.wake()
    if (message.kind === 'check') this.#loop?.check()
  }

  #tryThread(connector: Connector): Promise<void> {
    const { table, leaseMs } = this.#options
    const data: RenewerData = { shared: table.shared, leaseMs, failing: !this.works }
    const { signal } = this.#stopping
    this.#starting = startThread('worker/renewer-thread', connector, data, signal).then(
      (thread) => this.#renewInThread(thread, connector),
      (error: unknown) => this.#lackThread(error, connector),
    )
    return this.#starting
  }

  #renewInThread(thread: Thread, connector: Connector): void {
    thread.unref()
    let failure: unknown = new Error('the thread that renews leases ended')
    thread.on('message', (report: FromThread) =>
      this.#take(
        report.kind === 'failed' ? { kind: 'failed', error: receivedError(report.error) } : report,
      ),
    )
    thread.on('error', (error) => (failure = error))
    thread.once('exit', () => {
      this.#thread = null
      this.#lackThread(failure, connector)
      // Whatever it left undone is done at once.
      this.#send({ kind: 'wake' })
      this.#send({ kind: 'check' })
    })
    this.#thread = thread
    this.#why = null
    this.threadHealth.worked()
    // It looks at once at what the loop looked after.
    this.#send({ kind: 'wake' })
    void this.#loop?.stop()
    this.#loop = null
  }

  #lackThread(error: unknown, connector: Connector): void {
    if (this.#stopping.signal.aborted) return
    this.#renewHere()
    const leastMs = this.threadHealth.failures < quickTries ? 0 : slowTryMs
    const againMs = this.threadHealth.failed(error, leastMs)
    if (this.#why === null) this.#say(error instanceof Error ? error.message : String(error))
    const { clock } = this.#options.store
    this.#untry = clock.after(againMs, () => void this.#tryThread(connector))
  }

  #say(why: string): void {
    this.#why = why
    sayNoThread(this.#options.events, { work: 'leases', why })
  }

  /** Renews on the event loop from now on. */
  #renewHere(): void {
    if (this.#loop !== null) return
    const { store, table, leaseMs } = this.#options
    this.#loop = new RenewLoop({
      store,
      clock: store.clock,
      ticks: ticksOf(store),
      shared: table.shared,
      leaseMs,
      firstLeaseMs: store.info.firstLeaseMs,
      failing: !this.works,
      report: (report) => this.#take(report),
    })
    if (!this.works) this.#loop.wake()
  }

  #take(report: RenewReport): void {
    switch (report.kind) {
      case 'lost':
        return this.#reports.lost(report.leases)
      case 'cancel':
        return this.#reports.cancelAsked(report.leases)
      case 'failed':
        return void this.#failed(report.error)
      case 'worked': {
        const didWork = this.works
        this.health.worked()
        if (!didWork) this.#reports.turned()
      }
    }
  }

  /** Returns the milliseconds to wait. */
  #failed(error: unknown): number {
    const didWork = this.works
    const againMs = this.health.failed(error)
    if (didWork) this.#reports.turned()
    return againMs
  }
}
