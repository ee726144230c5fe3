/**
 * What becomes of jobs that leave a worker's hands: makes their settlements, hands them to the settler, lets go of their
 * leases when the store has answered, and tells the world.
 */
import type { App } from '../app/app.ts'
import { sleep } from '../core/clock.ts'
import type { Outcome } from '../core/decide.ts'
import { ErrandError } from '../core/errors.ts'
import type { TaskList } from '../core/task-list.ts'
import { errorText } from '../core/kept-error.ts'
import type { Events } from '../observe/events.ts'
import type { ClaimedJob } from '../store/job.ts'
import type { Attempt, Ended } from './attempt.ts'
import type { ViewServices } from './job-view.ts'
import type { LeaseTable } from './lease-table.ts'
import type { Notes } from './notes.ts'
import { rulesOf, type HeldRules } from './rules.ts'
import { makeSettlement, type Settled } from './settlement.ts'
import type { Settler, Verdict } from './settler.ts'
import { answered, mayPass } from '../loops/supervised.ts'

export interface EndingsOptions {
  readonly app: App
  readonly worker: string
  readonly registry: TaskList
  readonly table: LeaseTable
  readonly settler: Settler
  readonly notes: Notes
  readonly services: ViewServices
  /** The store's time. */
  readonly storeNow: () => number
}

/** A claimed job with its place in the lease table. */
export interface Held {
  readonly job: ClaimedJob
  readonly lease: number
}

/** How often a settlement is made again while the store does not tell what it needs, from this pause on. */
const remake = { times: 10, firstMs: 100, maxMs: 4_000 } as const

export class Endings {
  readonly #options: EndingsOptions
  readonly #gaveUp = new AbortController()
  #unmade = 0
  #stopKeeping: (() => void) | null = null

  constructor(options: EndingsOptions) {
    this.#options = options
  }

  /** Ended jobs whose settlement the store has not answered. */
  get pending(): number {
    return this.#unmade + this.#options.settler.pending
  }

  /** What holds for a job here. */
  rulesOf(job: ClaimedJob): HeldRules {
    return rulesOf(this.#options.app, this.#options.registry, job)
  }

  /** Ends an attempt whose handler has ended. */
  end(attempt: Attempt, ended: Ended): void {
    if (attempt.stuck || attempt.completedInTx !== null || this.#options.notes.has(attempt)) {
      this.#unmade++
      void this.#endSlowly(attempt, ended).finally(() => this.#unmade--)
    } else {
      this.settle(attempt, ended)
    }
  }

  /** Settles an attempt. */
  settle(attempt: Attempt, ended: Ended, isRefused = false): void {
    const { app, services, settler, storeNow, table } = this.#options
    if (attempt.leaseLost) return this.#over(attempt, 'stale', undefined, null)
    const now = services.ticks()
    table.end(attempt.lease, now + app.leaseMs)
    if (this.#stopKeeping === null) this.#keepLater()
    const { job, parts, enqueued } = attempt
    const { outcome, output, value } = ended
    const ranMs = now - attempt.startedAt
    const make = (): Settled | Promise<Settled> =>
      makeSettlement({
        rules: parts,
        app,
        job,
        outcome,
        begun: true,
        ranMs,
        output,
        value,
        enqueued,
        now: storeNow(),
        worker: this.#options.worker,
        client: services.client,
      })
    this.#making(
      make,
      (settled) =>
        settler.settle(settled.settlement, (verdict) => {
          if (typeof verdict === 'object') this.#refused(attempt, verdict.refused, isRefused)
          else this.#settled(attempt, settled, verdict)
        }),
      (error) => this.#refused(attempt, error, isRefused),
    )
  }

  /** Settles a held job that does not run here. Whatever was to become of it, one that cannot be read is failed. */
  settleHeld(held: Held, outcome: Outcome, rules: HeldRules): void {
    const { app, services, settler, storeNow, table } = this.#options
    const { job } = held
    const make = (): Settled | Promise<Settled> =>
      makeSettlement({
        rules,
        app,
        job,
        outcome: rules.isReadable ? outcome : unreadable,
        begun: false,
        ranMs: null,
        output: null,
        value: undefined,
        enqueued: [],
        now: storeNow(),
        worker: this.#options.worker,
        client: services.client,
      })
    const over = (verdict: Verdict): void => {
      if (verdict === 'cancel-asked') return this.settleHeld(held, { kind: 'cancelled' }, rules)
      table.drop(held.lease)
      if (typeof verdict === 'object') this.#warn(job, verdict.refused)
    }
    this.#making(
      make,
      ({ settlement }) => settler.settle(settlement, over),
      (refused) => over({ refused }),
    )
  }

  /** Makes no settlement any more; what is not settled runs again when its lease ends. */
  giveUp(): void {
    this.#gaveUp.abort()
    this.#stopKeeping?.()
    this.#options.settler.giveUp()
  }

  /**
   * Leases of ended jobs are renewed as long as this event loop turns, however long the store takes; a process that hangs
   * before their settlements are written must not keep them.
   */
  #keepLater(): void {
    const { app, services, table } = this.#options
    this.#stopKeeping = app.store.clock.after(app.leaseMs / 3, () => {
      this.#stopKeeping = null
      if (this.pending === 0 || this.#gaveUp.signal.aborted) return
      table.keepEnded(services.ticks() + app.leaseMs)
      this.#keepLater()
    })
  }

  /** The rare ends: notes to write first, a settlement that went with a transaction. */
  async #endSlowly(attempt: Attempt, ended: Ended): Promise<void> {
    const { app, notes, table } = this.#options
    await notes.flush(attempt)
    if (attempt.completedInTx === null) return this.settle(attempt, ended)
    const { id, token, task } = attempt.job
    try {
      const call = app.store.renew([{ id, token }], app.leaseMs)
      const [answer] = await answered(app.store.clock, call)
      if (answer === 'stale') return this.#committed(attempt, ended)
      // What the handler threw, or why it was aborted, tells more than that the transaction did not commit.
      if (ended.outcome.kind !== 'completed') return this.settle(attempt, ended)
      const error = new ErrandError(
        'not-committed',
        'job.complete() was called, but its transaction has not committed.',
      )
      this.settle(attempt, failed({ kind: 'failed', reason: 'not-committed', error }))
    } catch (error) {
      // The lease runs out by itself, and then the store knows whether the transaction committed.
      table.drop(attempt.lease)
      app.events.emit('warning', {
        code: 'commit-unknown',
        message: `Whether ${task} ${id} was completed is not known yet: ${errorText(error)}`,
      })
    }
  }

  /** A job whose transaction has committed is completed, whatever its handler came to after that. */
  #committed(attempt: Attempt, { outcome }: Ended): void {
    const { id, task } = attempt.job
    if ('error' in outcome) {
      this.#options.app.events.emit('warning', {
        code: 'failed-after-complete',
        message: `${task} ${id} stays completed, since its transaction has committed, but its handler failed after that: ${errorText(outcome.error)}`,
      })
    }
    this.#over(attempt, 'completed', undefined, null)
  }

  #settled(attempt: Attempt, { settlement, decision, error }: Settled, verdict: Verdict): void {
    if (verdict === 'cancel-asked') return this.settle(attempt, failed({ kind: 'cancelled' }))
    if (verdict === 'stale') return this.#over(attempt, 'stale', error, null)
    if (decision.kind === 'finish') return this.#over(attempt, decision.state, error, null)
    const isInterrupted = decision.counters.interruptions > attempt.job.counters.interruptions
    const outcome =
      settlement.attempt !== null ? 'retry' : isInterrupted ? 'interrupted' : 'postponed'
    this.#over(attempt, outcome, error, decision.delayMs)
  }

  /** A settlement that can never be written fails the job, without what it carried; if that is refused too, the lease runs out. */
  #refused(attempt: Attempt, error: unknown, isRefused: boolean): void {
    if (!isRefused) {
      return this.settle(attempt, failed({ kind: 'unrecoverable', reason: 'error', error }), true)
    }
    this.#options.table.drop(attempt.lease)
    this.#warn(attempt.job, error)
  }

  #over(
    attempt: Attempt,
    outcome: Events['run-ended']['outcome'],
    error: unknown,
    againMs: number | null,
  ): void {
    const { app, worker, services, table } = this.#options
    table.drop(attempt.lease)
    if (!app.events.has('run-ended')) return
    const durationMs = services.ticks() - attempt.startedAt
    const facts = factsOf(attempt, worker)
    app.events.emit('run-ended', { ...facts, outcome, durationMs, error, againMs })
  }

  #warn(job: ClaimedJob, refused: unknown): void {
    this.#options.app.events.emit('warning', {
      code: 'settlement-refused',
      message: `The settlement of ${job.task} ${job.id} cannot be written; it runs again when its lease ends: ${errorText(refused)}`,
    })
  }

  /** Goes on with a settlement that is made at once, or when it is. */
  #making(
    make: () => Settled | Promise<Settled>,
    goOn: (settled: Settled) => void,
    refused: (error: unknown) => void,
  ): void {
    let made: Settled | Promise<Settled>
    try {
      made = make()
    } catch (error) {
      return refused(error)
    }
    if (!(made instanceof Promise)) return goOn(made)
    this.#unmade++
    void this.#made(made, make).then(
      (settled) => {
        this.#unmade--
        goOn(settled)
      },
      (error: unknown) => {
        this.#unmade--
        refused(error)
      },
    )
  }

  /** Some settlements read the store first, which may be away for a while. */
  async #made(first: Promise<Settled>, make: () => Settled | Promise<Settled>): Promise<Settled> {
    const { clock } = this.#options.app.store
    for (let made: Settled | Promise<Settled> = first, times = 1; ; times++) {
      try {
        return await answered(clock, Promise.resolve(made))
      } catch (error) {
        const verdict = mayPass(error)
        const isFinal = verdict === 'no' || (verdict === 'maybe' && times > remake.times)
        if (isFinal || this.#gaveUp.signal.aborted) throw error
        const pauseMs = Math.min(remake.firstMs * 2 ** Math.min(times - 1, 10), remake.maxMs)
        await sleep(clock, pauseMs * (0.5 + Math.random() / 2), this.#gaveUp.signal)
        made = make()
      }
    }
  }
}

const unreadable: Outcome = { kind: 'unreadable' }

/** An end without output. */
export function failed(outcome: Outcome): Ended {
  return { outcome, output: null, value: undefined }
}

/** What events tell of a run. */
export function factsOf(attempt: Attempt, worker: string): Events['run-started'] {
  const { id, task, queue, counters } = attempt.job
  return { worker, id, task, queue, attempt: counters.attempts + 1 }
}
