/**
 * The seam between an attempt, which belongs to the worker, and where its handler runs: in this
 * thread (run-here.ts), or in another thread or process. All that crosses it while the handler runs
 * is plain data, both ways: the port's calls are messages from the run, `abort` is the one message
 * to it. The exception is the transaction of `job.complete`, a connection of the user's that is
 * where the handler is.
 */
import type { Outcome } from '../core/decide.ts'
import { ErrandError, type ErrandErrorCode } from '../core/errors.ts'
import type { LogLevel } from '../core/job.ts'
import type { Handler } from '../core/running-job.ts'
import type { TaskList } from '../core/task-list.ts'
import type { Definition } from '../core/task.ts'
import type { App } from '../app/app.ts'
import type { CallEnd } from '../app/call-journal.ts'
import type { ClaimedJob, NewJob } from '../store/job.ts'

/** Where attempts are executed. */
export interface Runner {
  /** Whether a task can be run here now; jobs of others are left to workers that can. */
  canRun(definition: Definition): boolean
  /** Starts the handler. */
  run(run: Run, port: RunPort): Running
}

/**
 * Runs handlers out of this thread, for one worker. What it makes looks like any other handler, so
 * that everything around it is as it is for those.
 */
export interface IsolatedHandlers {
  of(definition: Definition, job: ClaimedJob): Handler<unknown, unknown, unknown>
  /** Starts what the first jobs need; `failed` is called for a task that cannot be. */
  start(failed: (task: string, error: unknown) => void): void
  /** Ends what runs, within seconds. */
  stop(): Promise<void>
}

/** Makes that for the tasks of a worker; null when none of them is isolated. */
export type IsolateTasks = (app: App, tasks: TaskList) => IsolatedHandlers | null

/** All that a run is made from. */
export interface Run {
  /** The job, its input still encoded. */
  readonly job: ClaimedJob
  /** A runner elsewhere finds it anew, by the name of the task. */
  readonly definition: Definition
  readonly timeoutMs: number | null
  /** Why it was asked to end before it began; null when it was not. */
  readonly aborted: AbortCause | null
  /** When it times out, by the ticks that all threads of a process share; `Infinity` for never. */
  readonly endsAt: number
}

/** What a run says to its worker. */
export interface RunPort {
  /** JSON of the progress. */
  progress(json: string): void
  log(level: LogLevel, text: string): void
  /** A job to insert with the settlement. */
  enqueue(job: NewJob): void
  /** Makes a call: resolves when the called job has ended, and this one may go on. */
  call(request: CallRequest): Promise<CallEnd>
  /**
   * Settles the attempt as completed inside the user's transaction. Rejects when that is refused.
   */
  complete(tx: unknown, output: Encoded): Promise<void>
}

/** What `job.call` was given. */
export interface CallRequest {
  /** Names the call in the journal of the job. */
  readonly name: string
  /** The job to insert. */
  readonly job: NewJob
  /** Jobs that run before it, stored with it in one step. */
  readonly before: readonly NewJob[]
  /** A hash of its input. */
  readonly input: string
}

/** A handler at work. */
export interface Running {
  /** What it came to. Never rejects. */
  readonly ended: Promise<RunResult>
  /** Asks the handler to end. The first cause stays. */
  abort(cause: AbortCause): void
  /** When it times out has changed, by the same ticks; `Infinity` while it waits for calls. */
  endsAt(at: number): void
}

/** Why an attempt was aborted. */
export type AbortCause = Extract<
  ErrandErrorCode,
  'timeout' | 'cancelled' | 'interrupted' | 'lease-lost'
>

/** An output as it is stored, and as the schema made it. */
export interface Encoded {
  readonly output: string
  readonly value: unknown
}

/** What a handler came to, with what its settlement carries. */
export interface RunResult {
  readonly outcome: Outcome
  /** Encoded output of a completed attempt, and the value itself for its follow-ups. */
  readonly output: string | null
  readonly value: unknown
}

/** An end without output. */
export function failed(outcome: Outcome): RunResult {
  return { outcome, output: null, value: undefined }
}

/** The error that a handler's signal carries. */
export function abortError(
  why: AbortCause,
  job: { readonly task: string; readonly id: string },
  timeoutMs: number | null = null,
  cause?: unknown,
): ErrandError {
  const which = `${job.task} ${job.id}`
  switch (why) {
    case 'timeout':
      return new ErrandError(
        'timeout',
        `${which} took longer than its timeout${timeoutMs === null ? '' : ` of ${timeoutMs} ms`}.`,
        cause === undefined ? {} : { cause },
      )
    case 'cancelled':
      return new ErrandError('cancelled', `${which} was asked to cancel.`)
    case 'interrupted':
      return new ErrandError(
        'interrupted',
        `${which} was cut off because its worker stops; it runs again elsewhere.`,
      )
    case 'lease-lost':
      return new ErrandError(
        'lease-lost',
        `${which} is no longer this worker's; its outcome will be refused.`,
      )
  }
}
