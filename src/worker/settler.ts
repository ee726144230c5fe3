/**
 * Ends jobs: the one agent that takes a job from its outcome to the store's word on it, whoever had
 * the job: a slot, a buffer, a rescue, an inline run, a user's transaction.
 *
 * Modes of an ending: made (its settlement, which may have to read the store first, and is made
 * again while that fails) → written → settled or stale, which is its end. When a cancel was asked
 * for meanwhile, it is made anew as cancelled. When the store can never take it, an attempt is made
 * anew as failed, without what it carried; if that is refused as well, or nothing can be made anew,
 * the lease runs out.
 */
import type { App } from '../app/app.ts'
import { hasOpenCalls } from '../app/call-journal.ts'
import { cancelCalls, hasRun } from '../app/cancel.ts'
import type { Client } from '../client/client.ts'
import { sleep } from '../core/clock.ts'
import type { Outcome } from '../core/decide.ts'
import { ErrandError } from '../core/errors.ts'
import type { Rescued } from '../keeper/rescuer.ts'
import { renewEveryMs } from '../loops/renew-interval.ts'
import type { StoreTime } from '../loops/store-time.ts'
import { answered } from '../loops/call-deadline.ts'
import { mayPass } from '../loops/supervised.ts'
import type { Ticks } from '../loops/time.ts'
import type { Events } from '../observe/events.ts'
import type { ClaimedJob } from '../store/job.ts'
import type { Store } from '../store/store.ts'
import type { Attempt } from './attempt.ts'
import type { Held, LeaseTable } from './lease-table.ts'
import type { RulesOf } from './rules.ts'
import { failed, type Encoded, type RunResult } from './runner.ts'
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
  readonly time: Pick<StoreTime, 'at'>
  /** Whether to emit `run-ended`: not for inline runs. */
  readonly tellsRuns: boolean
}

/** What became of an ending. */
export type End =
  | { readonly kind: 'settled'; readonly settled: Settled }
  /** The job is someone else's. `error` is that of the outcome. */
  | { readonly kind: 'stale'; readonly error: unknown }
  /** Its transaction has committed. */
  | { readonly kind: 'committed' }
  /** The store can never take it. */
  | { readonly kind: 'refused'; readonly error: unknown }
  /** It was given up. */
  | { readonly kind: 'unwritten'; readonly error: unknown }

/** Called with what became of an ending. */
type Over = (end: End) => void

/** What to do when the store can never take it: fail it without what it carried, or leave it. */
type IfRefused = 'fail' | 'leave'

/**
 * How often a settlement is made again while the store does not tell what it needs, from this pause
 * on.
 */
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
   * Ends an attempt once its handler has ended, unless it was given up before. Its slot is `free`
   * as soon as the settlement is handed in; `over` is called with what became of it.
   */
  async end(
    attempt: Attempt,
    run: Promise<RunResult>,
    free: () => void,
    over?: Over,
  ): Promise<void> {
    const ended = await run
    if (attempt.isLeft) return
    attempt.end()
    const isWritten = attempt.unwritten === null && attempt.unwrittenCalls === null
    const isPlain = isWritten && !attempt.isCompletedInTx
    if (isPlain) this.#endAttempt(attempt, ended, over)
    else void this.#endSlowly(attempt, ended, over)
    free()
  }

  /**
   * Gives an attempt up whose handler goes on, in a process that exits: its lease is free for
   * others as soon as this is written.
   */
  endLeft(attempt: Attempt, outcome: Outcome): void {
    this.#endAttempt(attempt, failed(outcome))
  }

  /** Ends a held job that does not run here. */
  endHeld({ job, lease }: Held, outcome: Outcome): void {
    const { app, table } = this.#options
    this.#settle(this.#notRun(job, outcome, false), 'leave', (end) => {
      table.drop(lease)
      if (end.kind !== 'refused') return
      app.events.warn('settlement-refused', { id: job.id, task: job.task, error: end.error })
    })
  }

  /**
   * Ends a rescued job; null when it is no longer this worker's, or the worker gives up. Rejects
   * when the store refuses.
   */
  async endRescued(job: ClaimedJob, outcome: Outcome): Promise<Rescued | null> {
    const ending = this.#notRun(job, outcome, job.startedAt !== null)
    const end = await new Promise<End>((over) => this.#settle(ending, 'leave', over))
    if (end.kind === 'refused') throw end.error
    if (end.kind !== 'settled' || job.why === 'ready') return null
    const { decision } = end.settled
    const why = ending.rules.isReadable ? job.why : 'unreadable'
    if (decision.kind === 'finish') return { why, to: decision.state }
    return { why, to: decision.delayMs > 0 ? 'scheduled' : 'ready' }
  }

  /**
   * Settles an attempt as completed inside the user's transaction; it stays ours until that
   * commits.
   */
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

  /** The rare ends: notes or calls to write first, a settlement that went with a transaction. */
  async #endSlowly(attempt: Attempt, ended: RunResult, over?: Over): Promise<void> {
    this.#pending++
    try {
      await attempt.unwritten?.flush()
      await attempt.unwrittenCalls
      const left = attempt.isCompletedInTx ? await this.#afterComplete(attempt, ended) : ended
      if ('kind' in left) this.#over(attempt, left, over)
      else this.#endAttempt(attempt, left, over)
    } finally {
      this.#pending--
    }
  }

  /** What is left to settle after `job.complete`, or the end that its transaction was. */
  async #afterComplete(attempt: Attempt, ended: RunResult): Promise<RunResult | End> {
    const { app } = this.#options
    const { id, token, task } = attempt.job
    const { outcome } = ended
    try {
      const call = app.store.renew([{ id, token }], app.leaseMs)
      const [answer] = await answered(app.store.clock, call)
      if (answer === 'stale') {
        // It has committed, and the job is completed, whatever the handler came to after that.
        if ('error' in outcome)
          app.events.warn('failed-after-complete', { id, task, error: outcome.error })
        return { kind: 'committed' }
      }
    } catch (error) {
      // The lease runs out by itself, and then the store knows whether the transaction committed.
      app.events.warn('commit-unknown', { id, task, error })
      return { kind: 'unwritten', error }
    }
    // What the handler threw, or why it was aborted, says more than that the transaction did not
    // commit.
    if (outcome.kind !== 'completed') return ended
    const error = new ErrandError(
      'not-committed',
      'job.complete() was called, but its transaction has not committed.',
    )
    return failed({ kind: 'failed', reason: 'not-committed', error })
  }

  #endAttempt(attempt: Attempt, ended: RunResult, over?: Over): void {
    const { app, table, ticks } = this.#options
    if (attempt.isLeaseLost) return this.#over(attempt, { kind: 'stale', error: undefined }, over)
    table.end(attempt.lease, ticks() + app.leaseMs)
    if (this.#stopKeeping === null) this.#keepLater()
    this.#settle(ofAttempt(attempt, ended), 'fail', (end) => this.#over(attempt, end, over))
  }

  /**
   * The end of a job that did not run here. Whatever was to become of it, one that cannot be read
   * is failed.
   */
  #notRun(job: ClaimedJob, outcome: Outcome, begun: boolean): Ending {
    const rules = this.#options.rulesOf(job)
    const ended = failed(rules.isReadable ? outcome : unreadable)
    return { job, rules, begun, startedAt: null, enqueued: [], ...ended }
  }

  /**
   * From an ending to the store's word on it: the way of all of them. What is refused is failed, or
   * left to its lease.
   */
  #settle(ending: Ending, ifRefused: IfRefused, over: Over): void {
    this.#pending++
    let made: Settled | Promise<Settled>
    try {
      made = this.#make(ending)
    } catch (error) {
      return this.#unmade(ending, error, ifRefused, over)
    }
    if (!(made instanceof Promise)) return this.#write(ending, made, ifRefused, over)
    void this.#made(made, ending).then(
      (settled) => this.#write(ending, settled, ifRefused, over),
      (error: unknown) => this.#unmade(ending, error, ifRefused, over),
    )
  }

  #write(ending: Ending, settled: Settled, ifRefused: IfRefused, over: Over): void {
    this.#options.batches.write(settled.settlement, (verdict) => {
      this.#pending--
      if (verdict === 'settled') return over({ kind: 'settled', settled })
      if (verdict === 'stale') return over({ kind: 'stale', error: settled.error })
      if (verdict === 'cancel-asked') {
        return this.#settle({ ...ending, ...failed({ kind: 'cancelled' }) }, ifRefused, over)
      }
      if ('unwritten' in verdict) return over({ kind: 'unwritten', error: verdict.unwritten })
      this.#refused(ending, verdict.refused, ifRefused, over)
    })
  }

  #unmade(ending: Ending, error: unknown, ifRefused: IfRefused, over: Over): void {
    this.#pending--
    if (this.#givesUp && mayPass(error) !== 'no') return over({ kind: 'unwritten', error })
    this.#refused(ending, error, ifRefused, over)
  }

  #refused(ending: Ending, error: unknown, ifRefused: IfRefused, over: Over): void {
    if (ifRefused === 'leave') return over({ kind: 'refused', error })
    const outcome: Outcome = { kind: 'unrecoverable', reason: 'error', error }
    this.#settle({ ...ending, ...failed(outcome) }, 'leave', over)
  }

  /** Whether nothing is tried again. */
  get #givesUp(): boolean {
    return this.#gaveUp.signal.aborted || !this.#options.batches.isPatient
  }

  #make(ending: Ending): Settled | Promise<Settled> {
    const { store } = this.#options.app
    const { job, rules, outcome, begun } = ending
    // Before its records may go with it.
    if (outcome.kind === 'cancelled' && (begun || hasRun(job.counters)))
      return cancelCalls(store, job.id).then(() => this.#makeNow(ending))
    if (outcome.kind !== 'lost' || !begun || rules.policy.losses === 0) return this.#makeNow(ending)
    return hasOpenCalls(store, job.id).then((waited) =>
      this.#makeNow({ ...ending, outcome: { kind: 'lost', waited } }),
    )
  }

  #makeNow(ending: Ending): Settled | Promise<Settled> {
    const { ticks, time } = this.#options
    const now = ticks()
    return makeSettlement(this.#options, ending, { now: time.at(now), ticks: now })
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
  #over(attempt: Attempt, end: End, over: Over | undefined): void {
    const { app, worker, ticks, time, table, tellsRuns } = this.#options
    table.drop(attempt.lease)
    over?.(end)
    const { id, task } = attempt.job
    if (end.kind === 'refused')
      app.events.warn('settlement-refused', { id, task, error: end.error })
    if (!tellsRuns || !app.events.has('run-ended')) return
    const outcome = outcomeOf(attempt, end)
    if (outcome === null) return
    const now = ticks()
    const { job, startedAt } = attempt
    const { counters } = job
    const durationMs = now - (startedAt ?? now)
    const decision = end.kind === 'settled' ? end.settled.decision : null
    const isOver = end.kind === 'committed' || decision?.kind === 'finish'
    app.events.emit('run-ended', {
      worker,
      id,
      task,
      queue: job.queue,
      attempt: counters.attempts + 1,
      outcome,
      durationMs,
      waitMs: hasRun(counters) ? null : Math.max(0, time.at(now - durationMs) - job.dueAt),
      totalMs: isOver ? Math.max(0, time.at(now) - job.createdAt) : null,
      error: end.kind === 'settled' ? end.settled.error : 'error' in end ? end.error : undefined,
      againMs: decision?.kind === 'requeue' ? decision.delayMs : null,
    })
  }

  /**
   * Leases of ended jobs are renewed as long as this event loop turns, however long the store
   * takes; a process that hangs before their settlements are written must not keep them.
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

function ofAttempt(attempt: Attempt, { outcome, output, value }: RunResult): Ending {
  const { job, rules, startedAt, enqueued, againMs } = attempt
  const isPutBack = outcome.kind === 'interrupted' && againMs !== null
  const said = isPutBack ? { ...outcome, delayMs: againMs } : outcome
  return { job, rules, begun: true, startedAt, enqueued, outcome: said, output, value }
}

/** What `run-ended` calls the end; null for one that is not known. */
function outcomeOf(attempt: Attempt, end: End): Events['run-ended']['outcome'] | null {
  if (end.kind === 'stale') return 'stale'
  if (end.kind === 'committed') return 'completed'
  if (end.kind !== 'settled') return null
  const { decision } = end.settled
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

/**
 * Whether a lease has ended. A read, so that it waits for no transaction that a handler holds open.
 */
async function isOver(store: Store, { id, token }: ClaimedJob): Promise<boolean> {
  const [job] = await answered(store.clock, store.get([id]))
  return job?.state !== 'running' || job.token !== token
}
