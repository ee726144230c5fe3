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
import { answered } from '../loops/supervised.ts'
import type { Ticks } from '../loops/time.ts'
import type { ClaimedJob } from '../store/job.ts'
import { Attempt, type AttemptServices } from './attempt.ts'
import type { Held, LeaseTable } from './lease-table.ts'
import type { Notes } from './notes.ts'
import type { RulesOf } from './rules.ts'
import type { AbortCause, Runner } from './runner.ts'
import type { ServedQueues } from './served-queues.ts'
import { factsOf, type Settler } from './settler.ts'

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
}

export class Slots {
  readonly #running = new Set<Attempt>()
  readonly #options: SlotsOptions
  readonly #services: AttemptServices
  #timerAt = Infinity
  #stopTimer: (() => void) | null = null

  constructor(options: SlotsOptions) {
    const { notes, settler } = options
    this.#options = options
    this.#services = {
      notes,
      completeIn: (tx, attempt, output) => settler.completeIn(tx, attempt, output),
    }
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

  /**
   * Starts a job, or ends it at once when it cannot or need not run; returns whether it took a
   * slot. `left` is called when the slot is free again.
   */
  start(held: Held, left: () => void): boolean {
    const { app, rulesOf, settler, queues, ticks, time } = this.#options
    const { job, lease } = held
    const rules = rulesOf(job)
    const { definition, policy, stored } = rules
    if (!rules.isReadable) {
      this.#fail(held)
      return false
    }
    if (!definition?.handler || (job.codec !== null && app.findCodec(job.codec) === undefined)) {
      if (queues.meet(job.queue, ticks()) === 'offer') this.giveBack([held])
      else this.#setAside(held)
      return false
    }
    if (depthOf(stored) > mostFollowUps) {
      settler.endHeld(held, { kind: 'unrecoverable', reason: 'error', error: loop(job) })
      return false
    }
    const late = overdue(job, time.now)
    if (late !== null) {
      settler.endHeld(held, { kind: 'overdue', reason: late })
      return false
    }
    const attempt = new Attempt({ job, lease, rules }, this.#services)
    const free = (): void => {
      if (this.#running.delete(attempt)) left()
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
    for (const attempt of this.running) {
      if (attempt.job.id !== id || attempt.job.token !== token) continue
      this.#abort(attempt, cause)
      return true
    }
    return false
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
    void settler.end(attempt, attempt.begin(runner, now), free)
  }

  #abort(attempt: Attempt, cause: AbortCause, mayEndUntil?: number): void {
    const { table, ticks } = this.#options
    attempt.abort(cause, ticks(), mayEndUntil)
    const { stuckAt } = attempt
    if (stuckAt === Infinity) return
    // Its timeout may come before the end of the time that a stop gives it, and means nothing any
    // more.
    if (attempt.hasTimeToEnd && !attempt.isLeaseLost) table.renewUntil(attempt.lease, stuckAt)
    else table.renewAtMostUntil(attempt.lease, stuckAt)
    this.#arm(Math.min(this.#timerAt, stuckAt))
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
