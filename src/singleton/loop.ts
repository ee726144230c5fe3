/**
 * The loop of a singleton: one round after another until it is told to stop.
 *
 * A round: take the lock, or find that it is kept → run → free the lock, unless it is kept → tell liveness and metrics → rest. Whoever does
 * not get the lock is on stand-by: with `keepLock` it waits for the lock to become free, otherwise for its own next turn. A lost lock
 * aborts the run at once; the next round begins when the run has ended, whatever that takes. Told to stop, a round ends where it is: before
 * the run at once, in the run when that heeds its signal or its grace is over; and the lock is free when the loop has ended.
 *
 * With a cron text: rest until the next tick → round → … A tick whose lock somebody else has is owed: its round waits for the lock, until
 * the tick turns out to be over, or the next one comes. A process that dies before it begins a tick is so followed by another.
 */
import { hostname } from 'node:os'
import { ErrandError, isErrandError } from '../core/errors.ts'
import type { Tick } from '../flows/schedules/ticks.ts'
import { sleep, sleepUntil, type Clock } from '../core/clock.ts'
import type { EventHub } from '../observe/events.ts'
import { machineTicks } from '../loops/time.ts'
import { LockKeeper } from './lock-keeper.ts'
import type { Beat } from './liveness/liveness.ts'
import type { Point } from './metrics/metrics.ts'
import type { Pace, SingletonSettings } from './settings.ts'
import type { TickBook } from './tick-book.ts'
import { watchfulSignal } from './watchful-signal.ts'
import { clearInterval, setInterval } from '../core/timers.ts'

/** What a round came to. The words are Jobslib's, so that its dashboards go on. */
export type RoundStatus =
  | 'succeeded'
  | 'failed'
  /** Somebody else has the lock, or nobody can tell. */
  | 'pending'
  /** The lock was lost. */
  | 'interrupted'
  /** A stop was asked for. */
  | 'killed'

export interface Round {
  readonly status: RoundStatus
  readonly error: unknown
}

/** One run, as its handler is given it. */
export interface RunParts {
  readonly signal: AbortSignal
  /** The fencing number; null without a lock. */
  readonly token: number | null
  readonly extend: () => Promise<void>
}

export interface SingletonLoopOptions {
  readonly settings: SingletonSettings
  readonly clock: Clock
  readonly events: EventHub
  readonly run: (parts: RunParts) => Promise<void>
  /** Ends the rest between two runs early. */
  readonly trigger?: (wake: () => void) => () => void
  /** Where rounds begin, for the pace of a cron text. */
  readonly book?: TickBook | undefined
}

/** A stand-by asks for the lock at most this often, unless it hears that it is free. */
const standByMs = 10_000
/** A round that did not run, or failed, is never followed at once by the next. */
const leastRestMs = 1_000
/** Between two beats that say that the process is alive. */
const beatMs = 10_000
/** A lock that is said to be free after some time is asked for a little after that. */
const afterFreeMs = 50

/** The lock as it is held now; `lost` aborts when it is lost. */
interface Held {
  readonly token: number
  readonly lost: AbortController
}

type Pending = Round & { readonly status: 'pending'; readonly freeInMs: number | null }

/** A round whose tick had its run. */
const over = { status: 'pending', error: null, freeInMs: null } as const

export class SingletonLoop {
  readonly #options: SingletonLoopOptions
  readonly #keeper: LockKeeper | null
  #held: Held | null = null
  /** A run that went on after its grace. */
  #outlasting: Promise<unknown> | null = null
  #lastNs = 0n
  #shownOwner: string | null = null

  constructor(options: SingletonLoopOptions) {
    this.#options = options
    const { name, locks, ttlMs } = options.settings
    this.#keeper =
      locks === null ? null : new LockKeeper({ locks, name, ttlMs, events: options.events })
  }

  /**
   * Runs until the signal aborts, or once; answers what the last round came to. The lock is free then; but a run that did not end within
   * its grace keeps it, since nobody else may run beside it.
   */
  async run(signal: AbortSignal): Promise<Round> {
    const { settings, book } = this.#options
    const beats = setInterval(() => void this.#tellAlive('alive'), beatMs)
    try {
      if (book !== undefined) return await this.#atTicks(book, signal)
      for (;;) {
        const from = machineTicks()
        const round = await this.#round(signal, null)
        if (settings.pace.kind === 'once' || signal.aborted) return round
        await this.#rest(round, from, signal)
        if (signal.aborted) return round
      }
    } finally {
      clearInterval(beats)
      if (this.#outlasting === null) await this.#keeper?.stop()
      else this.#keeper?.stopAfter(this.#outlasting)
    }
  }

  /** One round at each tick, until the signal aborts. */
  async #atTicks(book: TickBook, signal: AbortSignal): Promise<Round> {
    const { clock } = this.#options
    let round: Round | Pending = { status: 'pending', error: null }
    for (let tick = book.after(clock.now()); ;) {
      const isWoken = await this.#restUntil(tick?.at ?? Infinity, signal)
      if (signal.aborted) return round
      round = await this.#round(signal, isWoken ? null : tick)
      if (signal.aborted) return round
      const isOwed = !isWoken && tick !== null && round.status === 'pending' && round !== over
      if (isOwed) await this.#standBy(round as Pending, signal)
      const next = book.after(tick !== null && isOwed ? tick.at : clock.now())
      if (!isOwed || (next !== null && next.at <= clock.now())) tick = next
    }
  }

  /** Rests until a time, however the clock is set meanwhile. Resolves with whether it was woken before. */
  async #restUntil(at: number, signal: AbortSignal): Promise<boolean> {
    const { clock, trigger } = this.#options
    const woken = new AbortController()
    const untrigger = trigger?.(() => woken.abort())
    await sleepUntil(clock, at, AbortSignal.any([signal, woken.signal]))
    untrigger?.()
    return woken.signal.aborted
  }

  /** Waits until the lock may be free, or a try may go better. */
  async #standBy({ error, freeInMs }: Pending, signal: AbortSignal): Promise<void> {
    if (error !== null || this.#keeper === null)
      return sleep(this.#options.clock, leastRestMs, signal)
    const ms = freeInMs === null ? standByMs : Math.min(freeInMs + afterFreeMs, standByMs)
    return this.#keeper.whenFree(ms, signal)
  }

  /** Pushes a point of the handler's own. Throws `invalid-option` for the tag that is the singleton's name. */
  metric(name: string, value: number, tags: Readonly<Record<string, string>>): void {
    const { settings } = this.#options
    if ('task' in tags)
      throw new ErrandError(
        'invalid-option',
        'The tag task of a metric is the name of the singleton.',
      )
    const point = this.#point(name, { ...tags, task: settings.name }, value)
    this.#pushAll([point])
  }

  /** With a tick: the round of that one, unless it is over. */
  async #round(signal: AbortSignal, tick: Tick | null): Promise<Round | Pending> {
    const { settings, events, book } = this.#options
    const from = machineTicks()
    // Without a lock each process runs each tick.
    const isOver =
      book !== undefined && tick !== null && this.#keeper !== null
        ? await this.#ask(book.isOver(tick))
        : false
    if (isOver !== false) return isOver === true ? over : isOver
    const round = await this.#lockedRound(tick, signal)
    const durationMs = machineTicks() - from
    if (round.status !== 'pending') {
      const { status, error } = round
      events.emit('singleton-ended', { singleton: settings.name, status, error, durationMs })
    }
    if (round.status === 'succeeded') await this.#tellAlive('success')
    this.#push(round, durationMs)
    return round
  }

  async #lockedRound(tick: Tick | null, signal: AbortSignal): Promise<Round | Pending> {
    const keeper = this.#keeper
    if (keeper === null) return this.#run(signal, null)
    if (keeper.token === null) this.#held = null
    if (this.#held === null) {
      const pending = await this.#take(keeper)
      if (pending !== null) return pending
    }
    const round = signal.aborted
      ? ({ status: 'killed', error: signal.reason } as const)
      : await this.#heldRound(tick, signal)
    if (this.#outlasting === null && !this.#keeps(round, signal)) await this.#release(keeper)
    return round
  }

  /** The book is moved before the lock is freed, so that who gets it next knows what is over. */
  async #heldRound(tick: Tick | null, signal: AbortSignal): Promise<Round | Pending> {
    const { book, clock } = this.#options
    const isBegun = tick === null || book === undefined || (await this.#ask(book.begin(tick)))
    if (isBegun !== true) return isBegun === false ? over : isBegun
    const round = await this.#run(signal, this.#held)
    if (round.status !== 'interrupted') await this.#ask(book?.end(clock.now()) ?? true)
    return round
  }

  /** What the book of ticks says; its trouble is a round to be tried again. */
  async #ask(call: Promise<boolean> | boolean): Promise<boolean | Pending> {
    try {
      return await call
    } catch (error) {
      this.#options.events.emit('part-failed', { part: 'ticks', error, againMs: leastRestMs })
      return { status: 'pending', error, freeInMs: null }
    }
  }

  /** Takes the lock; answers null when it is held now. */
  async #take(keeper: LockKeeper): Promise<Pending | null> {
    const { settings, events } = this.#options
    const lost = new AbortController()
    try {
      const answer = await keeper.take(() => lost.abort(lostError(settings.name)))
      if (answer.status === 'held') {
        this.#held = { token: answer.token, lost }
        this.#shownOwner = null
        return null
      }
      const { owner, freeInMs } = answer
      const shown = `${owner?.host ?? ''} ${owner?.pid ?? ''} ${owner?.since ?? ''}`
      if (shown !== this.#shownOwner)
        events.emit('singleton-waiting', { singleton: settings.name, owner })
      this.#shownOwner = shown
      return { status: 'pending', error: null, freeInMs }
    } catch (error) {
      // No later try makes an option valid.
      if (isErrandError(error, 'invalid-option')) throw error
      events.emit('part-failed', { part: 'lock', error, againMs: leastRestMs })
      return { status: 'pending', error, freeInMs: leastRestMs }
    }
  }

  async #run(signal: AbortSignal, held: Held | null): Promise<Round> {
    const { settings, clock, run } = this.#options
    const over = new AbortController()
    const stops = held === null ? [signal] : [signal, held.lost.signal]
    const ended = run({
      signal: watchfulSignal(stops, over.signal, () => this.#keeper?.look()),
      token: held?.token ?? null,
      extend: () => this.#extend(),
    }).then(
      () => ({ threw: false, error: null as unknown }),
      (error: unknown) => ({ threw: true, error }),
    )
    const ending = await Promise.race([
      ended,
      graceOver(clock, signal, settings.graceMs, over.signal),
    ])
    over.abort()
    if (held?.lost.signal.aborted === true)
      return { status: 'interrupted', error: held.lost.signal.reason }
    if (ending === 'over') {
      this.#outlasting = ended
      return { status: 'killed', error: stuckError(settings.name) }
    }
    if (!ending.threw) return { status: 'succeeded', error: null }
    return { status: signal.aborted ? 'killed' : 'failed', error: ending.error }
  }

  /** For handlers: makes sure that the lock is held now. */
  async #extend(): Promise<void> {
    if (this.#keeper !== null && !(await this.#keeper.extend()))
      throw lostError(this.#options.settings.name)
  }

  #keeps(round: Round, signal: AbortSignal): boolean {
    const { status } = round
    const { keepLock, releaseOnError, pace } = this.#options.settings
    if (!keepLock || pace.kind === 'once' || signal.aborted) return false
    return round === over || status === 'succeeded' || (status === 'failed' && !releaseOnError)
  }

  async #release(keeper: LockKeeper): Promise<void> {
    this.#held = null
    try {
      await keeper.release()
    } catch (error) {
      // The lock ends by its time then.
      this.#options.events.emit('part-failed', { part: 'lock', error, againMs: leastRestMs })
    }
  }

  async #rest(round: Round | Pending, from: number, signal: AbortSignal): Promise<void> {
    const { settings, clock, trigger } = this.#options
    if (round.status === 'pending' && settings.keepLock && this.#keeper !== null) {
      const { freeInMs } = round as Pending
      const ms = freeInMs === null ? standByMs : Math.min(freeInMs + afterFreeMs, standByMs)
      return this.#keeper.whenFree(ms, signal)
    }
    const isTaxed = round.status === 'failed' && settings.releaseOnError
    const ms = restMs(settings.pace, machineTicks() - from) * (isTaxed ? 2 : 1)
    const woken = new AbortController()
    const untrigger = trigger?.(() => woken.abort())
    const least = round.status === 'succeeded' ? 0 : leastRestMs
    await sleep(clock, Math.max(ms, least), AbortSignal.any([signal, woken.signal]))
    untrigger?.()
  }

  async #tellAlive(kind: Beat['kind']): Promise<void> {
    const { settings, clock, events } = this.#options
    const beat = { singleton: settings.name, kind, at: clock.now(), host: hostname() }
    await Promise.all(
      settings.liveness.map(async (liveness) => {
        try {
          await liveness.write(beat)
        } catch (error) {
          events.emit('part-failed', { part: 'liveness', error, againMs: beatMs })
        }
      }),
    )
  }

  #push({ status }: Round, durationMs: number): void {
    const { name, metrics } = this.#options.settings
    if (metrics.length === 0) return
    const now = this.#options.clock.now()
    const tags = { task: name, type: 'task', status }
    const points: Point[] = [this.#point('job_duration_seconds', tags, durationMs / 1_000)]
    if (status === 'succeeded')
      points.push(
        this.#point('last_successful_run_timestamp', { task: name }, Math.floor(now / 1_000)),
      )
    this.#pushAll(points)
  }

  /** Whatever metrics do, the round goes on. */
  #pushAll(points: readonly Point[]): void {
    const { settings, events } = this.#options
    for (const one of settings.metrics) {
      try {
        one.push(points)
      } catch (error) {
        events.emit('part-failed', { part: 'metrics', error, againMs: null })
      }
    }
  }

  /** Nanoseconds that no other point of this process has. */
  #point(measurement: string, tags: Readonly<Record<string, string>>, value: number): Point {
    const now = BigInt(Math.floor(this.#options.clock.now())) * 1_000_000n
    this.#lastNs = now > this.#lastNs ? now : this.#lastNs + 1n
    return { measurement, tags, value, atNs: this.#lastNs }
  }
}

/** How long to rest after a round that took so long. */
function restMs(pace: Pace, tookMs: number): number {
  switch (pace.kind) {
    case 'once':
    case 'cron':
      return 0
    case 'every':
      return Math.max(pace.ms - tookMs, 0)
    case 'pause':
      return pace.ms
  }
}

/** Resolves when the time for runs that a stop met is over; listens until the run has ended. */
function graceOver(
  clock: Clock,
  signal: AbortSignal,
  graceMs: number | null,
  ended: AbortSignal,
): Promise<'over'> {
  return new Promise((resolve) => {
    if (graceMs === null) return
    const begin = (): void => void clock.after(graceMs, () => resolve('over'))
    if (signal.aborted) begin()
    else signal.addEventListener('abort', begin, { once: true, signal: ended })
  })
}

function lostError(name: string): ErrandError {
  return new ErrandError('lease-lost', `The lock of ${name} was lost: another process may run it.`)
}

function stuckError(name: string): ErrandError {
  return new ErrandError(
    'timeout',
    `${name} did not end within its grace after a stop: let it heed its signal.`,
  )
}
