/** The hot path: what a worker calls. */
import type { Counters, FinalState, LogLevel } from '../core/job.ts'
import type { Inserted } from './intake.ts'
import type { ClaimedJob, Keep, NewJob } from './job.ts'
import type { WorkerRecord } from './registry.ts'

export interface WorkerCalls {
  /** Promotes what is due, then leases ready jobs of queues that are not paused, in order, in one step. */
  claim(request: ClaimRequest): Promise<Claimed & NextDue>
  /** Writes decisions. Any subset of a claim, in any order; follow-ups are inserted only if their settlement is accepted. */
  settle(settlements: readonly Settlement[], tx?: unknown): Promise<readonly SettleAnswer[]>
  /** Extends the named leases to `leaseMs` from now; extends nothing else. */
  renew(leases: readonly LeaseRef[], leaseMs: number): Promise<readonly RenewAnswer[]>
  /** Writes starts, progress and log lines of running jobs. Progress and log lines are telemetry: what is lost is not sent again. */
  note(notes: readonly Note[]): Promise<readonly NoteAnswer[]>
  /**
   * Writes records of runs: durable, fenced by the lease, and awaited before the run goes on. A record replaces that of the same
   * name, and inserts the jobs that it carries in the same step. A later attempt reads them with `recorded`; they are removed with
   * the job. Records with unique jobs go in calls of their own, so that a held key keeps no others waiting.
   */
  record(records: readonly RunRecord[]): Promise<readonly RecordAnswer[]>
  /** Leases anew what expired, what waits past its `startBy` or `deadlineAt` or for no time that can be read, if its task is listed. */
  rescue(request: RescueRequest): Promise<Claimed>
  /** Writes the worker's heartbeat and returns what it should know; called each few seconds and once with `stopped` at the end. */
  tend(worker: WorkerRecord): Promise<Tended>
  /**
   * Calls back when something may have happened. Only a hint: it may come late, twice, for nothing,
   * or never. `wanted` names the hints that matter to the caller, all by default: a store may spare
   * itself the others.
   */
  watch(on: (hint: Hint) => void, wanted?: readonly Hint[]): Unwatch
}

export interface ClaimRequest {
  /** Id of the worker. */
  readonly worker: string
  /** Queues in the order in which they are asked, with the most jobs each may give. */
  readonly queues: readonly { readonly name: string; readonly limit: number }[]
  /** The most jobs from each queue that is not named; 0 for named queues only. */
  readonly others: number
  /** The most jobs in all. */
  readonly limit: number
  readonly leaseMs: number
  /**
   * A job that was lost is a suspect: it is claimed alone, with its start already written. This is the highest loss count
   * of a suspect that the caller can start at once; null when it can start none.
   */
  readonly maxLosses: number | null
  /**
   * An id that the caller made, for a call whose answer may get lost: repeated within `leaseMs`, the call returns the jobs of the
   * first that are still under its lease, and claims no others. Null for a call that is not repeated.
   */
  readonly id: string | null
}

export interface Claimed {
  /** The store's clock. */
  readonly now: number
  readonly jobs: readonly ClaimedJob[]
  /** Whether it stopped because the inputs hold `handedBytes`, in bytes or characters: then there may be more jobs. */
  readonly cut: boolean
}

/** Included in every answer that a worker gets before it goes idle, so that it can sleep until then without asking again. */
export interface NextDue {
  /** Milliseconds until the next scheduled job is due, in whatever queue; null when there is none. */
  readonly nextDueMs: number | null
}

export interface LeaseRef {
  readonly id: string
  readonly token: number
}

export type Settlement = Finish | Requeue

interface Settling extends LeaseRef {
  /** Whether a cancel that was asked for wins: then the answer is `cancel-asked` and nothing changes. */
  readonly yieldsToCancel: boolean
  readonly counters: Counters
  /** The encoded attempt to append to the job's history, or null. */
  readonly attempt: string | null
  readonly followUps: readonly NewJob[]
}

/** Ends the job. */
export interface Finish extends Settling {
  readonly kind: 'finish'
  readonly state: FinalState
  /** Encoded output of a completed job. */
  readonly output: string | null
  /** Why it ended so; null for completed jobs. */
  readonly reason: string | null
  readonly keepMs: Keep
  /** How long ago the run began; the record shows it unless the start was noted before. Null for a job that was not run. */
  readonly startedAgoMs: number | null
}

/** Puts the job back: retry, postpone, give-back, loss, interruption, deferral. */
export interface Requeue extends Settling {
  readonly kind: 'requeue'
  /** 0 makes it ready now. */
  readonly delayMs: number
  /** `keep` leaves its place in the line, `due` lines it up by its new due time. */
  readonly place: 'keep' | 'due'
  /** Whether the run had begun, so that `startBy` no longer matters. */
  readonly started: boolean
  /** Whether the job was lost and is claimed alone from now on. */
  readonly suspect: boolean
}

/**
 * `settled` is also the answer to the repeat of an accepted settlement, while the job is known. `held` changed nothing, because a
 * user's transaction which is still open holds what it needs, such as the key of a follow-up: settle it again soon. Never with `tx`.
 */
export type SettleAnswer = 'settled' | 'stale' | 'cancel-asked' | 'held'
export type RenewAnswer = 'renewed' | 'stale' | 'cancel-asked'
export type NoteAnswer = 'noted' | 'stale'
/** What became of the jobs that a record carries, in their order; `recorded` for one that carries none. */
export type RecordAnswer = 'recorded' | 'stale' | readonly Inserted[]

export type Note = LeaseRef &
  (
    | { readonly kind: 'start'; readonly agoMs: number }
    | { readonly kind: 'progress'; readonly value: string }
    | {
        readonly kind: 'log'
        readonly agoMs: number
        readonly level: LogLevel
        readonly text: string
      }
  )

/** One durable record of a run, such as the output of a step, or a call with the job that it makes. */
export interface RunRecord extends LeaseRef {
  readonly name: string
  readonly text: string
  /** Jobs to insert with it: none of them, if it is stale. On Redis they lie as follow-ups of the job would. */
  readonly jobs?: readonly NewJob[]
}

export interface RescueRequest {
  readonly worker: string
  readonly tasks: readonly string[]
  readonly limit: number
  readonly leaseMs: number
}

export interface Tended extends NextDue {
  readonly now: number
  /** Names of all paused queues. */
  readonly paused: readonly string[]
  /** Whether a queue that is not paused has ready work. */
  readonly ready: boolean
  /** Whether leases have expired, or waiting jobs are overdue. */
  readonly sweepDue: boolean
  /** Whether finished jobs have outlived their retention. */
  readonly pruneDue: boolean
}

export type Hint = 'work' | 'cancel' | 'paused' | 'finished' | 'lock' | 'record'
export type Unwatch = () => void
