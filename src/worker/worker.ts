/**
 * A worker's life.
 *
 * new → running (`start`) → stopping (`stop`: no claims, the buffer is given back, running attempts
 * may end, then are aborted, then are left) → stopped.
 */
import { v7 as uuidv7 } from 'uuid'
import type { App } from '../app/app.ts'
import { readCount, readKeeper } from '../app/app.ts'
import type { Client } from '../client/client.ts'
import type { ScheduleBook } from '../flows/schedules/book.ts'
import { sleep } from '../core/clock.ts'
import { toMs } from '../core/duration.ts'
import { readPauseWhen, type LoadBounds } from '../core/pause-when.ts'
import { ErrandError } from '../core/errors.ts'
import { refuseUnknownKeys } from '../core/option-keys.ts'
import { refuseInThread } from '../loops/in-thread.ts'
import { ownProcess } from '../loops/own-process.ts'
import { readFlag, readList, readQueueName } from '../core/read.ts'
import { checkName } from '../core/text.ts'
import type { Events } from '../observe/events.ts'
import type { IsolateTasks } from './runner.ts'
import { Holds } from './holds.ts'
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

/** How long the ends of handlers that were ended with their threads and processes may take. */
const settleMs = 300

/** The shortest poll. */
const leastPollMs = 10

const workerKeys = ['queues', 'slots', 'poll', 'group', 'pauseWhen', 'keeper', 'burst']

export class ErrandWorker implements Worker {
  readonly id: string = uuidv7()
  readonly #app: App
  readonly #client: Client
  readonly #book: ScheduleBook
  readonly #slotCount: number
  readonly #asked: readonly string[] | null
  readonly #pollMs: number
  readonly #ticks: Ticks
  readonly #stopClock: StopClock
  readonly #over: () => void
  readonly #isolateTasks: IsolateTasks
  readonly #group: string | null
  readonly #loadBounds: LoadBounds | null
  readonly #keeps: boolean
  readonly #isBurst: boolean
  readonly #holds: Holds
  readonly #stopped = new AbortController()
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
    book: ScheduleBook,
    options: WorkerOptions,
    over: () => void = () => undefined,
    isolateTasks: IsolateTasks = () => null,
  ) {
    refuseUnknownKeys(options, workerKeys, 'worker()')
    this.#app = app
    this.#client = client
    this.#book = book
    this.#over = over
    this.#isolateTasks = isolateTasks
    this.#slotCount = readSlots(options.slots === undefined ? app.slots : options.slots)
    this.#asked = options.queues === undefined ? null : readQueues(options.queues)
    if (this.#asked?.length === 0)
      throw new ErrandError('invalid-option', 'worker().queues lists no queue.')
    this.#pollMs = options.poll === undefined ? app.pollMs : toMs(options.poll, 'worker().poll')
    if (this.#pollMs < leastPollMs)
      throw new ErrandError('invalid-option', `worker().poll must be at least ${leastPollMs} ms.`)
    const { group, pauseWhen, keeper = app.keeper, burst = false } = options
    this.#group = group === undefined ? null : readGroup(group)
    this.#loadBounds =
      pauseWhen === undefined ? app.loadBounds : readPauseWhen(pauseWhen, 'worker().pauseWhen')
    this.#keeps = isKeeper(readKeeper(keeper, 'worker().keeper'))
    this.#isBurst = readFlag(burst, 'worker().burst')
    this.#holds = new Holds(this.id, app.events)
    this.#ticks = ticksOf(app.store)
    this.#stopClock = new StopClock(app.store.clock, this.#ticks)
    mayStopToExit(this, (given) => this.#stop(given, 'exit'))
  }

  get status(): WorkerStatus {
    const parts = this.#parts
    return {
      id: this.id,
      state: this.#state,
      paused: this.#holds.reasons,
      queues: this.#queues,
      slots: this.#slotCount,
      running: parts?.slots.running.size ?? 0,
      waiting: parts?.slots.waiting ?? 0,
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

  pause(): void {
    this.#holds.set('code', true)
  }

  resume(): void {
    this.#holds.set('code', false)
  }

  stop(options: StopOptions = {}): Promise<void> {
    return this.#stop(options, 'stay')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  #stop(options: StopOptions, then: 'stay' | 'exit'): Promise<void> {
    this.#stopClock.set(options)
    this.#stopped.abort()
    this.#stopping ??= inRootContext(() => this.#close(then)).finally(this.#over)
    return this.#stopping
  }

  async #open(): Promise<void> {
    const app = this.#app
    const registry = await app.tasks()
    for (const queue of this.#asked ?? []) app.checkQueue(queue)
    this.#queues = this.#asked ?? [...app.queueNames(), ...(app.open ? ['*'] : [])]
    const isolated = this.#isolateTasks(app, registry)
    const book = this.#book
    const schedules = { book, declared: await book.declared(), set: await book.set() }
    const context = await app.context.acquire()
    this.#hasContext = true
    const parts = new Wiring({
      app,
      client: this.#client,
      worker: this.id,
      registry,
      context,
      isolated,
      queues: this.#queues,
      slots: this.#slotCount,
      pollMs: this.#pollMs,
      schedules,
      group: this.#group,
      keeps: this.#keeps,
      holds: this.#holds,
      loadBounds: this.#loadBounds,
    })
    await parts.announce()
    if (this.#stopping !== null) {
      await Promise.all([parts.stop(), parts.endIsolated()])
      throw new ErrandError('closed', 'The worker was stopped while it started.')
    }
    this.#parts = parts
    this.#keepAlive = setInterval(() => undefined, 2 ** 30)
    parts.start((why, { by, note }) => this.#end(why, by, note))
    app.events.emit('worker-started', {
      worker: this.id,
      queues: this.#queues,
      slots: this.#slotCount,
    })
    app.store.clock.after(warnAfterMs, () => void this.#warn())
    if (this.#isBurst)
      void parts.untilEmpty(this.#stopped.signal).then(() => this.#end('burst', null, null))
  }

  /** Stops by itself, after whoever listens had the chance to stop it in another way. */
  #end(why: Events['worker-ending']['why'], by: string | null, note: string | null): void {
    if (this.#stopping !== null) return
    this.#app.events.emit('worker-ending', { worker: this.id, why, by, note })
    if (this.#stopping === null) void this.stop()
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
    parts.slots.interruptWaiting()
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
    await this.#endIsolated(parts, isAtRest)
    const clean = isAtRest() && parts.slots.stuck === 0
    if (then === 'exit' && !clean) await this.#release(parts)
    await this.#letGo(parts)
    this.#state = 'stopped'
    events.emit('worker-stopped', { worker: this.id, clean })
  }

  /** Ends threads and processes of isolated tasks; what still ran in them ends as interrupted. */
  async #endIsolated(parts: Wiring, isAtRest: () => boolean): Promise<void> {
    const ended = parts.endIsolated()
    if (ended === null) return
    const settledBy = this.#ticks() + settleMs
    await this.#stopClock.until(() => settledBy, isAtRest)
    await this.#stopClock.patiently(ended)
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

/** Whether this process looks after the store; one without a supervisor is the first of its own. */
function isKeeper(keeper: boolean | ((index: number) => boolean)): boolean {
  return typeof keeper === 'function' ? keeper(ownProcess()?.index ?? 0) : keeper
}

function readGroup(group: string): string {
  checkName(group, 'worker().group')
  return group
}

function readSlots(value: number): number {
  const slots = readCount(value, 'worker().slots')
  if (slots <= mostSlots) return slots
  throw new ErrandError(
    'invalid-option',
    `worker().slots is at most ${mostSlots}; start more workers for more.`,
  )
}
