/**
 * The slots of a worker: starts attempts and watches their time. A slot is taken from the start of
 * an attempt until its handler has ended, whatever becomes of its lease.
 */
import type { App } from '../app/app.ts'
import { depthOf, mostFollowUps } from '../app/new-job.ts'
import { deferral, overdue } from '../core/decide.ts'
import { ErrandError } from '../core/errors.ts'
import type { StoreTime } from '../loops/store-time.ts'
import { stopDefaults } from '../loops/stop-defaults.ts'
import { answered } from '../loops/call-deadline.ts'
import type { Ticks } from '../loops/time.ts'
import type { ClaimedJob } from '../store/job.ts'
import { Attempt, type AttemptServices, type Seat } from './attempt.ts'
import { AttemptCalls, type CallServices } from './calls.ts'
import type { Held, LeaseTable } from './lease-table.ts'
import { longestTurnMs } from './loop-watch.ts'
import type { Notes } from './notes.ts'
import type { RulesOf } from './rules.ts'
import type { AbortCause, Runner } from './runner.ts'
import { quarantineLosses, type ServedQueues } from './served-queues.ts'
import { factsOf, type Settler } from './settler.ts'
import { Waiting } from './waiting.ts'

export interface SlotsOptions {
  readonly app: App
  readonly worker: string
  readonly runner: Runner
  readonly rulesOf: RulesOf
  readonly table: LeaseTable
  readonly settler: Settler
  readonly notes: Notes
  readonly ticks: Ticks
  readonly time: StoreTime
  readonly queues: ServedQueues
  readonly calls: CallServices
  /** For how long a job of a paused task is put aside; null for a task that is not. */
  readonly putAsideMs: (names: readonly string[]) => number | null
  /** Hears of a handler that kept the event loop for so long. */
  readonly blocked: (attempt: Attempt, blockedMs: number) => void
}

export class Slots {
  readonly #running = new Set<Attempt>()
  readonly #options: SlotsOptions
  readonly #services: AttemptServices
  readonly #waiting: Waiting
  #isStopping = false
  #timerAt = Infinity
  #stopTimer: (() => void) | null = null

  constructor(options: SlotsOptions) {
    const { app, notes, settler, ticks } = options
    this.#options = options
    this.#waiting = new Waiting({
      clock: app.store.clock,
      mayReturn: ({ seat }) => seat?.isFree ?? true,
      returned: (attempt) => this.#return(attempt),
      putBack: (attempt, againMs) => {
        this.#waiting.recall(attempt)
        attempt.putBack(ticks(), againMs)
        this.#watchAborted(attempt)
      },
    })
    this.#services = {
      notes,
      completeIn: (tx, attempt, output) => settler.completeIn(tx, attempt, output),
      callsOf: (attempt) => this.#callsOf(attempt),
    }
  }

  /** How many attempts wait for jobs they have called, without a slot. */
  get waiting(): number {
    return this.#waiting.size
  }

  /** Whether so many wait that no more should begin. */
  get isFull(): boolean {
    return this.#waiting.isFull
  }

  /** Lets those that waited have the slots that are free. */
  grant(): void {
    if (this.#waiting.size > 0) this.#waiting.grant()
  }

  /** The attempts in them. */
  get running(): ReadonlySet<Attempt> {
    return this.#running
  }

  get stuck(): number {
    let stuck = 0
    for (const attempt of this.running) if (attempt.isStuck) stuck++
    return stuck
  }

  /** Whether nothing runs, but for what is stuck, and all that ran is settled. */
  get isAtRest(): boolean {
    return this.#running.size === this.stuck && this.#options.settler.pending === 0
  }

  /**
   * Whether a job runs that must run with no other of its kind. One that is stuck has shown all the
   * harm it does.
   */
  get isQuarantined(): boolean {
    for (const { job, isStuck } of this.#running) {
      if (!isStuck && job.counters.losses >= quarantineLosses) return true
    }
    return false
  }

  /**
   * Starts a job, or ends it at once when it cannot or need not run; returns whether it took a
   * slot. `seat` is left when the slot is free again.
   */
  start(held: Held, seat: Seat): boolean {
    const { app, rulesOf, settler, queues, ticks, time, runner } = this.#options
    const { job, lease } = held
    const rules = rulesOf(job)
    const { definition, policy, stored } = rules
    if (!rules.isReadable) {
      this.#fail(held)
      return false
    }
    const isReadable = job.codec === null || app.findCodec(job.codec) !== undefined
    if (definition === null || !isReadable || !runner.canRun(definition)) {
      if (queues.meet(job.queue, ticks()) === 'offer') this.giveBack([held])
      else this.#setAside(held)
      return false
    }
    const asideMs = this.#options.putAsideMs([job.task, definition.name])
    if (asideMs !== null) {
      settler.endHeld(held, { kind: 'unstarted', delayMs: asideMs })
      return false
    }
    if (depthOf(stored) > mostFollowUps) {
      settler.endHeld(held, { kind: 'unrecoverable', reason: 'error', error: loop(job) })
      return false
    }
    if (job.needed === 'later') {
      this.giveBack([held])
      return false
    }
    const late = overdue(job, time.now)
    if (late !== null) {
      settler.endHeld(held, { kind: 'overdue', reason: late })
      return false
    }
    const attempt = new Attempt({ job, lease, rules, seat }, this.#services)
    const free = (): void => {
      if (this.#running.delete(attempt)) seat.leave()
      else if (this.#waiting.remove(attempt)) {
        // It has left calls open; where it was one too many, others may begin now.
        seat.take()
        seat.leave()
      }
    }
    this.#running.add(attempt)
    if (policy.losses === 0 && job.startedAt === null) void this.#startNoted(attempt, free)
    else this.#begin(attempt, free)
    return true
  }

  /** Gives back jobs that were not started. */
  giveBack(held: readonly Held[]): void {
    const { settler } = this.#options
    for (const one of held) settler.endHeld(one, { kind: 'unstarted' })
  }

  /**
   * Tells an attempt that its lease is someone else's, or that it was asked to cancel; returns
   * whether it runs.
   */
  abort(id: string, token: number, cause: AbortCause): boolean {
    for (const attempts of [this.#running, this.#waiting.all()]) {
      for (const attempt of attempts) {
        if (attempt.job.id !== id || attempt.job.token !== token) continue
        this.#abort(attempt, cause)
        return true
      }
    }
    return false
  }

  /** Aborts what waits for calls, now and from now on: the worker stops, and it runs elsewhere. */
  interruptWaiting(): void {
    this.#isStopping = true
    for (const attempt of this.#waiting.all()) this.#abort(attempt, 'interrupted')
  }

  /**
   * Aborts what runs, for a stop that lets it end until the given time; its leases are kept until
   * then.
   */
  interruptAll(mayEndUntil: number): void {
    for (const attempt of this.running) {
      if (!attempt.isStuck) this.#abort(attempt, 'interrupted', mayEndUntil)
    }
  }

  /**
   * Gives up what still runs, because the process is about to exit: as interrupted, or, where a job
   * may begin only once, as lost. What a handler comes to after that counts for nothing.
   */
  release(): void {
    const { settler, table } = this.#options
    for (const attempt of this.running) {
      this.#running.delete(attempt)
      attempt.leave()
      const kind = attempt.rules.policy.losses === 0 ? 'lost' : 'interrupted'
      // Before it has begun, whether its start is written is not known: the lease runs out.
      if (attempt.isLeaseLost || attempt.startedAt === null) table.drop(attempt.lease)
      else settler.endLeft(attempt, { kind })
    }
  }

  stop(): void {
    this.#waiting.stop()
    this.#stopTimer?.()
    this.#timerAt = -Infinity
  }

  /**
   * Fails a job that cannot be read, whoever knows its task: what is lost of it is lost for all.
   */
  #fail(held: Held): void {
    const { app, settler } = this.#options
    const { id, task } = held.job
    settler.endHeld(held, { kind: 'unreadable' })
    app.events.warn('job-unreadable', { id, task })
  }

  #setAside(held: Held): void {
    const { app, settler } = this.#options
    const { id, task, queue, counters } = held.job
    settler.endHeld(held, { kind: 'unknown' })
    if (counters.deferrals > 0) return
    app.events.emit('job-unknown', { id, task, queue, againMs: deferral.firstMs })
  }

  /** An at-most-once task: its start is in the store before it runs. */
  async #startNoted(attempt: Attempt, free: () => void): Promise<void> {
    const { app, table } = this.#options
    const { id, token, task } = attempt.job
    try {
      const call = app.store.note([{ id, token, kind: 'start', agoMs: 0 }])
      const [answer] = await answered(app.store.clock, call)
      if (attempt.isLeft) return
      if (answer === 'noted') return this.#begin(attempt, free)
      free()
      table.drop(attempt.lease)
    } catch (error) {
      // Whether the start was written is not known, so the job must not run here.
      free()
      table.drop(attempt.lease)
      app.events.warn('start-not-written', { id, task, error })
    }
  }

  #begin(attempt: Attempt, free: () => void): void {
    const { app, worker, runner, table, settler, ticks } = this.#options
    const { timeoutMs } = attempt.rules.policy
    const now = ticks()
    const endsAt = timeoutMs === null ? Infinity : now + timeoutMs
    table.start(attempt.lease, now, endsAt + stopDefaults.abortGraceMs)
    if (endsAt < this.#timerAt) this.#arm(endsAt)
    if (app.events.has('run-started')) app.events.emit('run-started', factsOf(attempt, worker))
    const ended = attempt.begin(runner, now)
    const turnMs = ticks() - now
    if (turnMs >= longestTurnMs) this.#options.blocked(attempt, turnMs)
    void settler.end(attempt, ended, free)
  }

  #abort(attempt: Attempt, cause: AbortCause, mayEndUntil?: number): void {
    const { ticks } = this.#options
    this.#waiting.recall(attempt)
    attempt.abort(cause, ticks(), mayEndUntil)
    this.#watchAborted(attempt)
  }

  #watchAborted(attempt: Attempt): void {
    const { table } = this.#options
    const { stuckAt } = attempt
    if (stuckAt === Infinity) return
    // Its timeout may come before the end of the time that a stop gives it, and means nothing any
    // more.
    if (attempt.hasTimeToEnd && !attempt.isLeaseLost) table.renewUntil(attempt.lease, stuckAt)
    else table.renewAtMostUntil(attempt.lease, stuckAt)
    this.#arm(Math.min(this.#timerAt, stuckAt))
  }

  #callsOf(attempt: Attempt): AttemptCalls {
    const { calls, ticks } = this.#options
    const agoMs = (): number => Math.max(0, Math.round(ticks() - (attempt.startedAt ?? ticks())))
    return new AttemptCalls(calls, attempt.job, agoMs, {
      rest: () => this.#rest(attempt),
      back: () => this.#waiting.back(attempt),
    })
  }

  /** It gives its slot back. Its lease is renewed for as long as it waits. */
  #rest(attempt: Attempt): void {
    const { table, ticks } = this.#options
    if (!attempt.mayRest || !this.#running.delete(attempt)) return
    attempt.rest(ticks())
    table.renewUntil(attempt.lease, Infinity)
    this.#waiting.rest(attempt)
    attempt.seat?.leave()
    if (this.#isStopping) this.#abort(attempt, 'interrupted')
  }

  /** It has its slot again, and what was left of its time. */
  #return(attempt: Attempt): void {
    const { table, ticks } = this.#options
    this.#running.add(attempt)
    attempt.seat?.take()
    attempt.goOn(ticks())
    const { endsAt } = attempt
    table.renewUntil(attempt.lease, endsAt + stopDefaults.abortGraceMs)
    if (endsAt < this.#timerAt) this.#arm(endsAt)
  }

  /** One timer for the next attempt that times out or turns out stuck. */
  #arm(at: number): void {
    this.#stopTimer?.()
    this.#timerAt = at
    const inMs = Math.max(1, Math.ceil(at - this.#options.ticks()))
    this.#stopTimer = this.#options.app.store.clock.after(inMs, () => this.#look())
  }

  #look(): void {
    const now = this.#options.ticks()
    let next = Infinity
    for (const attempt of this.running) {
      if (attempt.timesOutAt <= now) attempt.abort('timeout', now)
      if (attempt.stuckAt <= now) this.#stick(attempt, now)
      next = Math.min(next, attempt.timesOutAt, attempt.stuckAt)
    }
    this.#timerAt = Infinity
    if (next < Infinity) this.#arm(next)
  }

  #stick(attempt: Attempt, now: number): void {
    const { app, worker } = this.#options
    attempt.stick()
    const ranMs = now - (attempt.startedAt ?? now)
    app.events.emit('run-stuck', { ...factsOf(attempt, worker), ranMs })
  }
}

function loop({ id, task }: ClaimedJob): ErrandError {
  return new ErrandError(
    'follow-up-loop',
    `${task} comes after ${mostFollowUps} follow-ups in a row, which is taken for a loop, such as two tasks that are each other's onFailure. It was not run, and nothing follows it. End the loop; a chain without end is made by job.enqueue().`,
    { details: { id } },
  )
}
