/**
 * The process's side of its lock. It believes in the lock for no longer than the last answer allows, whatever its thread does or fails to do:
 * the end of that time is watched here, too.
 *
 * Modes: closed → in a thread, or, when none can start, on the event loop, which is said → closed, by the end of the thread or a stop. A thread that
 * ends while the lock is held leaves it to the event loop; a further take tries a thread again.
 */
import { randomUUID } from 'node:crypto'
import { hostname } from 'node:os'
import { isErrandError } from '../core/errors.ts'
import { longestTimerMs } from '../core/clock.ts'
import type { EventHub } from '../observe/events.ts'
import type { Connector } from '../store/store.ts'
import type { Unwatch } from '../store/worker-calls.ts'
import { Health } from '../loops/supervised.ts'
import { sayNoThread, startThread, whyNoThread } from '../loops/thread.ts'
import { machineTicks } from '../loops/time.ts'
import { HoldLoop, type HoldReport } from './hold-loop.ts'
import { directLine, ThreadLine, type LineAnswer, type LockLine } from './lock-line.ts'
import type { LockThreadData } from './lock-thread.ts'
import type { HoldAnswer, Locks } from '../store/locks.ts'
import { clearTimeout, setTimeout } from '../core/timers.ts'

export interface LockKeeperOptions {
  readonly locks: Locks
  readonly name: string
  readonly ttlMs: number
  readonly events: EventHub
}

/** After a thread that ended or could not start, the next is not tried for so long. */
const threadAgainMs = 60_000

export class LockKeeper {
  readonly #options: LockKeeperOptions
  readonly #health: Health
  readonly #holder = randomUUID()
  readonly #memory = new SharedArrayBuffer(8)
  readonly #until = new Float64Array(this.#memory)
  readonly #stopping = new AbortController()
  #isLoose = false
  #line: LockLine | Promise<LockLine> | null = null
  /** When a take tries a thread again, by `machineTicks`. */
  #threadAt = Infinity
  /** Whether it was said that there is no thread. */
  #hasSaid = false
  #token: number | null = null
  #lapse: NodeJS.Timeout | null = null
  #lost: (() => void) | null = null
  #free: (() => void) | null = null
  /** The lock may have become free since it was tried last. */
  #isTold = false
  #watch: Unwatch | null = null

  constructor(options: LockKeeperOptions) {
    this.#options = options
    this.#health = new Health('lock', options.events)
  }

  /** The fencing number of the lock while this process may believe that it holds it, else null. */
  get token(): number | null {
    return machineTicks() < (this.#until[0] ?? 0) ? this.#token : null
  }

  /** Tries once to take the lock; `lost` is called, once, if it is lost later. Rejects when the server does not answer. */
  async take(lost: () => void): Promise<HoldAnswer> {
    if (machineTicks() >= this.#threadAt) await this.#close()
    this.#isTold = false
    const answer = (await this.#call('take')) as HoldAnswer
    if (answer.status === 'taken') return answer
    this.#unwatch()
    this.#token = answer.token
    this.#lost = lost
    // An answer that was long on its way may be good no more.
    if (this.token === null && !(await this.extend())) {
      return { status: 'taken', owner: null, freeInMs: null }
    }
    this.#watchLapse()
    return answer
  }

  /** Notices now that the belief has ended, if it has, and not only when a timer gets its turn. */
  look(): void {
    if (this.#token !== null && this.token === null) this.#lose()
  }

  /** Makes sure that the lock is held now. */
  async extend(): Promise<boolean> {
    return this.#token !== null && (await this.#call('extend')) === true
  }

  /** Frees the lock. Rejects when the server does not answer; then the lock ends by its time. */
  async release(): Promise<void> {
    this.#letGo()
    if (this.#line !== null) await this.#call('release')
  }

  /** Waits until the lock may be free, or the time is over, or the signal aborts. */
  async whenFree(ms: number, signal: AbortSignal): Promise<void> {
    this.#watch ??= this.#options.locks.watch(this.#options.name, () => {
      this.#isTold = true
      this.#free?.()
    })
    if (signal.aborted || this.#isTold) return
    await new Promise<void>((resolve) => {
      const done = (): void => {
        clearTimeout(timer)
        signal.removeEventListener('abort', done)
        this.#free = null
        resolve()
      }
      const timer = setTimeout(done, ms)
      signal.addEventListener('abort', done, { once: true })
      this.#free = done
    })
  }

  /** Frees the lock if it is held and ends the thread; waits a bounded time for both. */
  async stop(): Promise<void> {
    this.#letGo()
    this.#unwatch()
    this.#stopping.abort()
    await this.#close()
  }

  /** Holds the lock until a run has ended, or the process does: it does not keep the process. */
  stopAfter(run: Promise<unknown>): void {
    this.#unwatch()
    this.#isLoose = true
    this.#lapse?.unref()
    void Promise.resolve(this.#line).then((line) => line?.unref())
    void run.then(() => this.stop())
  }

  #unwatch(): void {
    this.#watch?.()
    this.#watch = null
  }

  /** A call that loses its thread is made once more, on the event loop. */
  async #call(kind: 'take' | 'extend' | 'release'): Promise<LineAnswer> {
    try {
      return await (await this.#open()).call(kind)
    } catch (error) {
      if (this.#stopping.signal.aborted || !isErrandError(error, 'no-thread')) throw error
      return (await this.#open()).call(kind)
    }
  }

  async #open(): Promise<LockLine> {
    return (this.#line ??= this.#openLine())
  }

  async #openLine(): Promise<LockLine> {
    const { connector } = this.#options.locks
    this.#threadAt = Infinity
    if (connector === null) return directLine(this.#loop())
    const why = whyNoThread('singleton/lock-thread', connector)
    if (why === null) return this.#openThread(connector)
    this.#say(why)
    return directLine(this.#loop())
  }

  async #openThread(connector: Connector): Promise<LockLine> {
    const { name, ttlMs } = this.#options
    const data: LockThreadData = { ...this.#identity(), name, ttlMs, until: this.#memory }
    const { signal } = this.#stopping
    try {
      const thread = await startThread('singleton/lock-thread', connector, data, signal)
      let failure: unknown = new Error('the thread that holds the lock ended')
      thread.on('error', (error) => (failure = error))
      thread.once('exit', () => this.#threadEnded(failure))
      this.#hasSaid = false
      return new ThreadLine(thread, (report) => this.#take(report))
    } catch (error) {
      this.#lackThread(error)
      return directLine(this.#loop())
    }
  }

  /** What is held is extended here, at once, where the server can be told so; else it is lost. */
  #threadEnded(error: unknown): void {
    if (this.#stopping.signal.aborted) return
    const loop = this.#loop()
    this.#line = directLine(loop)
    if (this.#isLoose) loop.unref()
    this.#lackThread(error)
    if (this.#token !== null) loop.adopt(this.#token)
  }

  #lackThread(error: unknown): void {
    if (this.#stopping.signal.aborted) return
    this.#threadAt = machineTicks() + threadAgainMs
    this.#health.failed(error)
    this.#say(error instanceof Error ? error.message : String(error))
  }

  #say(why: string): void {
    if (this.#hasSaid) return
    this.#hasSaid = true
    const { events, name } = this.#options
    sayNoThread(events, { work: 'lock', name, why })
  }

  async #close(): Promise<void> {
    const line = this.#line
    this.#line = null
    // A server that is away frees the lock by its time.
    await (await line)?.stop().catch((error: unknown) => void this.#health.failed(error))
  }

  #loop(): HoldLoop {
    const { locks, name, ttlMs } = this.#options
    return new HoldLoop({
      ...this.#identity(),
      locks,
      name,
      ttlMs,
      belief: { until: this.#until },
      ticks: machineTicks,
      report: (report) => this.#take(report),
    })
  }

  #identity(): { readonly holder: string; readonly host: string; readonly pid: number } {
    return { holder: this.#holder, host: hostname(), pid: process.pid }
  }

  #take(report: HoldReport): void {
    switch (report.kind) {
      case 'lost':
        if (report.token === this.#token) this.#lose()
        return
      case 'failed':
        return void this.#health.failed(report.error)
      case 'worked':
        return this.#health.worked()
    }
  }

  /** Notices that the belief has ended even if the thread says nothing. */
  #watchLapse(): void {
    if (this.#lapse !== null) clearTimeout(this.#lapse)
    const leftMs = (this.#until[0] ?? 0) - machineTicks()
    this.#lapse = setTimeout(
      () => (this.token === null ? this.#lose() : this.#watchLapse()),
      Math.min(Math.max(leftMs, 1), longestTimerMs),
    )
    if (this.#isLoose) this.#lapse.unref()
  }

  #lose(): void {
    const lost = this.#lost
    this.#letGo()
    lost?.()
  }

  #letGo(): void {
    if (this.#lapse !== null) clearTimeout(this.#lapse)
    this.#lapse = null
    this.#token = null
    this.#lost = null
  }
}
