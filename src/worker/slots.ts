/**
 * The slots of a worker: starts attempts and watches their time. A slot is taken from the start of an attempt until its
 * handler has ended, whatever becomes of its lease.
 */
import type { App } from '../app/app.ts'
import { depthOf, mostFollowUps } from '../app/new-job.ts'
import { deferral, overdue } from '../core/decide.ts'
import { ErrandError } from '../core/errors.ts'
import { errorText } from '../core/kept-error.ts'
import type { ClaimedJob } from '../store/job.ts'
import { Attempt, type AbortCause, type Ended } from './attempt.ts'
import { failed, factsOf, type Endings, type Held } from './endings.ts'
import type { ViewServices } from './job-view.ts'
import type { LeaseTable } from './lease-table.ts'
import type { Notes } from './notes.ts'
import type { HeldRules } from './rules.ts'
import { answered } from '../loops/supervised.ts'

/** How long an aborted handler may take before it counts as stuck and its lease is let go; a stop may give it longer. */
export const abortGraceMs = 5_000

export interface SlotsOptions {
  readonly app: App
  readonly worker: string
  readonly context: unknown
  readonly table: LeaseTable
  readonly endings: Endings
  readonly notes: Notes
  readonly services: ViewServices
  /** The store's time. */
  readonly storeNow: () => number
  /** A slot became free. */
  readonly freed: (job: ClaimedJob) => void
  /** What to do with a job that cannot run here, for want of its task or codec: offer it to other workers, or put it aside. */
  readonly unknown: (job: ClaimedJob) => 'offer' | 'aside'
}

export class Slots {
  readonly running: Set<Attempt> = new Set()
  readonly #options: SlotsOptions
  #timerAt = Infinity
  #stopTimer: (() => void) | null = null

  constructor(options: SlotsOptions) {
    this.#options = options
  }

  get stuck(): number {
    let stuck = 0
    for (const attempt of this.running) if (attempt.stuck) stuck++
    return stuck
  }

  /** Starts a job, or settles it at once when it cannot or need not run; answers whether it took a slot. */
  start(held: Held): boolean {
    const { app, endings, notes, services, context, storeNow, unknown } = this.#options
    const { job } = held
    const rules = endings.rulesOf(job)
    const { definition, policy, stored } = rules
    if (!rules.isReadable) {
      this.#fail(held, rules)
      return false
    }
    if (!definition?.handler || (job.codec !== null && app.findCodec(job.codec) === undefined)) {
      if (unknown(job) === 'offer') this.giveBack([held])
      else this.#setAside(held)
      return false
    }
    if (depthOf(stored) > mostFollowUps) {
      endings.settleHeld(held, { kind: 'unrecoverable', reason: 'error', error: loop(job) }, rules)
      return false
    }
    const late = overdue(job, storeNow())
    if (late !== null) {
      endings.settleHeld(held, { kind: 'overdue', reason: late }, rules)
      return false
    }
    const attempt = new Attempt(job, { app, definition, policy, stored, context, notes, services })
    attempt.lease = held.lease
    this.running.add(attempt)
    if (policy.losses === 0 && job.startedAt === null) void this.#startNoted(attempt)
    else this.#begin(attempt)
    return true
  }

  /** Gives back jobs that were not started. */
  giveBack(held: readonly Held[]): void {
    const { endings } = this.#options
    for (const one of held) {
      endings.settleHeld(one, { kind: 'unstarted' }, endings.rulesOf(one.job))
    }
  }

  /** Tells an attempt that its lease is someone else's, or that it was asked to cancel; answers whether it runs. */
  abort(id: string, token: number, cause: AbortCause): boolean {
    for (const attempt of this.running) {
      if (attempt.job.id !== id || attempt.job.token !== token) continue
      this.#abort(attempt, cause)
      return true
    }
    return false
  }

  /** Aborts what runs, for a stop that lets it end until the given time; its leases are kept until then. */
  interruptAll(mayEndUntil: number): void {
    for (const attempt of this.running) {
      if (attempt.stuck) continue
      attempt.mayEndUntil = mayEndUntil
      this.#abort(attempt, 'interrupted')
    }
  }

  /**
   * Gives up what still runs, because the process is about to exit: as interrupted, or, where a job may begin only once, as
   * lost. What a handler comes to after that counts for nothing.
   */
  release(): void {
    const { endings, table } = this.#options
    for (const attempt of this.running) {
      this.running.delete(attempt)
      const kind = attempt.parts.policy.losses === 0 ? 'lost' : 'interrupted'
      // Before it has begun, whether its start is written is not known: the lease runs out.
      if (attempt.leaseLost || attempt.startedAt === 0) table.drop(attempt.lease)
      else endings.settle(attempt, failed({ kind }))
    }
  }

  stop(): void {
    this.#stopTimer?.()
    this.#timerAt = -Infinity
  }

  /** Fails a job that cannot be read, whoever knows its task: what is lost of it is lost for all. */
  #fail(held: Held, rules: HeldRules): void {
    const { app, endings } = this.#options
    const { id, task } = held.job
    endings.settleHeld(held, { kind: 'unreadable' }, rules)
    app.events.emit('warning', {
      code: 'job-unreadable',
      message: `${task} ${id} was failed without a run, for not all that is stored of it can be read. What can, is kept: see errand jobs show ${id}`,
    })
  }

  #setAside(held: Held): void {
    const { app, endings } = this.#options
    const { id, task, queue, counters } = held.job
    const policy = app.policy(null, null, queue)
    const rules = { definition: null, policy, stored: {}, isReadable: true }
    endings.settleHeld(held, { kind: 'unknown' }, rules)
    if (counters.deferrals > 0) return
    app.events.emit('job-unknown', { id, task, queue, againMs: deferral.firstMs })
  }

  /** An at-most-once task: its start is in the store before it runs. */
  async #startNoted(attempt: Attempt): Promise<void> {
    const { app, table } = this.#options
    const { id, token, task } = attempt.job
    try {
      const call = app.store.note([{ id, token, kind: 'start', agoMs: 0 }])
      const [answer] = await answered(app.store.clock, call)
      if (!this.running.has(attempt)) return
      if (answer === 'noted') return this.#begin(attempt)
      this.#leave(attempt)
      table.drop(attempt.lease)
    } catch (error) {
      // Whether the start was written is not known, so the job must not run here.
      this.#leave(attempt)
      table.drop(attempt.lease)
      app.events.emit('warning', {
        code: 'start-not-written',
        message: `${task} ${id} was not started: ${errorText(error)}`,
      })
    }
  }

  #begin(attempt: Attempt): void {
    const { app, worker, table, services } = this.#options
    const { policy } = attempt.parts
    const now = services.ticks()
    attempt.startedAt = now
    const endsAt = policy.timeoutMs === null ? Infinity : now + policy.timeoutMs
    table.start(attempt.lease, now, endsAt + abortGraceMs)
    if (endsAt < this.#timerAt) this.#arm(endsAt)
    if (app.events.has('run-started')) app.events.emit('run-started', factsOf(attempt, worker))
    void attempt.run().then((ended) => this.#ended(attempt, ended))
  }

  #ended(attempt: Attempt, ended: Ended): void {
    if (!this.running.has(attempt)) return
    this.#options.endings.end(attempt, ended)
    this.#leave(attempt)
  }

  #leave(attempt: Attempt): void {
    this.running.delete(attempt)
    this.#options.freed(attempt.job)
  }

  #abort(attempt: Attempt, cause: AbortCause): void {
    const now = this.#options.services.ticks()
    attempt.abort(cause, now)
    const stuckAt = stuckAtOf(attempt)
    const { table } = this.#options
    // Its timeout may come before the end of the time that a stop gives it, and means nothing any more.
    if (attempt.mayEndUntil > 0 && !attempt.leaseLost) table.renewUntil(attempt.lease, stuckAt)
    else table.renewAtMostUntil(attempt.lease, stuckAt)
    this.#arm(Math.min(this.#timerAt, stuckAt))
  }

  /** One timer for the next attempt that times out or turns out stuck. */
  #arm(at: number): void {
    this.#stopTimer?.()
    this.#timerAt = at
    const inMs = Math.max(1, Math.ceil(at - this.#options.services.ticks()))
    this.#stopTimer = this.#options.app.store.clock.after(inMs, () => this.#look())
  }

  #look(): void {
    const now = this.#options.services.ticks()
    let next = Infinity
    for (const attempt of this.running) {
      const { endsAt } = attempt
      if (attempt.abortCause === null && endsAt <= now) attempt.abort('timeout', now)
      if (attempt.abortCause === null) next = Math.min(next, endsAt)
      else if (!attempt.stuck) next = Math.min(next, this.#lookAtAborted(attempt, now))
    }
    this.#timerAt = Infinity
    if (next < Infinity) this.#arm(next)
  }

  /** When to look at an aborted attempt again; `Infinity` once it is stuck. */
  #lookAtAborted(attempt: Attempt, now: number): number {
    const stuckAt = stuckAtOf(attempt)
    if (now < stuckAt) return stuckAt
    attempt.stuck = true
    const { app, worker } = this.#options
    const ranMs = now - attempt.startedAt
    app.events.emit('run-stuck', { ...factsOf(attempt, worker), ranMs })
    return Infinity
  }
}

function loop({ id, task }: ClaimedJob): ErrandError {
  return new ErrandError(
    'follow-up-loop',
    `${task} comes after ${mostFollowUps} follow-ups in a row, which is taken for a loop, such as two tasks that are each other's onFailure. It was not run, and nothing follows it. End the loop; a chain without end is made by job.enqueue().`,
    { details: { id } },
  )
}

function stuckAtOf({ abortedAt, mayEndUntil }: Attempt): number {
  return Math.max(abortedAt + abortGraceMs, mayEndUntil)
}
