/**
 * The boundary between Errand and the places where jobs live.
 *
 * A store is a dumb, atomic, batch-first executor: it carries out what the pure functions of `core/` decided
 * and decides nothing itself. Payloads are opaque text to it. Every stored time is the store's own: callers
 * hand in delays in milliseconds, and only `runAt` is absolute. `errand/conformance` proves an implementation.
 *
 * These rules hold:
 * - Every call is a batch and answers in the order of its arguments.
 * - Every transition of a running job is a compare-and-set on (id, token). A stale caller gets `'stale'` and changes nothing.
 * - Texts are well-formed Unicode without NUL, names and keys have no control characters: callers see to it, and a store need not look.
 * - A transition is one atomic step: state, counters, output, follow-ups, unique key, needs.
 * - What could not be read back is refused with `invalid-option`, the whole call, before it has written anything. Times are whole
 *   milliseconds up to 100 years, `runAt` at most as far from now, priorities −1000…1000, counters whole numbers from 0.
 * - What cannot be read all the same, since something else wrote it, is handed out as `unreadable`, and no call fails because of it.
 */
import type { Clock } from './core/clock.ts'
import type { Counters, FinalState, JobState, LogLevel } from './core/job.ts'
import type { Locking } from './core/lock.ts'
import type { Warning } from './core/warning.ts'
import type { Operators } from './store/operators.ts'
import type { Readers } from './store/readers.ts'

export type * from './store/operators.ts'
export type * from './store/readers.ts'

/** Everything a store offers, put together from what its users need. */
export interface Store extends Intake, Runs, Readers, Operators, Coordination, Locking {
  readonly info: StoreInfo
  readonly clock: Clock
  /** How a thread or another process of this program opens the same store; null when it cannot (a live client was handed in). */
  readonly connector: Connector | null
  /** Creates or upgrades what the store needs; safe from many processes at once. Other calls do it themselves when it is missing. */
  setup(): Promise<void>
  /** Asks what puts jobs at risk here, or slows them; `'try'` also tries out what takes seconds, for `doctor`. */
  warnings(how: 'ask' | 'try'): Promise<readonly Warning[]>
  /** Lets go of connections, files and timers. Later calls reject with `closed`. */
  close(): Promise<void>
}

export interface StoreInfo {
  /** `'memory'`, `'sqlite'`, `'postgres'`, `'redis'`, `'http'`, or the name of someone's own. */
  readonly kind: string
  /** Where it is, without credentials. */
  readonly location: string
  /** What survives when `enqueue` has resolved, in a few words. */
  readonly durability: string
  /** Whether its calls go one after another, so that those sent at once only wait for each other; false when left out. */
  readonly serial?: boolean
}

/** Names a module whose `connect(argument)` answers the same store again. Both parts can be sent to a thread. */
export interface Connector {
  /** The URL of a file that does nothing else when it is imported; null where there is none, as in a bundle. */
  readonly module: string | null
  readonly argument: unknown
}

/** The one door for new work. */
export interface Intake {
  /**
   * Adds jobs, each atomically; with `tx` the batch belongs to the caller's own transaction. One job that is `held` does not keep the
   * others of the call waiting. Repeating the insert of an id adds nothing
   * while the job is known, nor later where a store itself sends a call again; else it rejects with `unknown-outcome`.
   */
  insert(jobs: readonly NewJob[], tx?: unknown): Promise<readonly InsertAnswer[]>
}

/** A job as it enters a store. */
export interface NewJob {
  /** UUIDv7. */
  readonly id: string
  readonly task: string
  readonly queue: string
  /** −1000…1000, lower runs first. */
  readonly priority: number
  /** Encoded input. */
  readonly input: string
  /** Name of the codec of input, output and errors; null for plain JSON. */
  readonly codec: string | null
  /** The call's own options as JSON; null when it gave none. The store only keeps it. */
  readonly options: string | null
  /** The job whose settlement or handler inserted this one. */
  readonly parent: string | null
  /** Due this long after the insert, by the store's clock; 0 is now. Not used when `runAt` is set. */
  readonly delayMs: number
  /** Due at this time; null for `delayMs`. */
  readonly runAt: number | null
  /** The first attempt must start this long after the first due time; null for no bound. */
  readonly startWithinMs: number | null
  /** Retries end this long after the insert; null for no bound. */
  readonly deadlineMs: number | null
  /** How long to keep the job if it is cancelled before it runs. */
  readonly keepCancelledMs: Keep
  readonly unique: UniqueRule | null
  /** Jobs that must be final before this one is due. Without any, the job is never `blocked`. */
  readonly needs: readonly Need[]
  /** Inserts the job as running under a lease of the caller, for inline runs; null for the ordinary way. */
  readonly lease: { readonly worker: string; readonly leaseMs: number } | null
}

/** Milliseconds to keep a finished job: 0 removes it at once, null keeps it for ever. */
export type Keep = number | null

/** At most one job holds a unique key. It is held while the job is in a listed state, and at least until `forMs` after the insert. */
export interface UniqueRule {
  readonly key: string
  readonly during: readonly JobState[]
  readonly forMs: number | null
  /**
   * `replace` gives a waiting holder this job's input, options, priority, due time and clocks. It is new work: it starts with fresh
   * counters. The holder keeps its id, its errors, and, if it was due and still is, its place.
   */
  readonly onConflict: 'skip' | 'replace'
  /** A holder that is replaced is due no later than this after its own insert, or at once where that has passed; null for no bound. */
  readonly maxWaitMs: number | null
}

/** An edge of a workflow: this job waits for `id`. A need that is cancelled, discarded, failed or unknown has failed. */
export interface Need {
  readonly id: string
  readonly onFailed: 'cancel' | 'run'
}

export type InsertAnswer = Inserted | NotInserted

/** What became of one insert. `duplicate` and `replaced` answer the id of the job that holds the key. */
export interface Inserted {
  readonly id: string
  readonly status: 'created' | 'duplicate' | 'replaced'
  /** The lease's token when the job was inserted as running, else null. */
  readonly token: number | null
}

/**
 * A job that was not stored, because a transaction of a user which is still open holds what it needs, mostly by taking the same key, or
 * because it needs such a job of its call: insert them again soon. Never answered with `tx`.
 */
export interface NotInserted {
  readonly id: string
  readonly status: 'held'
  readonly token: null
}

/** The hot path: what a worker calls. */
export interface Runs {
  /** Promotes what is due, then leases ready jobs of queues that are not paused, in order, in one step. */
  claim(request: ClaimRequest): Promise<Claimed & NextDue>
  /** Writes decisions. Any subset of a claim, in any order; follow-ups are inserted only if their settlement is accepted. */
  settle(settlements: readonly Settlement[], tx?: unknown): Promise<readonly SettleAnswer[]>
  /** Extends the named leases to `leaseMs` from now; extends nothing else. */
  renew(leases: readonly LeaseRef[], leaseMs: number): Promise<readonly RenewAnswer[]>
  /** Writes starts, progress and log lines of running jobs. */
  note(notes: readonly Note[]): Promise<readonly NoteAnswer[]>
  /** Leases anew what expired, what waits past its `startBy` or `deadlineAt` or for no time that can be read, if its task is listed. */
  expired(request: ExpiredRequest): Promise<Claimed>
  /** Writes the worker's heartbeat and answers what it should know; called each few seconds and once with `stoppedAt` at the end. */
  tend(worker: WorkerRecord): Promise<Tended>
  /** Calls back when something may have happened. Only a hint: it may come late, twice, for nothing, or never. */
  watch(on: (hint: Hint) => void): Unwatch
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
   * of a suspect that the caller can start at once; −1 when it can start none.
   */
  readonly suspects: number
}

export interface Claimed {
  /** The store's clock. */
  readonly now: number
  readonly jobs: readonly ClaimedJob[]
  /** Whether it stopped since the inputs hold `handedBytes`, in bytes or characters: then there may be more jobs. */
  readonly cut: boolean
}

/** Told wherever a worker may be about to rest, so that it rests until then and needs no call to learn of it. */
export interface NextDue {
  /** Milliseconds until the next scheduled job is due, in whatever queue; null when there is none. */
  readonly nextDueMs: number | null
}

/** A leased job: all that is needed to run it and to decide what comes next. */
export interface ClaimedJob {
  readonly id: string
  /**
   * The fencing number: greater than any that the store gave before, and no more than a second behind its clock in microseconds, so that none
   * comes twice, even after a crash, a fail-over or a restored copy took back what was written.
   */
  readonly token: number
  readonly task: string
  readonly queue: string
  readonly priority: number
  readonly input: string
  readonly codec: string | null
  readonly options: string | null
  readonly parent: string | null
  readonly uniqueKey: string | null
  readonly createdAt: number
  readonly dueAt: number
  readonly startBy: number | null
  readonly deadlineAt: number | null
  readonly counters: Counters
  /** When this lease's run, or the expired one before it, was written as started; null when it was not. */
  readonly startedAt: number | null
  readonly cancelAsked: boolean
  /** `claim` gives `ready`, `expired` another; both `unreadable`, for the caller to fail it, when values here stand for what cannot be read. */
  readonly why: 'ready' | 'lost' | 'overdue' | 'unreadable'
}

export interface LeaseRef {
  readonly id: string
  readonly token: number
}

export type Settlement = Finish | Again

interface Settling extends LeaseRef {
  /** Whether a cancel that was asked for wins: then the answer is `cancel-asked` and nothing changes. */
  readonly yieldsToCancel: boolean
  readonly counters: Counters
  /** An encoded error to append to the job's history, or null. */
  readonly error: string | null
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
export interface Again extends Settling {
  readonly kind: 'again'
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
 * `settled` also answers the repeat of an accepted settlement, while the job is known. `held` changed nothing, because a transaction of a user
 * which is still open holds what it needs, such as the key of a follow-up: settle it again soon. Never answered with `tx`.
 */
export type SettleAnswer = 'settled' | 'stale' | 'cancel-asked' | 'held'
export type RenewAnswer = 'renewed' | 'stale' | 'cancel-asked'
export type NoteAnswer = 'noted' | 'stale'

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

export interface ExpiredRequest {
  readonly worker: string
  readonly tasks: readonly string[]
  readonly limit: number
  readonly leaseMs: number
}

/** A worker as the registry shows it. Kept 24 hours after its end. */
export interface WorkerRecord {
  readonly id: string
  readonly host: string
  readonly pid: number
  readonly version: string
  readonly queues: readonly string[]
  readonly slots: number
  /** Ids of the jobs that it runs, at most 100. */
  readonly running: readonly string[]
  /** By the store's clock; the store fills `lastSeenAt` itself. */
  readonly startedAt: number
  readonly lastSeenAt: number
  readonly stopped: boolean
}

export interface Tended extends NextDue {
  readonly now: number
  /** Names of all paused queues. */
  readonly paused: readonly string[]
  /** Whether a queue that is not paused has ready work. */
  readonly ready: boolean
  /** Whether leases have expired, or waiting jobs are overdue. */
  readonly sweep: boolean
  /** Whether finished jobs have outlived their retention. */
  readonly prune: boolean
}

export type Hint = 'work' | 'cancel' | 'paused' | 'finished' | 'lock' | 'record'
export type Unwatch = () => void

export interface Coordination {
  /** Keeps queues from giving jobs. */
  pause(queues: readonly string[]): Promise<void>
  resume(queues: readonly string[]): Promise<void>
  /** Queues that hold a job, in whatever state, or are paused. No other name is remembered. */
  queues(): Promise<readonly { readonly name: string; readonly paused: boolean }[]>
  workers(): Promise<readonly WorkerRecord[]>
  /** Adds or replaces entries of the tasks registry. */
  registerTasks(tasks: readonly RegisteredTask[]): Promise<void>
  tasks(): Promise<readonly RegisteredTask[]>
}

/** What the registry tells about a task to those who do not have its code. */
export interface RegisteredTask {
  readonly name: string
  readonly aliases: readonly string[]
  readonly queue: string
  /** JSON Schema of the input as text; null when the schema library gives none. */
  readonly inputSchema: string | null
  /** The task's and its queue's options that hold at enqueue, as JSON. */
  readonly options: string
}
