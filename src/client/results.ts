/**
 * Waiting for results: all waits of an app share one read.
 *
 * While somebody waits, a loop reads the awaited jobs, then pauses until something may have changed: a `finished`
 * hint of the store, a new wait, or a slow timer that grows from 25 ms to 1 s. A read follows another after as long as
 * the last one took, so that waiting never takes more than half of a store, and where many wait after 2 ms at the
 * earliest, so that ends that come one by one are read together.
 * The loop ends with the last wait.
 */
import { toMs } from '../core/duration.ts'
import { ErrandError, isErrandError, type ErrandErrorCode } from '../core/errors.ts'
import { isFinal } from '../core/job.ts'
import { fromJson, type ReadJson } from '../core/json.ts'
import { refuseUnknownKeys } from '../core/option-keys.ts'
import { readFlag, readSignal } from '../core/read.ts'
import type { StoredJob } from '../store/job.ts'
import type { App } from '../app/app.ts'
import { attemptScope, type AttemptScope } from '../app/attempt-scope.ts'
import { answered, userCallMs } from '../loops/call-deadline.ts'
import { keepAlive } from '../loops/keep-alive.ts'
import type { ResultOptions } from './enqueued-job.ts'
import { missing, outputOf, timedOut } from './job-result.ts'
import { performance, setImmediate, setTimeout } from '../core/timers.ts'

/** Timing of waits. */
const resultDefaults = {
  timeoutMs: 30_000,
  gapMs: 2,
  /** Up to so many waits are read without a gap. */
  fewWaits: 20,
  firstPollMs: 25,
  lastPollMs: 1_000,
  /** How much of what is left of an attempt a wait in its handler may take. */
  attemptShare: 0.95,
  /** How long the last look, at the deadline, may take. */
  lastLookMs: 500,
  readJobs: 1_000,
} as const

interface Wait {
  readonly id: string
  readonly take: boolean
  readonly timeoutMs: number
  /** What a job that has ended gives: its output, or what it throws. */
  readonly read: (job: StoredJob) => unknown
  readonly scope: AttemptScope | undefined
  /** Whether the job was seen in the store, or stored by this process. */
  known: boolean
  last: StoredJob | null
  readonly settle: (end: () => unknown) => void
}

/** What a wait is told beside its options. */
interface WaitKind {
  /** Whether this process stored the job, so that it is known. */
  readonly stored?: boolean
  /** How its output is read. */
  readonly json?: ReadJson
}

export const storedHere: WaitKind = { stored: true }

export class Results {
  readonly #app: App
  readonly #waits = new Set<Wait>()
  #isServing = false
  #isClosed = false
  #isWoken = false
  #wakeUp: (() => void) | null = null
  #letGo: (() => void) | null = null
  #pollMs: number = resultDefaults.firstPollMs
  #failure: unknown = undefined

  constructor(app: App) {
    this.#app = app
  }

  /** Waits for a job's end and answers its output. Rejects as `errand.jobs.result` does. */
  async wait(
    id: string,
    options: ResultOptions = {},
    { stored = false, json = fromJson }: WaitKind = {},
  ): Promise<unknown> {
    refuseUnknownKeys(options, ['timeout', 'take', 'signal'], 'result()')
    const asked =
      options.timeout === undefined
        ? resultDefaults.timeoutMs
        : toMs(options.timeout, 'result().timeout')
    if (options.take !== undefined) readFlag(options.take, 'result().take')
    if (options.signal !== undefined) readSignal(options.signal, 'result().signal')
    if (this.#isClosed) throw closed()
    const { clock } = this.#app.store
    const scope = attemptScope.getStore()
    // Ends a little before the attempt would, so that the handler gets the reason and not only its timeout.
    const ownMs = ((scope?.deadline ?? Infinity) - clock.now()) * resultDefaults.attemptShare
    const timeoutMs = Math.max(0, Math.min(asked, ownMs))
    const signals = [options.signal, scope?.signal].filter((signal) => signal !== undefined)
    const signal = signals.length > 1 ? AbortSignal.any(signals) : signals[0]
    const read = (job: StoredJob): unknown => outputOf(this.#app, job, json)
    const take = options.take === true
    return this.#await({ id, take, timeoutMs, scope, read, known: stored }, signal)
  }

  /** Waits for the end of a job that is known to be stored, for as long as that takes. */
  async ended(id: string, signal: AbortSignal): Promise<StoredJob> {
    if (this.#isClosed) throw closed()
    const read = (job: StoredJob): StoredJob => job
    const given = { id, take: false, timeoutMs: Infinity, scope: undefined, read, known: true }
    return (await this.#await(given, signal)) as StoredJob
  }

  async #await(
    given: Omit<Wait, 'last' | 'settle'>,
    signal: AbortSignal | undefined,
  ): Promise<unknown> {
    signal?.throwIfAborted()
    const { timeoutMs } = given
    const { promise, resolve, reject } = Promise.withResolvers<unknown>()
    const settle = (end: () => unknown): void => {
      if (!this.#waits.delete(wait)) return
      try {
        resolve(end())
      } catch (error) {
        reject(error)
      }
      if (this.#waits.size === 0) this.#rest()
    }
    const wait: Wait = { ...given, last: null, settle }
    const abort = (): void => settle(() => signal?.throwIfAborted())
    signal?.addEventListener('abort', abort, { once: true })
    const stopTimer =
      timeoutMs === Infinity
        ? () => undefined
        : this.#app.store.clock.after(timeoutMs, () => void this.#lookOnceMore(wait))
    this.#add(wait)
    try {
      return await promise
    } finally {
      stopTimer()
      signal?.removeEventListener('abort', abort)
    }
  }

  /** Ends all waits with `closed`. */
  close(): void {
    this.#isClosed = true
    this.#endAll(closed())
  }

  #add(wait: Wait): void {
    this.#waits.add(wait)
    this.#letGo ??= keepAlive()
    this.#pollMs = resultDefaults.firstPollMs
    this.#wake()
    if (!this.#isServing) void this.#serve()
  }

  /** The last wait has ended: lets the loop end, and the process. */
  #rest(): void {
    this.#letGo?.()
    this.#letGo = null
    this.#wake()
  }

  #wake(): void {
    this.#isWoken = true
    this.#wakeUp?.()
  }

  #endAll(error: unknown): void {
    for (const wait of this.#waits) {
      wait.settle(() => {
        throw error
      })
    }
  }

  async #serve(): Promise<void> {
    this.#isServing = true
    let unwatch = (): void => undefined
    try {
      unwatch = this.#app.store.watch(
        (hint) => {
          if (hint === 'finished') this.#wake()
        },
        ['finished'],
      )
      while (this.#waits.size > 0) {
        // Waits that begin in the same turn as the first share its read.
        await new Promise(setImmediate)
        this.#isWoken = false
        const began = performance.now()
        await this.#read([...this.#waits])
        await this.#pause(performance.now() - began)
      }
    } catch (error) {
      this.#endAll(error)
    } finally {
      unwatch()
      this.#isServing = false
    }
  }

  /** Rests for the gap, measured in real time since it protects real resources, then until something may have changed. */
  async #pause(lastReadMs: number): Promise<void> {
    if (this.#waits.size === 0) return
    const gapMs = this.#waits.size > resultDefaults.fewWaits ? resultDefaults.gapMs : 0
    await delay(Math.max(gapMs, lastReadMs))
    if (this.#isWoken || this.#waits.size === 0) return
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#wakeUp = resolve
    const stop = this.#app.store.clock.after(this.#pollMs, resolve)
    this.#pollMs = Math.min(this.#pollMs * 2, resultDefaults.lastPollMs)
    await promise
    this.#wakeUp = null
    stop()
  }

  /** Reads the jobs of these waits once. A store that is away for now ends no wait; its deadline does. */
  async #read(waits: readonly Wait[]): Promise<void> {
    try {
      const byId = Map.groupBy(waits, (wait) => wait.id)
      const ids = [...byId.keys()]
      for (let from = 0; from < ids.length; from += resultDefaults.readJobs) {
        await this.#readSome(ids.slice(from, from + resultDefaults.readJobs), byId)
      }
      this.#failure = undefined
    } catch (error) {
      this.#failure = error
      if (isPassing(error)) return
      for (const wait of waits) {
        wait.settle(() => {
          throw error
        })
      }
    }
  }

  async #readSome(
    ids: readonly string[],
    byId: ReadonlyMap<string, readonly Wait[]>,
  ): Promise<void> {
    const { store } = this.#app
    const jobs = await answered(store.clock, store.get(ids), { withinMs: userCallMs })
    const ended = ids.filter((id, i) => this.#deliver(jobs[i] ?? null, byId.get(id) ?? []))
    if (ended.length === 0) return
    const taken = await answered(store.clock, store.take(ended), {
      withinMs: userCallMs,
      code: 'unknown-outcome',
    })
    for (const [i, id] of ended.entries()) this.#handOver(taken[i] ?? null, byId.get(id) ?? [])
  }

  /** Answers the waits for one job; tells whether the job has ended and is still to be taken. */
  #deliver(job: StoredJob | null, waits: readonly Wait[]): boolean {
    let isWanted = false
    for (const wait of waits) {
      if (job === null) {
        wait.settle(() => {
          throw missing(wait.id, wait.known)
        })
        continue
      }
      wait.known = true
      wait.last = job
      if (!isFinal(job.state) || !this.#waits.has(wait)) continue
      if (wait.take) isWanted = true
      else wait.settle(() => wait.read(job))
    }
    return isWanted
  }

  /** Gives a taken job to the first of its takers; the others find it gone. */
  #handOver(job: StoredJob | null, waits: readonly Wait[]): void {
    if (job !== null && !isFinal(job.state)) return
    let left = job
    for (const wait of waits) {
      if (!wait.take || !this.#waits.has(wait)) continue
      const own = left
      left = null
      wait.settle(() => {
        if (own === null) throw missing(wait.id, true)
        return wait.read(own)
      })
    }
  }

  /** At the deadline: reads once more, so that nothing is reported late that has ended in time. */
  async #lookOnceMore(wait: Wait): Promise<void> {
    await Promise.race([this.#read([wait]), delay(resultDefaults.lastLookMs)])
    wait.settle(() => {
      throw timedOut(wait.id, wait.last, wait.timeoutMs, wait.scope, this.#failure)
    })
  }
}

const passing: readonly ErrandErrorCode[] = [
  'store-busy',
  'store-unavailable',
  'timeout',
  'overloaded',
  'unknown-outcome',
]

function isPassing(error: unknown): boolean {
  return isErrandError(error) && passing.includes(error.code)
}

function closed(): ErrandError {
  return new ErrandError('closed', 'The app was closed.')
}

/** Waits in real time; less than half a millisecond is one turn of the event loop, since timers know none. */
function delay(ms: number): Promise<void> {
  return new Promise((resolve) => (ms < 0.5 ? setImmediate(resolve) : setTimeout(resolve, ms)))
}
