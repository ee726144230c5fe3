/**
 * One attempt at a job, as its worker sees it. Where the handler runs, the runner knows.
 *
 * Modes: new (it has a slot; its start may have to be written first) → running (`begin`) → aborted
 * (`abort`: the handler was asked to end) → stuck (it has ignored that for longer than the grace).
 * From each of them: left (`leave`: a process that exits gives it up, and its end counts for
 * nothing). The handler may end in any mode; from then on the attempt is the settler's.
 */
import { ErrandError } from '../core/errors.ts'
import type { LogLevel } from '../core/job.ts'
import type { CallEnd } from '../app/call-journal.ts'
import { stopDefaults } from '../loops/stop-defaults.ts'
import type { ClaimedJob, NewJob } from '../store/job.ts'
import type { JobNotes, Notes } from './notes.ts'
import type { Rules } from './rules.ts'
import type { AttemptCalls } from './calls.ts'
import {
  abortError,
  type AbortCause,
  type CallRequest,
  type Encoded,
  type RunResult,
  type Runner,
  type RunPort,
  type Running,
} from './runner.ts'

/** What attempts of one worker share. */
export interface AttemptServices {
  readonly notes: Pick<Notes, 'of'>
  /** Settles an attempt as completed inside the user's transaction. */
  readonly completeIn: (tx: unknown, attempt: Attempt, output: Encoded) => Promise<void>
  /** Makes what its calls need. Throws where no calls can be made. */
  readonly callsOf: (attempt: Attempt) => AttemptCalls
}

/** The place of an attempt in a worker. */
export interface Seat {
  /** It needs none any more, or for now. */
  leave(): void
  /** Whether it may take one again. */
  readonly isFree: boolean
  /** Takes one again. */
  take(): void
}

/** A claimed job, with its place in the lease table, and what holds for it. */
export interface AttemptSetup {
  readonly job: ClaimedJob
  readonly lease: number
  readonly rules: Rules
  /** Null for one that no worker has. */
  readonly seat: Seat | null
}

/** The first abort. */
interface Aborted {
  readonly cause: AbortCause
  readonly at: number
  /** Until when a stop lets it end; 0 when it does not. */
  mayEndUntil: number
}

const nothing: readonly NewJob[] = []

export class Attempt implements RunPort {
  readonly job: ClaimedJob
  readonly lease: number
  readonly rules: Rules
  readonly seat: Seat | null
  readonly #services: AttemptServices
  #enqueued: NewJob[] | null = null
  #mode: 'new' | 'running' | 'aborted' | 'stuck' | 'left' = 'new'
  #running: Running | null = null
  #startedAt: number | null = null
  #aborted: Aborted | null = null
  #isLeaseLost = false
  #completed: Encoded | null = null
  #notes: JobNotes | null = null
  #calls: AttemptCalls | null = null
  /** Since when it waits for calls; null when it does not. */
  #restsSince: number | null = null
  /** How long it has waited for calls in all. */
  #restedMs = 0
  #againMs: number | null = null

  constructor({ job, lease, rules, seat }: AttemptSetup, services: AttemptServices) {
    this.job = job
    this.lease = lease
    this.rules = rules
    this.seat = seat
    this.#services = services
  }

  /** When the handler was started, by the worker's ticks; null before. */
  get startedAt(): number | null {
    return this.#startedAt
  }

  /** When it times out; `Infinity` for never, and once it was asked to end. */
  get timesOutAt(): number {
    return this.#mode === 'running' ? this.endsAt : Infinity
  }

  /** When it would time out; `Infinity` for never, and while it waits for calls. */
  get endsAt(): number {
    const { timeoutMs } = this.rules.policy
    if (timeoutMs === null || this.#startedAt === null || this.#restsSince !== null) return Infinity
    return this.#startedAt + timeoutMs + this.#restedMs
  }

  /** For how long it is put back if it ends as interrupted; null for not at all. */
  get againMs(): number | null {
    return this.#againMs
  }

  /** Whether it may wait without its slot. */
  get mayRest(): boolean {
    return this.#mode === 'running'
  }

  /** When it counts as stuck; `Infinity` unless it was asked to end, and once it is. */
  get stuckAt(): number {
    if (this.#mode !== 'aborted' || this.#aborted === null) return Infinity
    return Math.max(this.#aborted.at + stopDefaults.abortGraceMs, this.#aborted.mayEndUntil)
  }

  get isStuck(): boolean {
    return this.#mode === 'stuck'
  }

  get isLeft(): boolean {
    return this.#mode === 'left'
  }

  /** Whether its lease is known to be someone else's. */
  get isLeaseLost(): boolean {
    return this.#isLeaseLost
  }

  /** Whether a stop lets it end in its own time: then its timeout means nothing any more. */
  get hasTimeToEnd(): boolean {
    return this.#aborted !== null && this.#aborted.mayEndUntil > 0
  }

  /** Jobs to insert with the settlement. */
  get enqueued(): readonly NewJob[] {
    return this.#enqueued ?? nothing
  }

  /** Whether `job.complete` was called: the settlement went with the user's transaction. */
  get isCompletedInTx(): boolean {
    return this.#completed !== null
  }

  /**
   * What the run has noted and the store has not: its settlement follows. Null when there is none.
   */
  get unwritten(): JobNotes | null {
    return this.#notes?.isUnwritten === true ? this.#notes : null
  }

  /** Its calls whose records are on their way: its settlement follows. Null when there are none. */
  get unwrittenCalls(): Promise<unknown> | null {
    return this.#calls?.unwritten ?? null
  }

  /** Starts the handler. Resolves with what it came to. */
  begin(runner: Runner, now: number): Promise<RunResult> {
    const { definition, policy } = this.rules
    if (definition === null) throw new TypeError(`${this.job.task} has no definition`)
    if (this.#mode === 'new') this.#mode = 'running'
    this.#startedAt = now
    const { timeoutMs } = policy
    const { job } = this
    const run = {
      job,
      definition,
      timeoutMs,
      aborted: this.#aborted?.cause ?? null,
      endsAt: this.endsAt,
    }
    this.#running = runner.run(run, this)
    return this.#running.ended
  }

  /** Asks the handler to end. The first cause stays, but a lost lease is always remembered. */
  abort(cause: AbortCause, now: number, mayEndUntil = 0): void {
    if (cause === 'lease-lost') this.#isLeaseLost = true
    if (this.#mode === 'left') return
    if (this.#aborted !== null) {
      this.#aborted.mayEndUntil = Math.max(this.#aborted.mayEndUntil, mayEndUntil)
      return
    }
    this.#mode = 'aborted'
    this.#aborted = { cause, at: now, mayEndUntil }
    this.#running?.abort(cause)
    this.#calls?.abort(abortError(cause, this.job, this.rules.policy.timeoutMs))
  }

  /** Its time stands still from now on. */
  rest(now: number): void {
    this.#restsSince = now
    this.#running?.endsAt(this.endsAt)
  }

  /** Its time goes on. */
  goOn(now: number): void {
    if (this.#restsSince === null) return
    this.#restedMs += now - this.#restsSince
    this.#restsSince = null
    this.#running?.endsAt(this.endsAt)
  }

  /** Asks the handler to end, and has the job run again after this time. */
  putBack(now: number, againMs: number): void {
    this.#againMs = againMs
    this.abort('interrupted', now)
  }

  /** Its handler has ended. What the run held may go, although the settlement takes a while. */
  end(): void {
    this.#running = null
    this.#calls?.abort(
      new ErrandError('lease-lost', `${this.job.task} ${this.job.id} has ended before its call.`),
    )
  }

  /** The handler has ignored its abort. */
  stick(): void {
    this.#mode = 'stuck'
  }

  /** Gives it up. */
  leave(): void {
    this.#mode = 'left'
  }

  progress(json: string): void {
    this.#noted.progress(json)
  }

  log(level: LogLevel, text: string): void {
    this.#noted.log(level, text)
  }

  enqueue(job: NewJob): void {
    this.#enqueued ??= []
    this.#enqueued.push(job)
  }

  async call(request: CallRequest): Promise<CallEnd> {
    if (this.#calls === null) {
      const calls = this.#services.callsOf(this)
      const { cause } = this.#aborted ?? {}
      if (cause !== undefined) calls.abort(abortError(cause, this.job))
      this.#calls = calls
    }
    return this.#calls.make(request)
  }

  async complete(tx: unknown, output: Encoded): Promise<void> {
    await this.#services.completeIn(tx, this, output)
    this.#completed = output
  }

  get #noted(): JobNotes {
    return (this.#notes ??= this.#services.notes.of(this.job))
  }
}
