/** Runs one task's handler once, as a worker would, without a worker and without storing anything. */
import { App, readCount } from '../app/app.ts'
import { Client, leased } from '../client/client.ts'
import { keepAlive } from '../loops/keep-alive.ts'
import type { CallEnd } from '../app/call-journal.ts'
import { priorityOf } from '../app/new-job.ts'
import { decodePayload, encodePayload } from '../app/payload.ts'
import { toMs, type Duration } from '../core/duration.ts'
import type { Outcome } from '../core/decide.ts'
import { ErrandError } from '../core/errors.ts'
import { fromJson } from '../core/json.ts'
import { noCounters, type LogLevel } from '../core/job.ts'
import { refuseUnknownKeys } from '../core/option-keys.ts'
import { readFunction, readSignal, refuseValue } from '../core/read.ts'
import { isRunnable, isTask, type AnyTask, type InputOf, type OutputOf } from '../core/task.ts'
import type { NewJob } from '../store/job.ts'
import { memory } from '../stores/memory/index.ts'
import { runnerHere } from '../worker/run-here.ts'
import type { RunPort } from '../worker/runner.ts'

export interface RunTaskOptions<Context = unknown> {
  /** `job.context`. Default `{}`. */
  readonly context?: Context
  /** `job.attempt`, from 1. */
  readonly attempt?: number
  /** Cancels the attempt: `job.signal` aborts with a `cancelled` error. */
  readonly signal?: AbortSignal
  /** Default: the task's own, else 10 min. */
  readonly timeout?: Duration
  /** What `job.complete(tx, output)` is given is handed to this, if it does anything. */
  readonly onComplete?: (tx: unknown, output: unknown) => void | Promise<void>
  /**
   * Answers each `job.call`: what it returns is the output of the called job, what it throws is what
   * the call rejects with. Without it calls are refused.
   */
  readonly onCall?: (task: string, input: unknown) => unknown
}

/** What one run came to. */
export interface TaskRun<Output> {
  /**
   * `failed` would be retried if the task's rules allow it; `unrecoverable` would not, as an input or output that does not
   * fit would not.
   */
  readonly outcome: Exclude<
    Outcome['kind'],
    'lost' | 'interrupted' | 'unstarted' | 'unknown' | 'overdue' | 'unreadable'
  >
  /** As `result()` would give it; undefined unless it completed. */
  readonly output: Output | undefined
  /** What was thrown; undefined unless it failed. */
  readonly error: unknown
  /** Why it was discarded or failed. */
  readonly reason: string | null
  /** What `Postpone` or `RetryAfter` asked for. */
  readonly delayMs: number | null
  /** What `job.enqueue` was given, if the outcome is one that inserts it. */
  readonly enqueued: readonly EnqueuedByTask[]
  /** All values of `job.progress`, in order. */
  readonly progress: readonly unknown[]
  readonly logs: readonly { readonly level: LogLevel; readonly text: string }[]
}

/** A job as a handler enqueued it. */
export interface EnqueuedByTask {
  readonly id: string
  readonly task: string
  readonly queue: string
  readonly input: unknown
  readonly priority: number
  readonly delayMs: number
  readonly runAt: Date | null
  readonly key: string | null
}

type ContextOf<T> = T extends {
  readonly types?: { readonly context: (context: infer Context) => void }
}
  ? Context
  : unknown

/**
 * Runs a task's handler once: the input goes through its schema and JSON as it would through a store, the outcome is what a
 * worker would make of it. Rejects with `invalid-input` and `not-json` where `enqueue` would, and with `invalid-task`
 * when the task has no handler; an error of the handler is no rejection but the answer's `error`.
 *
 * @example
 * const { outcome, output, enqueued } = await runTask(resize, { path: 'a.png', width: 200 }, { context: { db } })
 */
export async function runTask<T extends AnyTask>(
  task: T,
  input: InputOf<T>,
  options: RunTaskOptions<ContextOf<T>> = {},
): Promise<TaskRun<OutputOf<T>>> {
  refuseUnknownKeys(
    options,
    ['context', 'attempt', 'signal', 'timeout', 'onComplete', 'onCall'],
    'runTask()',
  )
  if (!isTask(task)) refuseValue('What runTask() runs', 'a task', task)
  const { attempt: number = 1, signal, onComplete, onCall } = options
  readCount(number, 'runTask().attempt')
  if (signal !== undefined) readSignal(signal, 'runTask().signal')
  if (onComplete !== undefined) readFunction(onComplete, 'runTask().onComplete')
  if (onCall !== undefined) readFunction(onCall, 'runTask().onCall')
  const { definition } = task
  if (!isRunnable(definition))
    throw new ErrandError('invalid-task', `${task.name} has no handler to run.`)
  const store = memory()
  const app = new App({ store, queues: { '*': {} } }, process.cwd())
  const client = new Client(app)
  const made = await client.prepare(task, input)
  const job = {
    ...leased(made, 1, store.clock.now()),
    counters: { ...noCounters, attempts: number - 1 },
  }
  const policy = app.policy(null, definition, job.queue)
  const timeoutMs =
    options.timeout === undefined ? policy.timeoutMs : toMs(options.timeout, 'runTask().timeout')

  const progress: unknown[] = []
  const logs: { level: LogLevel; text: string }[] = []
  const inserted: NewJob[] = []
  const port: RunPort = {
    progress: (json) => void progress.push(fromJson(json, 'progress')),
    log: (level, text) => void logs.push({ level, text }),
    enqueue: (one) => void inserted.push(one),
    complete: async (tx, { value }) => onComplete?.(tx, value),
    call: async ({ job: called }) => answerCall(app, called, onCall),
  }
  const ticks = (): number => store.clock.now()
  const runner = runnerHere({
    app,
    client,
    context: options.context ?? {},
    ticks,
    isolated: null,
    broken: null,
  })
  const endsAt = timeoutMs === null ? Infinity : ticks() + timeoutMs
  const aborted = signal?.aborted === true ? 'cancelled' : null
  const letGo = keepAlive()
  const running = runner.run({ job, definition, timeoutMs, endsAt, aborted }, port)
  const cancel = (): void => running.abort('cancelled')
  signal?.addEventListener('abort', cancel, { once: true })
  const stopTimer =
    timeoutMs === null
      ? () => undefined
      : store.clock.after(timeoutMs, () => running.abort('timeout'))
  const { outcome, output } = await running.ended
  letGo()
  stopTimer()
  signal?.removeEventListener('abort', cancel)
  return {
    ...told(outcome),
    output:
      output === null
        ? undefined
        : (decodePayload(app, output, job.codec, 'output') as OutputOf<T>),
    enqueued: carries(outcome) ? inserted.map((one) => shown(app, one)) : [],
    progress,
    logs,
  }
}

async function answerCall(
  app: App,
  { id, task, input, codec }: NewJob,
  onCall: RunTaskOptions['onCall'],
): Promise<CallEnd> {
  if (onCall === undefined) {
    throw new ErrandError(
      'invalid-option',
      `runTask() runs one handler alone, and this one calls ${task}: answer its calls by onCall, or run both tasks by testErrand() and drain().`,
    )
  }
  const answer: unknown = await onCall(task, decodePayload(app, input, codec, 'input'))
  const output = encodePayload(app, answer, null, 'output')
  return { id, task, state: 'completed', codec: null, output, reason: null, attempts: [] }
}

function told(
  outcome: Outcome,
): Pick<TaskRun<unknown>, 'outcome' | 'error' | 'reason' | 'delayMs'> {
  const nothing = { error: undefined, reason: null, delayMs: null }
  switch (outcome.kind) {
    case 'completed':
    case 'cancelled':
      return { ...nothing, outcome: outcome.kind }
    case 'failed':
    case 'unrecoverable':
      return { ...nothing, outcome: outcome.kind, error: outcome.error, reason: outcome.reason }
    case 'retry-after':
      return {
        ...nothing,
        outcome: outcome.kind,
        error: outcome.error,
        reason: 'error',
        delayMs: outcome.delayMs,
      }
    case 'postponed':
      return { ...nothing, outcome: outcome.kind, delayMs: outcome.delayMs }
    case 'discarded':
      return { ...nothing, outcome: outcome.kind, reason: outcome.reason }
    case 'lost':
    case 'interrupted':
    case 'unstarted':
    case 'unknown':
    case 'overdue':
    case 'unreadable':
      throw new ErrandError(
        'interrupted',
        `The run ended as ${outcome.kind}, which only a worker's can.`,
      )
  }
}

function carries({ kind }: Outcome): boolean {
  return kind === 'completed' || kind === 'postponed' || kind === 'discarded'
}

function shown(app: App, job: NewJob): EnqueuedByTask {
  const { id, task, queue, delayMs, runAt, unique } = job
  return {
    id,
    task,
    queue,
    input: decodePayload(app, job.input, job.codec, 'input'),
    priority: priorityOf(job),
    delayMs,
    runAt: runAt === null ? null : new Date(runAt),
    key: unique?.key ?? null,
  }
}
