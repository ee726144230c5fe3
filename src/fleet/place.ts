/**
 * One place of a supervisor, and the process that has it.
 *
 * resting (until its next start) → starting → up (it has said so) → stopping (it was asked to end)
 * → resting, or ended for good. A process may end by itself at any time; unless it has said that it
 * is done, another one takes its place.
 */
import { formatMs, toMs } from '../core/duration.ts'
import { clearTimeout, performance, setTimeout } from '../core/timers.ts'
import { shownPlace } from '../loops/own-process.ts'
import { stopDefaults } from '../loops/stop-defaults.ts'
import type { StopOptions } from '../worker/worker-options.ts'
import type { FromProcess, Usage } from './process-messages.ts'
import type { ProcessUsage } from './should-restart.ts'
import { restartAfter, restartPace } from './restart-pace.ts'
import { wordsOf, type ProcessEnd, type WorkerChild } from './worker-process.ts'

/** What stopping takes beside its graces. */
const closingMs = 5_000
/** How long a process may take to be up. */
const startMs = 120_000
/** After so many starts in a row that came to nothing it is said as an error. */
export const manyTries = 5

export type Say = (level: 'info' | 'warn' | 'error', text: string, fields?: object) => void

/** A process of a fleet, as users see it. */
export interface WorkerProcess {
  /** Counted from 0. */
  readonly index: number
  /** Of the process that has this place now; null while none has. */
  readonly pid: number | null
  /** Whether it runs, or starts, and was not told to stop. */
  readonly isActive: boolean
}

/** A process that ended before it was up. */
export interface FailedStart {
  readonly end: ProcessEnd
  /** Of this place, in a row. */
  readonly tries: number
}

export interface PlaceOptions {
  readonly index: number
  readonly of: number
  readonly start: () => WorkerChild
  readonly say: Say
  /** Whether one that does not start is started again only when its code has changed. */
  readonly waitsForCode: boolean
  readonly recycle: (why: string) => void
  readonly modules: (urls: readonly string[]) => void
  /** Says whether to try again. */
  readonly failedToStart: (failed: FailedStart) => 'again' | 'give-up'
}

export class Place implements WorkerProcess {
  readonly index: number
  readonly name: string
  readonly #options: PlaceOptions
  #state: 'resting' | 'starting' | 'up' | 'stopping' | 'ended' = 'resting'
  #child: WorkerChild | null = null
  #upAt: number | null = null
  #usage: Usage | null = null
  #isDone = false
  /** What follows the end of a process that was told to stop. */
  #then: 'start' | 'end' = 'start'
  /** Ends in a row that nobody asked for, and how many of them came before it was up. */
  #ends = 0
  #tries = 0
  #timer: NodeJS.Timeout | undefined
  #next = Promise.withResolvers<void>()
  readonly #over = Promise.withResolvers<void>()
  /** Whether all of its processes have ended as they should since they were told to stop. */
  isClean = true

  constructor(options: PlaceOptions) {
    this.#options = options
    this.index = options.index
    this.name = `errand worker ${shownPlace(options)}`
  }

  get pid(): number | null {
    return this.#child?.pid ?? null
  }

  get isActive(): boolean {
    return this.#state === 'starting' || this.#state === 'up'
  }

  /** Of a process that is up and has said what it uses. */
  get usage(): ProcessUsage | null {
    const { pid, startedAt } = this.#child ?? {}
    if (this.#state !== 'up' || this.#usage === null || !pid || startedAt === undefined) return null
    return { ...this.#usage, pid, uptime: performance.now() - startedAt }
  }

  /** Resolves once it has ended for good. */
  get over(): Promise<void> {
    return this.#over.promise
  }

  /** Resolves when a process is up here, or will never be. */
  get settled(): Promise<void> {
    return this.#next.promise
  }

  start(): void {
    if (this.#child !== null) return
    clearTimeout(this.#timer)
    const child = this.#options.start()
    this.#child = child
    this.#state = 'starting'
    this.#upAt = this.#usage = null
    this.#isDone = false
    child.listen((message) => {
      if (this.#child === child) this.#hear(message)
    })
    this.#timer = setTimeout(() => {
      this.#say('warn', `was not up within ${formatMs(startMs)} and is killed`)
      child.kill()
    }, startMs)
    void child.ended.then((end) => this.#gone(end))
  }

  /** Replaces its process once that has stopped; resolves when the new one is up. */
  restart(options: StopOptions): Promise<void> {
    switch (this.#state) {
      case 'ended':
        break
      case 'resting':
        this.start()
        break
      case 'starting':
      case 'up':
        this.#stop(options, 'start')
        break
      case 'stopping':
        break
    }
    return this.#next.promise
  }

  /** Ends it for good; a further call may shorten what the first allowed. */
  stop(options: StopOptions): Promise<void> {
    switch (this.#state) {
      case 'ended':
        break
      case 'resting':
        this.#end()
        break
      case 'starting':
      case 'up':
      case 'stopping':
        this.#stop(options, 'end')
    }
    return this.#over.promise
  }

  kill(): void {
    this.#child?.kill()
  }

  #stop(options: StopOptions, then: 'start' | 'end'): void {
    if (this.#state === 'up') this.#next = Promise.withResolvers()
    this.#state = 'stopping'
    this.#then = then
    this.#child?.send({ kind: 'stop', options })
    clearTimeout(this.#timer)
    const stopMs = stopMsOf(options)
    if (stopMs === Infinity) return
    this.#timer = setTimeout(() => {
      this.#say('warn', `did not stop within ${formatMs(stopMs)} and is killed`)
      this.#child?.kill()
    }, stopMs)
  }

  #hear(message: FromProcess): void {
    switch (message.kind) {
      case 'ready':
        if (this.#state !== 'starting') return
        clearTimeout(this.#timer)
        this.#state = 'up'
        this.#upAt = performance.now()
        this.#tries = 0
        return this.#next.resolve()
      case 'report':
        this.#usage = { jobs: message.jobs, rss: message.rss }
        return
      case 'recycle':
        return this.#options.recycle(message.why)
      case 'done':
        this.#isDone = true
        return
      case 'modules':
        return this.#options.modules(message.urls)
    }
  }

  #gone(end: ProcessEnd): void {
    clearTimeout(this.#timer)
    const wasUp = this.#upAt !== null
    const livedMs = performance.now() - (this.#upAt ?? this.#child?.startedAt ?? 0)
    const wasAsked = this.#state === 'stopping'
    if (end.code !== 0 && wasAsked && wasUp) {
      this.isClean = false
      this.#say('warn', `${wordsOf(end)} when it was to stop`)
    }
    const { pid } = this
    this.#child = null
    if (wasAsked ? this.#then === 'end' : this.#isDone) return this.#end()
    if (this.#state === 'up') this.#next = Promise.withResolvers()
    this.#state = 'resting'
    if (wasAsked) return this.start()
    if (end.code === 0 && wasUp) {
      this.#ends = 0
      return this.#rest(Math.max(restartPace.apartMs - livedMs, 0), end, pid)
    }
    if (wasUp && livedMs >= restartPace.healthyMs) this.#ends = 0
    this.#ends++
    if (wasUp) return this.#rest(restartAfter(this.#ends, Math.random), end, pid)
    this.#tries++
    const { failedToStart, waitsForCode } = this.#options
    if (failedToStart({ end, tries: this.#tries }) === 'give-up') return this.#end()
    if (waitsForCode)
      return this.#say('error', `${wordsOf(end)} before it was up, and waits for a change`, { pid })
    this.#rest(restartAfter(this.#ends, Math.random), end, pid)
  }

  #rest(ms: number, end: ProcessEnd, pid: number | null): void {
    const again = ms === 0 ? 'started again at once' : `started again in ${formatMs(ms)}`
    const fields = { pid, exitCode: end.code, signal: end.signal, againMs: Math.round(ms) }
    if (this.#tries >= manyTries)
      this.#say(
        'error',
        `has ended ${this.#tries} times before it was up, and runs no jobs: it ${wordsOf(end)}; what it wrote says why; ${again}`,
        fields,
      )
    else if (this.#tries > 0)
      this.#say('warn', `${wordsOf(end)} before it was up; ${again}`, fields)
    else this.#say(end.code === 0 ? 'info' : 'warn', `${wordsOf(end)}; ${again}`, fields)
    if (ms === 0) return this.start()
    this.#timer = setTimeout(() => this.start(), ms)
  }

  #end(): void {
    clearTimeout(this.#timer)
    this.#state = 'ended'
    this.#next.resolve()
    this.#over.resolve()
  }

  #say(level: 'info' | 'warn' | 'error', text: string, fields: object = {}): void {
    this.#options.say(level, `${this.name} ${text}`, {
      process: shownPlace(this.#options),
      ...fields,
    })
  }
}

/** How long a process that was told to stop may take before it is killed. */
function stopMsOf({ grace, abortGrace }: StopOptions): number {
  if (grace === 'none') return Infinity
  const graceMs = grace === undefined ? stopDefaults.graceMs : toMs(grace, 'grace')
  const abortMs =
    abortGrace === undefined ? stopDefaults.abortGraceMs : toMs(abortGrace, 'abortGrace')
  return graceMs + abortMs + closingMs
}
