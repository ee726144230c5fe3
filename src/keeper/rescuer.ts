/**
 * Ends jobs whose worker died or whose clock ran out. Any process with handlers does it, for jobs
 * of its own tasks.
 *
 * Modes: resting → rescuing (a heartbeat said that there is something to rescue, and contact with
 * the store has lasted) → resting. The jobs of one round are settled before the next begins: their
 * inputs are all that is held at once.
 */
import type { App } from '../app/app.ts'
import { overdue, type Outcome } from '../core/decide.ts'
import type { JobState } from '../core/job.ts'
import { answered } from '../loops/call-deadline.ts'
import { Loop } from '../loops/supervised.ts'
import type { Events } from '../observe/events.ts'
import type { ClaimedJob } from '../store/job.ts'
import type { Contact } from './contact.ts'

/** Jobs in one call of `rescue`. */
const chunk = 200

/** What became of a rescued job. */
export interface Rescued {
  readonly why: Events['job-rescued']['why']
  readonly to: JobState
}

export interface RescuerOptions {
  readonly app: App
  readonly worker: string
  /** Tasks whose jobs it may rescue: those that have a handler here. */
  readonly tasks: readonly string[]
  readonly contact: Contact
  /** Whether this process keeps its own leases now: while it cannot, others may not be able to either. */
  readonly keepsLeases: () => boolean
  /**
   * Ends a job that was leased to this process for it; null when the job is no longer its own.
   * Rejects when the store refuses. Settling is the worker's: what follows a job, and how its end
   * is written, stands there alone.
   */
  readonly settle: (job: ClaimedJob, outcome: Outcome) => Promise<Rescued | null>
}

export class Rescuer {
  readonly loop: Loop
  readonly #options: RescuerOptions
  /** Jobs that are rescued and not settled yet. */
  #unsettled = 0
  #isDue = false
  #stopped = false

  constructor(options: RescuerOptions) {
    const { app } = options
    this.#options = options
    this.loop = new Loop('rescue', app.events, app.store.clock, () => this.#pass())
  }

  /** What a heartbeat has learnt. */
  told({ sweepDue }: { readonly sweepDue: boolean }): void {
    this.#isDue = sweepDue
    if (sweepDue) this.loop.wake()
  }

  async stop(): Promise<void> {
    this.#stopped = true
    await this.loop.stop()
  }

  async #pass(): Promise<number> {
    const { contact, keepsLeases } = this.#options
    if (this.#isDue && contact.isLong && keepsLeases()) {
      this.#isDue = await contact.during(() => this.#rescue())
    }
    return Infinity
  }

  /** Returns whether to go on once these jobs are settled. */
  async #rescue(): Promise<boolean> {
    const { app, worker, tasks } = this.#options
    while (tasks.length > 0 && !this.#stopped && this.#unsettled < chunk) {
      const request = { worker, tasks, limit: chunk, leaseMs: app.leaseMs }
      const { jobs, now, cut } = await answered(app.store.clock, app.store.rescue(request))
      for (const job of jobs) void this.#settle(job, outcomeOf(job, now))
      if (cut) return true
      if (jobs.length < chunk) return false
    }
    return false
  }

  async #settle(job: ClaimedJob, outcome: Outcome): Promise<void> {
    const { app, settle } = this.#options
    const { id, task, queue } = job
    this.#unsettled++
    try {
      const rescued = await settle(job, outcome)
      if (rescued !== null) app.events.emit('job-rescued', { id, task, queue, ...rescued })
    } catch (error) {
      app.events.warn('settlement-failed', { id, task, error })
    } finally {
      this.#unsettled--
      if (this.#unsettled === 0 && this.#isDue) this.loop.wake()
    }
  }
}

function outcomeOf(job: ClaimedJob, now: number): Outcome {
  if (job.cancelAsked) return { kind: 'cancelled' }
  if (job.why === 'overdue') return { kind: 'overdue', reason: overdue(job, now) ?? 'deadline' }
  return { kind: 'lost' }
}
