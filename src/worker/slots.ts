/**
 * The slots of a worker: starts attempts, watches their time, and hands what they came to to the settler.
 * A slot is taken from the start of an attempt until its handler has ended, whatever becomes of its lease.
 */
import type { App } from '../client/app.ts'
import { readStoredOptions, type StoredOptions } from '../client/new-job.ts'
import { ErrandError } from '../core/errors.ts'
import { overdue, type Outcome } from '../core/decide.ts'
import type { Policy } from '../core/options.ts'
import type { TaskRegistry } from '../core/registry.ts'
import type { Definition } from '../core/task.ts'
import type { Events } from '../observe/events.ts'
import type { ClaimedJob } from '../store.ts'
import { Attempt, type AbortCause, type Ended } from './attempt.ts'
import type { ViewServices } from './job-view.ts'
import type { LeaseEntry, LeaseTable } from './lease-table.ts'
import type { Notes } from './notes.ts'
import { makeSettlement, type Settled } from './settlement.ts'
import type { Settler, Verdict } from './settler.ts'

/** How long an aborted handler may take before it counts as stuck and its lease is let go. */
export const abortGraceMs = 5_000

export interface SlotsOptions {
  readonly app: App
  readonly worker: string
  readonly registry: TaskRegistry
  readonly context: unknown
  readonly table: LeaseTable
  readonly settler: Settler
  readonly notes: Notes
  readonly services: ViewServices
  /** The store's time. */
  readonly storeNow: () => number
  /** A slot became free. */
  readonly freed: (queue: string) => void
}

/** A claimed job with its place in the lease table. */
export interface Held {
  readonly job: ClaimedJob
  readonly entry: LeaseEntry
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
    return [...this.running].filter((attempt) => attempt.stuck).length
  }

  /** Starts a job, or settles it at once when it cannot or need not run; answers whether it took a slot. */
  start(held: Held): boolean {
    const { app, registry, notes, services, context, storeNow } = this.#options
    const { job } = held
    const definition = registry.find(job.task)?.definition
    if (!definition?.handler || (job.codec !== null && app.findCodec(job.codec) === undefined)) {
      this.#setAside(held)
      return false
    }
    const stored = readStoredOptions(job.options)
    const policy = app.policy(stored.layer ?? null, definition, job.queue)
    const late = overdue(job, storeNow())
    if (late !== null) {
      this.settle(held, { kind: 'overdue', reason: late }, definition, policy, stored)
      return false
    }
    const attempt = new Attempt(job, { app, definition, policy, stored, context, notes, services })
    attempt.lease = held.entry.index
    this.running.add(attempt)
    if (policy.losses === 0 && job.startedAt === null) void this.#startNoted(attempt)
    else this.#begin(attempt)
    return true
  }

  /** Settles a held job without running it. */
  settle(
    held: Held,
    outcome: Outcome,
    definition: Definition | null,
    policy: Policy,
    stored: StoredOptions,
    begun = false,
  ): void {
    const { app, services, storeNow } = this.#options
    const made = makeSettlement({
      app,
      job: held.job,
      definition,
      policy,
      stored,
      outcome,
      begun,
      output: null,
      value: undefined,
      enqueued: [],
      now: storeNow(),
      taskFacts: services.taskFacts,
    })
    this.#afterwards(made, (settled) => {
      this.#options.settler.settle(settled.settlement, (verdict) => {
        if (verdict === 'cancel-asked')
          return this.settle(held, { kind: 'cancelled' }, definition, policy, stored)
        this.#options.table.drop(held.entry.index)
        this.#warnIfRefused(held.job, verdict)
      })
    })
  }

  /** Gives back jobs that were not started. */
  giveBack(held: readonly Held[]): void {
    for (const one of held) {
      const stored = readStoredOptions(one.job.options)
      const definition = this.#options.registry.find(one.job.task)?.definition ?? null
      const policy = this.#options.app.policy(stored.layer ?? null, definition, one.job.queue)
      this.settle(one, { kind: 'unstarted' }, definition, policy, stored)
    }
  }

  /** Tells an attempt that its lease is someone else's, or that it was asked to cancel. */
  abort(id: string, token: number, cause: AbortCause): void {
    for (const attempt of this.running) {
      if (attempt.job.id === id && attempt.job.token === token) this.#abort(attempt, cause)
    }
  }

  abortAll(cause: AbortCause): void {
    for (const attempt of this.running) this.#abort(attempt, cause)
  }

  /** Settles what still runs as interrupted, because the process is about to exit. */
  release(): void {
    for (const attempt of this.running) {
      if (!attempt.leaseLost)
        this.#settleAttempt(attempt, {
          outcome: { kind: 'interrupted' },
          output: null,
          value: undefined,
        })
    }
  }

  stop(): void {
    this.#stopTimer?.()
    this.#timerAt = -Infinity
  }

  #setAside(held: Held): void {
    const { app } = this.#options
    const { job } = held
    this.settle(held, { kind: 'unknown' }, null, app.policy(null, null, job.queue), {})
    if (job.counters.deferrals === 0) {
      app.events.emit('job-unknown', {
        id: job.id,
        task: job.task,
        queue: job.queue,
        againMs: 30_000,
      })
    }
  }

  /** An at-most-once task: its start is in the store before it runs. */
  async #startNoted(attempt: Attempt): Promise<void> {
    const { app } = this.#options
    const { id, token } = attempt.job
    try {
      const [answer] = await app.store.note([{ id, token, kind: 'start', agoMs: 0 }])
      if (answer === 'noted') return this.#begin(attempt)
      attempt.leaseLost = true
      this.#leave(attempt)
      this.#options.table.drop(attempt.lease)
    } catch (error) {
      // Whether the start was written is not known, so the job must not run here.
      this.#leave(attempt)
      this.#options.table.drop(attempt.lease)
      app.events.emit('warning', {
        code: 'start-not-written',
        message: `${attempt.job.task} ${id} was not started: ${String(error)}`,
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
    this.#leave(attempt)
    if (attempt.stuck || attempt.completedInTx !== null || this.#options.notes.has(attempt)) {
      void this.#endedSlowly(attempt, ended)
    } else {
      this.#settleAttempt(attempt, ended)
    }
  }

  #leave(attempt: Attempt): void {
    this.running.delete(attempt)
    this.#options.freed(attempt.job.queue)
  }

  /** The rare ends: notes to write first, a settlement that went with a transaction. */
  async #endedSlowly(attempt: Attempt, ended: Ended): Promise<void> {
    const { app, notes, table } = this.#options
    await notes.flush(attempt)
    if (attempt.completedInTx === null) return this.#settleAttempt(attempt, ended)
    const { id, token } = attempt.job
    try {
      const [answer] = await app.store.renew([{ id, token }], app.leaseMs)
      if (answer === 'stale') {
        table.drop(attempt.lease)
        return this.#tell(attempt, 'completed', undefined, null)
      }
      const error = new ErrandError(
        'not-committed',
        'job.complete() was called, but its transaction has not committed.',
      )
      this.#settleAttempt(attempt, {
        outcome: { kind: 'failed', reason: 'not-committed', error },
        output: null,
        value: undefined,
      })
    } catch (error) {
      // The lease runs out by itself, and then the store knows whether the transaction committed.
      table.drop(attempt.lease)
      app.events.emit('warning', {
        code: 'commit-unknown',
        message: `Whether ${attempt.job.task} ${id} was completed is not known yet: ${String(error)}`,
      })
    }
  }

  #settleAttempt(attempt: Attempt, ended: Ended, refusedBefore = false): void {
    const { table, settler, services, storeNow } = this.#options
    if (attempt.leaseLost) {
      table.drop(attempt.lease)
      return this.#tell(attempt, 'stale', undefined, null)
    }
    const made = makeSettlement({
      ...attempt.parts,
      ...ended,
      job: attempt.job,
      begun: true,
      enqueued: attempt.enqueued,
      now: storeNow(),
      taskFacts: services.taskFacts,
    })
    this.#afterwards(made, (settled) => {
      settler.settle(settled.settlement, (verdict) =>
        this.#settled(attempt, settled, verdict, refusedBefore),
      )
    })
  }

  #settled(attempt: Attempt, settled: Settled, verdict: Verdict, refusedBefore: boolean): void {
    if (verdict === 'cancel-asked') {
      return this.#settleAttempt(attempt, {
        outcome: { kind: 'cancelled' },
        output: null,
        value: undefined,
      })
    }
    if (typeof verdict === 'object' && !refusedBefore) {
      const outcome: Outcome = { kind: 'unrecoverable', reason: 'error', error: verdict.refused }
      return this.#settleAttempt(attempt, { outcome, output: null, value: undefined }, true)
    }
    this.#options.table.drop(attempt.lease)
    this.#warnIfRefused(attempt.job, verdict)
    if (verdict === 'stale') return this.#tell(attempt, 'stale', settled.error, null)
    const { decision, error } = settled
    if (decision.kind === 'finish') return this.#tell(attempt, decision.state, error, null)
    const outcome =
      error === undefined ? (decision.place === 'keep' ? 'interrupted' : 'postponed') : 'retry'
    this.#tell(attempt, outcome, error, decision.delayMs)
  }

  #tell(
    attempt: Attempt,
    outcome: Events['run-ended']['outcome'],
    error: unknown,
    againMs: number | null,
  ): void {
    const { app, worker, services } = this.#options
    if (!app.events.has('run-ended')) return
    const durationMs = services.ticks() - attempt.startedAt
    app.events.emit('run-ended', {
      ...factsOf(attempt, worker),
      outcome,
      durationMs,
      error,
      againMs,
    })
  }

  #warnIfRefused(job: ClaimedJob, verdict: Verdict): void {
    if (typeof verdict !== 'object') return
    this.#options.app.events.emit('warning', {
      code: 'settlement-refused',
      message: `The store refuses the settlement of ${job.task} ${job.id}; it runs again when its lease ends: ${String(verdict.refused)}`,
    })
  }

  /** Goes on with a settlement that is made at once, or when it is. */
  #afterwards(made: Settled | Promise<Settled>, next: (settled: Settled) => void): void {
    if (!(made instanceof Promise)) return next(made)
    made.then(next, (error: unknown) => {
      this.#options.app.events.emit('warning', {
        code: 'settlement-failed',
        message: `A settlement could not be made; the job runs again when its lease ends: ${String(error)}`,
      })
    })
  }

  #abort(attempt: Attempt, cause: AbortCause): void {
    const now = this.#options.services.ticks()
    attempt.abort(cause, now)
    this.#options.table.renewAtMostUntil(attempt.lease, attempt.abortedAt + abortGraceMs)
    this.#arm(Math.min(this.#timerAt, attempt.abortedAt + abortGraceMs))
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
      const { timeoutMs } = attempt.parts.policy
      if (attempt.abortCause === null && timeoutMs !== null && attempt.startedAt > 0) {
        const endsAt = attempt.startedAt + timeoutMs
        if (endsAt <= now) attempt.abort('timeout', now)
        else next = Math.min(next, endsAt)
      }
      if (attempt.abortCause !== null && !attempt.stuck)
        next = Math.min(next, this.#lookAtAborted(attempt, now))
    }
    this.#timerAt = Infinity
    if (next < Infinity) this.#arm(next)
  }

  /** When to look at an aborted attempt again; `Infinity` once it is stuck. */
  #lookAtAborted(attempt: Attempt, now: number): number {
    const stuckAt = attempt.abortedAt + abortGraceMs
    if (now < stuckAt) return stuckAt
    attempt.stuck = true
    const { app, worker } = this.#options
    app.events.emit('run-stuck', { ...factsOf(attempt, worker), ranMs: now - attempt.startedAt })
    return Infinity
  }
}

function factsOf(attempt: Attempt, worker: string): Events['run-started'] {
  const { id, task, queue, counters } = attempt.job
  return { worker, id, task, queue, attempt: counters.attempts + 1 }
}
