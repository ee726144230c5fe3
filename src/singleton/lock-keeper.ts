/**
 * The process's side of its lock. It believes in the lock for no longer than the last answer allows, whatever its thread does or fails to do:
 * the end of that time is watched here, too.
 */
import { randomUUID } from 'node:crypto'
import { hostname } from 'node:os'
import { Worker as Thread } from 'node:worker_threads'
import { ErrandError, type ErrandErrorCode } from '../core/errors.ts'
import type { EventHub } from '../observe/events.ts'
import type { Unwatch } from '../store.ts'
import { Health } from '../worker/supervised.ts'
import { machineTicks } from '../worker/time.ts'
import { HoldLoop, type HoldReport } from './hold-loop.ts'
import type { FromLockThread, LockThreadData, ToLockThread } from './lock-thread.ts'
import type { HoldAnswer, Locks } from './lock.ts'
import { clearTimeout, setTimeout } from '../core/timers.ts'

export interface LockKeeperOptions {
  readonly locks: Locks
  readonly name: string
  readonly ttlMs: number
  readonly events: EventHub
}

/** A call to the thread is given up after this; servers are given up earlier by their clients. */
const callMs = 60_000
const stopMs = 2_000

type Answer = HoldAnswer | boolean | null
/** How the loop is reached: directly, or through a thread. */
interface Line {
  call(kind: 'take' | 'extend' | 'release'): Promise<Answer>
  stop(): Promise<void>
}

export class LockKeeper {
  readonly mode: 'thread' | 'event-loop'
  readonly #options: LockKeeperOptions
  readonly #health: Health
  readonly #holder = randomUUID()
  readonly #memory = new SharedArrayBuffer(8)
  readonly #until = new Float64Array(this.#memory)
  #line: Line | null = null
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
    this.mode = options.locks.connector === null ? 'event-loop' : 'thread'
  }

  /** The fencing number of the lock while this process may believe that it holds it, else null. */
  get token(): number | null {
    return machineTicks() < (this.#until[0] ?? 0) ? this.#token : null
  }

  /** Tries once to take the lock; `lost` is called, once, if it is lost later. Rejects when the server does not answer. */
  async take(lost: () => void): Promise<HoldAnswer> {
    const line = this.#open()
    this.#isTold = false
    const answer = (await line.call('take')) as HoldAnswer
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
    return this.#token !== null && (await this.#open().call('extend')) === true
  }

  /** Frees the lock. Rejects when the server does not answer; then the lock ends by its time. */
  async release(): Promise<void> {
    this.#letGo()
    if (this.#line !== null) await this.#line.call('release')
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
    const line = this.#line
    this.#line = null
    await line?.stop()
  }

  #unwatch(): void {
    this.#watch?.()
    this.#watch = null
  }

  #open(): Line {
    return (this.#line ??= this.mode === 'thread' ? this.#openThread() : this.#openLoop())
  }

  #openLoop(): Line {
    const { locks, name, ttlMs } = this.#options
    const loop = new HoldLoop({
      ...this.#identity(),
      locks,
      name,
      ttlMs,
      belief: { until: this.#until },
      ticks: machineTicks,
      report: (report) => this.#take(report),
    })
    return {
      call: async (kind) => (await loop[kind]()) ?? null,
      // A server that is away frees the lock by its time.
      stop: () => loop.release().catch((error: unknown) => void this.#health.failed(error)),
    }
  }

  #openThread(): Line {
    const { locks, name, ttlMs } = this.#options
    if (locks.connector === null) throw new TypeError('locks without a connector have no thread')
    const data: LockThreadData = {
      ...this.#identity(),
      connector: locks.connector,
      name,
      ttlMs,
      until: this.#memory,
    }
    const file = import.meta.url.endsWith('.ts') ? './lock-thread.ts' : './lock-thread.js'
    const thread = new Thread(new URL(file, import.meta.url), { workerData: data })
    const line = new ThreadLine(thread, (report) => this.#take(report))
    thread.on('error', (error) => this.#health.failed(error))
    thread.once('exit', () => {
      if (this.#line !== line) return
      // The lock cannot be extended by another thread: it is lost when its time is over.
      this.#line = null
      this.#health.failed(new Error('the thread that holds the lock ended'))
    })
    return line
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
      Math.max(leftMs, 1),
    )
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

/** Calls to the thread and their answers. */
class ThreadLine implements Line {
  readonly #thread: Thread
  readonly #calls = new Map<number, { answer(value: Answer): void; refuse(error: Error): void }>()
  #count = 0

  constructor(thread: Thread, report: (report: HoldReport) => void) {
    this.#thread = thread
    thread.on('message', (message: FromLockThread) => {
      switch (message.kind) {
        case 'answer':
          return this.#calls.get(message.call)?.answer(message.answer)
        case 'refused':
          return this.#calls
            .get(message.call)
            ?.refuse(new ErrandError(message.code as ErrandErrorCode, message.why))
        case 'lost':
        case 'failed':
        case 'worked':
          return report(message)
      }
    })
    thread.once('exit', () => {
      for (const waiting of this.#calls.values()) waiting.refuse(gone())
    })
  }

  call(kind: 'take' | 'extend' | 'release'): Promise<Answer> {
    const call = ++this.#count
    return new Promise((resolve, reject) => {
      const end = (): void => {
        clearTimeout(timer)
        this.#calls.delete(call)
      }
      const refuse = (error: Error): void => {
        end()
        reject(error)
      }
      const timer = setTimeout(() => refuse(gone()), callMs)
      this.#calls.set(call, {
        answer: (value) => {
          end()
          resolve(value)
        },
        refuse,
      })
      this.#send({ kind, call })
    })
  }

  async stop(): Promise<void> {
    const thread = this.#thread
    await new Promise<void>((resolve) => {
      const end = (): void => {
        clearTimeout(timer)
        resolve()
      }
      const timer = setTimeout(() => void thread.terminate().then(end, end), stopMs)
      thread.once('exit', end)
      this.#send({ kind: 'stop' })
    })
  }

  #send(message: ToLockThread): void {
    this.#thread.postMessage(message)
  }
}

function gone(): ErrandError {
  return new ErrandError('server-unavailable', 'The thread that holds the lock does not answer.')
}
