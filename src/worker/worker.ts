/**
 * A worker's life.
 *
 * new → running (`start`) → stopping (`stop`: no claims, the buffer is given back, running attempts
 * may end, then are aborted, then are left) → stopped.
 */
import { v7 as uuidv7 } from 'uuid'
import type { App } from '../app/app.ts'
import { readCount } from '../app/app.ts'
import type { Client } from '../client/client.ts'
import { sleep } from '../core/clock.ts'
import { toMs } from '../core/duration.ts'
import { ErrandError } from '../core/errors.ts'
import { refuseUnknownKeys } from '../core/option-keys.ts'
import { refuseInThread } from '../loops/in-thread.ts'
import { readList, readQueueName } from '../core/read.ts'
import { Wiring } from './wiring.ts'
import type { StopOptions, Worker, WorkerOptions, WorkerStatus } from './worker-options.ts'
import { inRootContext } from '../loops/root-context.ts'
import { stopDefaults } from '../loops/stop-defaults.ts'
import { StopClock } from './stop-clock.ts'
import { mayStopToExit } from './stop-to-exit.ts'
import { ticksOf, type Ticks } from '../loops/time.ts'
import { clearInterval, setInterval } from '../core/timers.ts'

/** The most slots of one worker: each running job holds a lease in a table of fixed size. */
const mostSlots = 1_000

/** What the store warns of is asked for when the start is over. */
const warnAfterMs = 1_000

/** The shortest poll. */
const leastPollMs = 10

export class ErrandWorker implements Worker {
  readonly id: string = uuidv7()
  readonly #app: App
  readonly #client: Client
  readonly #slotCount: number
  readonly #asked: readonly string[] | null
  readonly #pollMs: number
  readonly #ticks: Ticks
  readonly #stopClock: StopClock
  readonly #over: () => void
  #state: WorkerStatus['state'] = 'new'
  #queues: readonly string[] = []
  #parts: Wiring | null = null
  /** Whether `start` is at work. */
  #isOpening = false
  #hasContext = false
  /** Whether the last claim has returned, so that nothing more comes in. */
  #fetched = false
  #keepAlive: NodeJS.Timeout | null = null
  #stopping: Promise<void> | null = null

  /**
   * `over` is called when it has stopped, or could not start. Throws `invalid-option` for options
   * that cannot work.
   */
  constructor(
    app: App,
    client: Client,
    options: WorkerOptions,
    over: () => void = () => undefined,
  ) {
    refuseUnknownKeys(options, ['queues', 'slots', 'poll'], 'worker()')
    this.#app = app
    this.#client = client
    this.#over = over
    this.#slotCount = readSlots(options.slots === undefined ? app.slots : options.slots)
    this.#asked = options.queues === undefined ? null : readQueues(options.queues)
    if (this.#asked?.length === 0)
      throw new ErrandError('invalid-option', 'worker().queues lists no queue.')
    this.#pollMs = options.poll === undefined ? app.pollMs : toMs(options.poll, 'worker().poll')
    if (this.#pollMs < leastPollMs)
      throw new ErrandError('invalid-option', `worker().poll must be at least ${leastPollMs} ms.`)
    this.#ticks = ticksOf(app.store)
    this.#stopClock = new StopClock(app.store.clock, this.#ticks)
    mayStopToExit(this, (given) => this.#stop(given, 'exit'))
  }

  get status(): WorkerStatus {
    const parts = this.#parts
    return {
      id: this.id,
      state: this.#state,
      queues: this.#queues,
      slots: this.#slotCount,
      running: parts?.slots.running.size ?? 0,
      buffered: parts?.fetcher.buffered ?? 0,
      stuck: parts?.slots.stuck ?? 0,
      renewer: parts?.renewing ?? 'event-loop',
      parts: Object.fromEntries(
        (parts?.health ?? []).map(({ part, failures }) => [part, failures]),
      ),
    }
  }

  async start(): Promise<void> {
    if (this.#state !== 'new')
      throw new ErrandError(
        'closed',
        'A worker starts once; make another one with errand.worker().',
      )
    refuseInThread('A worker')
    this.#state = 'running'
    this.#isOpening = true
    try {
      await inRootContext(() => this.#open())
    } catch (error) {
      this.#state = 'stopped'
      this.#over()
      await this.#releaseContext()
      throw error
    } finally {
      this.#isOpening = false
    }
  }

  stop(options: StopOptions = {}): Promise<void> {
    return this.#stop(options, 'stay')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  #stop(options: StopOptions, then: 'stay' | 'exit'): Promise<void> {
    this.#stopClock.set(options)
    this.#stopping ??= inRootContext(() => this.#close(then)).finally(this.#over)
    return this.#stopping
  }

  async #open(): Promise<void> {
    const app = this.#app
    const registry = await app.tasks()
    for (const queue of this.#asked ?? []) app.checkQueue(queue)
    this.#queues = this.#asked ?? [...app.queueNames(), ...(app.open ? ['*'] : [])]
    const context = await app.context.acquire()
    this.#hasContext = true
    const parts = new Wiring({
      app,
      client: this.#client,
      worker: this.id,
      registry,
      context,
      queues: this.#queues,
      slots: this.#slotCount,
      pollMs: this.#pollMs,
    })
    await parts.announce()
    if (this.#stopping !== null) {
      await parts.stop()
      throw new ErrandError('closed', 'The worker was stopped while it started.')
    }
    this.#parts = parts
    this.#keepAlive = setInterval(() => undefined, 2 ** 30)
    parts.start()
    app.events.emit('worker-started', {
      worker: this.id,
      queues: this.#queues,
      slots: this.#slotCount,
    })
    app.store.clock.after(warnAfterMs, () => void this.#warn())
  }

  /** Repeats what the store warns of, for those who read logs and not what doctor says. */
  async #warn(): Promise<void> {
    const { store, events } = this.#app
    if (this.#stopping !== null) return
    // A store that does not respond is reported by what needs it.
    const warnings = await store.warnings('ask').catch(() => [])
    for (const { text, advice } of warnings) events.warn('store-at-risk', { text, advice })
  }

  async #close(then: 'stay' | 'exit'): Promise<void> {
    const clock = this.#stopClock
    await clock.until(
      () => clock.abortAt,
      () => !this.#isOpening,
    )
    const parts = this.#parts
    if (parts === null) {
      this.#state = 'stopped'
      return
    }
    this.#state = 'stopping'
    const { events } = this.#app
    events.emit('worker-stopping', { worker: this.id, running: parts.slots.running.size })
    void parts.fetcher.stop().then(() => (this.#fetched = true))
    await clock.until(
      () => clock.abortAt,
      () => live(parts) === 0,
    )
    // Handlers may go on without limit, if a stop says so; a store that does not answer is not
    // waited for so long.
    const settleBy = this.#ticks() + stopDefaults.graceMs
    const isAtRest = (): boolean =>
      live(parts) === 0 && this.#fetched && parts.settler.pending === 0
    await clock.until(() => (clock.abortAt < Infinity ? clock.abortAt : settleBy), isAtRest)
    parts.slots.interruptAll(clock.leaveAt)
    const leaveBy = settleBy + stopDefaults.abortGraceMs
    await clock.until(() => (clock.leaveAt < Infinity ? clock.leaveAt : leaveBy), isAtRest)
    const clean = isAtRest() && parts.slots.stuck === 0
    if (then === 'exit' && !clean) await this.#release(parts)
    await this.#letGo(parts)
    this.#state = 'stopped'
    events.emit('worker-stopped', { worker: this.id, clean })
  }

  /** Gives up what still runs, because the process is about to exit. */
  async #release(parts: Wiring): Promise<void> {
    parts.slots.release()
    const settled = async (): Promise<void> => {
      while (parts.settler.pending > 0) await sleep(this.#app.store.clock, 5)
    }
    await this.#stopClock.briefly(settled())
  }

  /**
   * Ends the parts, writes the end of the worker's record and disposes the context, each within its
   * time.
   */
  async #letGo(parts: Wiring): Promise<void> {
    const closing = async (
      code: 'part-stop' | 'worker-record' | 'context-dispose',
      work: Promise<unknown>,
    ): Promise<void> => {
      await work.catch((error: unknown) => this.#app.events.warn(code, { worker: this.id, error }))
    }
    await closing('part-stop', this.#stopClock.briefly(parts.stop()))
    await closing('worker-record', this.#stopClock.briefly(parts.recordEnd()))
    await closing('context-dispose', this.#disposeContext())
    if (this.#keepAlive !== null) clearInterval(this.#keepAlive)
  }

  async #disposeContext(): Promise<void> {
    if (await this.#stopClock.patiently(this.#releaseContext())) return
    throw new Error('the context takes longer to dispose than a stop may; it goes on by itself')
  }

  async #releaseContext(): Promise<void> {
    if (!this.#hasContext) return
    this.#hasContext = false
    await this.#app.context.release()
  }
}

/** Handlers that run and are not stuck. */
function live({ slots }: Wiring): number {
  return slots.running.size - slots.stuck
}

function readQueues(queues: readonly string[]): readonly string[] {
  const names = readList(queues, 'worker().queues', 'names of queues')
  for (const name of names) readQueueName(name, 'Each of worker().queues')
  return [...new Set(names)]
}

function readSlots(value: number): number {
  const slots = readCount(value, 'worker().slots')
  if (slots <= mostSlots) return slots
  throw new ErrandError(
    'invalid-option',
    `worker().slots is at most ${mostSlots}; start more workers for more.`,
  )
}
