/**
 * Ends jobs: the one agent that takes a job from its outcome to the store's word on it, whoever had the job: a slot, a buffer,
 * a rescue, an inline run, a user's transaction.
 *
 * Modes of an ending: made (its settlement, which may have to read the store first, and is made again while that fails) →
 * written → settled or stale, which is its end. When a cancel was asked for meanwhile, it is made anew as cancelled. When the
 * store can never take it, an attempt is made anew as failed, without what it carried; if that is refused as well, or nothing
 * can be made anew, the lease runs out.
 */
import type { App } from '../app/app.ts'
import type { Client } from '../client/client.ts'
import { sleep } from '../core/clock.ts'
import type { Outcome } from '../core/decide.ts'
import { ErrandError } from '../core/errors.ts'
import type { Rescued } from '../keeper/rescuer.ts'
import { renewEveryMs } from '../loops/renew-interval.ts'
import type { StoreTime } from '../loops/store-time.ts'
import { answered, mayPass } from '../loops/supervised.ts'
import type { Ticks } from '../loops/time.ts'
import type { Events } from '../observe/events.ts'
import type { ClaimedJob } from '../store/job.ts'
import type { Store } from '../store/store.ts'
import type { Attempt } from './attempt.ts'
import type { Held, LeaseTable } from './lease-table.ts'
import type { RulesOf } from './rules.ts'
import { failed, type Encoded, type Ended } from './runner.ts'
import type { SettleBatches } from './settle-batches.ts'
import { makeSettlement, type Ending, type Settled } from './settlement.ts'

export interface SettlerOptions {
  readonly app: App
  readonly worker: string
  readonly client: Pick<Client, 'taskFacts'>
  readonly rulesOf: RulesOf
  readonly table: LeaseTable
  readonly batches: SettleBatches
  readonly ticks: Ticks
  readonly time: Pick<StoreTime, 'now'>
  /** Whether to emit `run-ended`: not for inline runs. */
  readonly tellsRuns: boolean
}

/** What became of an ending. */
export type End =
  | ({ readonly kind: 'settled' } & Settled)
  /** The job is someone else's. `error` is that of the outcome. */
  | { readonly kind: 'stale'; readonly error: unknown }
  /** The store can never take it. */
  | { readonly kind: 'refused'; readonly error: unknown }
  /** It was given up. */
  | { readonly kind: 'unwritten'; readonly error: unknown }

/** How often a settlement is made again while the store does not tell what it needs, from this pause on. */
const remake = { times: 10, firstMs: 100, maxMs: 4_000 } as const

const unreadable: Outcome = { kind: 'unreadable' }

export class Settler {
  readonly #options: SettlerOptions
  readonly #gaveUp = new AbortController()
  #pending = 0
  #stopKeeping: (() => void) | null = null

  constructor(options: SettlerOptions) {
    this.#options = options
  }

  /** Ended jobs of which the store has not said what became of them. */
  get pending(): number {
    return this.#pending
  }

  /**
   * Ends an attempt once its handler has ended. Its slot is `free` as soon as the settlement is handed in. Resolves with what
   * became of it; null when it was given up before the handler ended.
   */
  async end(attempt: Attempt, run: Promise<Ended>, free: () => void): Promise<End | null> {
    const ended = await run
    if (attempt.isLeft) return null
    const end = this.#counted(this.#endAttempt(attempt, ended))
    free()
    return end
  }

  /** Gives an attempt up whose handler goes on, in a process that exits: its lease is free for others as soon as this is written. */
  endLeft(attempt: Attempt, outcome: Outcome): void {
    void this.#counted(this.#settleAttempt(attempt, failed(outcome)))
  }

  /** Ends a held job that does not run here. */
  endHeld(held: Held, outcome: Outcome): void {
    void this.#counted(this.#endHeld(held, outcome))
  }

  /** Ends a rescued job; null when it is no longer this worker's, or the worker gives up. Rejects when the store refuses. */
  async endRescued(job: ClaimedJob, outcome: Outcome): Promise<Rescued | null> {
    const ending = this.#notRun(job, outcome, job.startedAt !== null)
    const end = await this.#counted(this.#settle(ending))
    if (end.kind === 'refused') throw end.error
    if (end.kind !== 'settled' || job.why === 'ready') return null
    const { decision } = end
    const why = ending.rules.isReadable ? job.why : 'unreadable'
    if (decision.kind === 'finish') return { why, to: decision.state }
    return { why, to: decision.delayMs > 0 ? 'scheduled' : 'ready' }
  }

  /** Settles an attempt as completed inside the user's transaction; it stays ours until that commits. */
  async completeIn(tx: unknown, attempt: Attempt, output: Encoded): Promise<void> {
    const { store } = this.#options.app
    const { job } = attempt
    if (attempt.isCompletedInTx && (await isOver(store, job))) {
      throw new ErrandError(
        'not-committed',
        `${job.task} ${job.id} was completed before, in a transaction that has committed; roll this one back.`,
      )
    }
    const { settlement } = await this.#make(ofAttempt(attempt, { outcome: completed, ...output }))
    const [answer] = await store.settle([settlement], tx)
    if (answer === 'settled') return
    throw new ErrandError(
      'lease-lost',
      `${job.task} ${job.id} is no longer this worker's; roll the transaction back.`,
    )
  }

  /** Makes no settlement any more; what is not settled runs again when its lease ends. */
  giveUp(): void {
    this.#gaveUp.abort()
    this.stopKeeping()
    this.#options.batches.giveUp()
  }

  /** Keeps the leases of what has ended no longer. */
  stopKeeping(): void {
    this.#stopKeeping?.()
  }

  async #counted<T>(work: Promise<T>): Promise<T> {
    this.#pending++
    try {
      return await work
    } finally {
      this.#pending--
    }
  }

  /** The rare ends first: notes to write, a settlement that went with a transaction. */
  async #endAttempt(attempt: Attempt, ended: Ended): Promise<End> {
    const { unwritten } = attempt
    if (unwritten !== null) await unwritten.flush()
    if (attempt.isCompletedInTx) return this.#endCompleted(attempt, ended)
    return this.#settleAttempt(attempt, ended)
  }

  async #endCompleted(attempt: Attempt, ended: Ended): Promise<End> {
    const { app, table } = this.#options
    const { id, token, task } = attempt.job
    try {
      const call = app.store.renew([{ id, token }], app.leaseMs)
      const [answer] = await answered(app.store.clock, call)
      if (answer === 'stale') return this.#committed(attempt, ended)
    } catch (error) {
      // The lease runs out by itself, and then the store knows whether the transaction committed.
      table.drop(attempt.lease)
      app.events.warn('commit-unknown', { id, task, error })
      return { kind: 'unwritten', error }
    }
    // What the handler threw, or why it was aborted, says more than that the transaction did not commit.
    if (ended.outcome.kind !== 'completed') return this.#settleAttempt(attempt, ended)
    const error = new ErrandError(
      'not-committed',
      'job.complete() was called, but its transaction has not committed.',
    )
    const outcome: Outcome = { kind: 'failed', reason: 'not-committed', error }
    return this.#settleAttempt(attempt, failed(outcome))
  }

  /** A job whose transaction has committed is completed, whatever its handler came to after that. */
  #committed(attempt: Attempt, { outcome }: Ended): End {
    const { app } = this.#options
    const { id, task } = attempt.job
    if ('error' in outcome)
      app.events.warn('failed-after-complete', { id, task, error: outcome.error })
    return this.#over(attempt, nobodys, 'completed')
  }

  async #settleAttempt(attempt: Attempt, ended: Ended): Promise<End> {
    const { app, table, ticks } = this.#options
    if (attempt.isLeaseLost) return this.#over(attempt, nobodys)
    table.end(attempt.lease, ticks() + app.leaseMs)
    if (this.#stopKeeping === null) this.#keepLater()
    const end = await this.#settle(ofAttempt(attempt, ended))
    if (end.kind !== 'refused') return this.#over(attempt, end)
    const { error } = end
    const outcome: Outcome = { kind: 'unrecoverable', reason: 'error', error }
    return this.#over(attempt, await this.#settle(ofAttempt(attempt, failed(outcome))))
  }

  async #endHeld({ job, lease }: Held, outcome: Outcome): Promise<void> {
    const { app, table } = this.#options
    const end = await this.#settle(this.#notRun(job, outcome, false))
    table.drop(lease)
    const { id, task } = job
    if (end.kind === 'refused')
      app.events.warn('settlement-refused', { id, task, error: end.error })
  }

  /** The end of a job that did not run here. Whatever was to become of it, one that cannot be read is failed. */
  #notRun(job: ClaimedJob, outcome: Outcome, begun: boolean): Ending {
    const rules = this.#options.rulesOf(job)
    const ended = failed(rules.isReadable ? outcome : unreadable)
    return { job, rules, begun, startedAt: null, enqueued: [], ...ended }
  }

  /** From an ending to the store's word on it: the way of all of them. */
  async #settle(given: Ending): Promise<End> {
    const { batches } = this.#options
    for (let ending = given; ;) {
      let settled: Settled
      try {
        const made = this.#make(ending)
        settled = made instanceof Promise ? await this.#made(made, ending) : made
      } catch (error) {
        return { kind: this.#givesUp && mayPass(error) !== 'no' ? 'unwritten' : 'refused', error }
      }
      const verdict = await batches.write(settled.settlement)
      if (verdict === 'settled') return { kind: 'settled', ...settled }
      if (verdict === 'stale') return { kind: 'stale', error: settled.error }
      if (verdict !== 'cancel-asked') {
        return 'refused' in verdict
          ? { kind: 'refused', error: verdict.refused }
          : { kind: 'unwritten', error: verdict.unwritten }
      }
      ending = { ...ending, ...failed({ kind: 'cancelled' }) }
    }
  }

  /** Whether nothing is tried again. */
  get #givesUp(): boolean {
    return this.#gaveUp.signal.aborted || !this.#options.batches.isPatient
  }

  #make(ending: Ending): Settled | Promise<Settled> {
    const { ticks, time } = this.#options
    return makeSettlement(this.#options, ending, { now: time.now, ticks: ticks() })
  }

  /** Some settlements read the store first, which may be away for a while. */
  async #made(first: Promise<Settled>, ending: Ending): Promise<Settled> {
    const { clock } = this.#options.app.store
    for (let made: Settled | Promise<Settled> = first, times = 1; ; times++) {
      try {
        return await answered(clock, Promise.resolve(made))
      } catch (error) {
        const verdict = mayPass(error)
        const isFinal = verdict === 'no' || (verdict === 'maybe' && times > remake.times)
        if (isFinal || this.#givesUp) throw error
        const pauseMs = Math.min(remake.firstMs * 2 ** Math.min(times - 1, 10), remake.maxMs)
        await sleep(clock, pauseMs * (0.5 + Math.random() / 2), this.#gaveUp.signal)
        made = this.#make(ending)
      }
    }
  }

  /** Releases the lease of an attempt, and says how it ended. */
  #over(
    attempt: Attempt,
    end: End,
    outcome: Events['run-ended']['outcome'] | null = outcomeOf(attempt, end),
  ): End {
    const { app, worker, ticks, table, tellsRuns } = this.#options
    table.drop(attempt.lease)
    const { id, task } = attempt.job
    if (end.kind === 'refused')
      app.events.warn('settlement-refused', { id, task, error: end.error })
    if (!tellsRuns || outcome === null || !app.events.has('run-ended')) return end
    app.events.emit('run-ended', {
      ...factsOf(attempt, worker),
      outcome,
      durationMs: ticks() - (attempt.startedAt ?? 0),
      error: end.error,
      againMs:
        end.kind === 'settled' && end.decision.kind === 'requeue' ? end.decision.delayMs : null,
    })
    return end
  }

  /**
   * Leases of ended jobs are renewed as long as this event loop turns, however long the store takes; a process that hangs
   * before their settlements are written must not keep them.
   */
  #keepLater(): void {
    const { app, ticks, table } = this.#options
    this.#stopKeeping = app.store.clock.after(renewEveryMs(app.leaseMs), () => {
      this.#stopKeeping = null
      if (this.#pending === 0 || this.#gaveUp.signal.aborted) return
      table.keepEnded(ticks() + app.leaseMs)
      this.#keepLater()
    })
  }
}

const completed: Outcome = { kind: 'completed' }

const nobodys: End = { kind: 'stale', error: undefined }

function ofAttempt({ job, rules, startedAt, enqueued }: Attempt, ended: Ended): Ending {
  return { job, rules, begun: true, startedAt, enqueued, ...ended }
}

/** What `run-ended` calls the end; null for one that is not known. */
function outcomeOf(attempt: Attempt, end: End): Events['run-ended']['outcome'] | null {
  if (end.kind === 'stale') return 'stale'
  if (end.kind !== 'settled') return null
  const { decision } = end
  if (decision.kind === 'finish') return decision.state
  const { interruptions, postpones } = attempt.job.counters
  if (decision.counters.interruptions > interruptions) return 'interrupted'
  return decision.counters.postpones > postpones ? 'postponed' : 'retry'
}

/** What events say of a run. */
export function factsOf({ job }: Attempt, worker: string): Events['run-started'] {
  const { id, task, queue, counters } = job
  return { worker, id, task, queue, attempt: counters.attempts + 1 }
}

/** Whether a lease has ended. A read, so that it waits for no transaction that a handler holds open. */
async function isOver(store: Store, { id, token }: ClaimedJob): Promise<boolean> {
  const [job] = await answered(store.clock, store.get([id]))
  return job?.state !== 'running' || job.token !== token
}
