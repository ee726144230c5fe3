/** The job as its handler sees it. */
import type { App } from '../app/app.ts'
import type { Client } from '../client/client.ts'
import { hashOfInput, type CallEnd } from '../app/call-journal.ts'
import { priorityOf, readTick } from '../app/new-job.ts'
import { encodePayload } from '../app/payload.ts'
import { outputOf } from '../client/job-result.ts'
import { ErrandError } from '../core/errors.ts'
import type {
  CallOptions,
  FollowUpOptions,
  JobLog,
  JobWorkflow,
  RunningJob,
} from '../core/running-job.ts'
import { callId, followUpId } from '../core/id.ts'
import { toJson } from '../core/json.ts'
import type { LogLevel } from '../core/job.ts'
import { messageOf } from '../core/kept-error.ts'
import type { AnyTask } from '../core/task.ts'
import type { ClaimedJob, NewJob } from '../store/job.ts'
import { CallNames, readCallOptions } from './call-names.ts'
import { NodeView } from './node-view.ts'
import type { CallRequest, RunPort } from './runner.ts'

/** What a view is made from: all of it belongs to the thread that the handler is in. */
export interface ViewSource {
  readonly job: ClaimedJob
  /** Aborts when the handler is asked to end. */
  readonly signal: AbortSignal
  readonly here: {
    readonly app: App
    readonly client: Pick<Client, 'prepareAll'>
    readonly context: unknown
  }
  readonly port: Pick<RunPort, 'progress' | 'log' | 'enqueue'>
  /** Makes a call: resolves when the called job has ended. */
  call(request: CallRequest): Promise<CallEnd>
  /** Whether the handler has ended. */
  readonly isOver: boolean
  /** Checks and encodes the output, and settles with it inside the user's transaction. */
  complete(tx: unknown, output: unknown): Promise<void>
}

/**
 * How many jobs one attempt may enqueue, and how long their inputs may be in all: they travel in
 * one call.
 */
const mostEnqueued = 1_000
const mostEnqueuedChars = 16_000_000

/** What calls have rejected with: it is recorded, so each attempt is told the same. */
const recordedFailures = new WeakSet<object>()

/** Whether a call has rejected with this, so that another attempt would be no better. */
export function isRecordedFailure(error: unknown): boolean {
  return typeof error === 'object' && error !== null && recordedFailures.has(error)
}

export class JobView implements RunningJob {
  readonly state = 'running'
  readonly id: string
  readonly task: string
  readonly queue: string
  readonly attempt: number
  readonly token: number
  readonly parent: string | null
  readonly group: string | null
  readonly tags: readonly string[]
  readonly headers: Readonly<Record<string, string>>
  readonly #source: ViewSource
  #log: JobLog | null = null
  #workflow: JobWorkflow | null = null
  /** Calls of `enqueue`: the id of each follows from its number. */
  #edges = 0
  #enqueued = 0
  #enqueuedChars = 0
  #calls: CallNames | null = null

  constructor(source: ViewSource) {
    const { job } = source
    this.#source = source
    this.id = job.id
    this.task = job.task
    this.queue = job.queue
    this.attempt = job.counters.attempts + 1
    this.token = job.token
    this.parent = job.parent
    this.group = job.group
    this.tags = job.tags
    this.headers = job.headers
  }

  get priority(): number {
    return priorityOf(this.#source.job)
  }

  get schedule(): string | null {
    return readTick(this.#source.job.options)?.schedule ?? null
  }

  get plannedAt(): Date | null {
    const tick = readTick(this.#source.job.options)
    return tick === undefined ? null : new Date(tick.plannedAt)
  }

  get createdAt(): Date {
    return new Date(this.#source.job.createdAt)
  }

  get dueAt(): Date {
    return new Date(this.#source.job.dueAt)
  }

  get signal(): AbortSignal {
    return this.#source.signal
  }

  get context(): unknown {
    return this.#source.here.context
  }

  get log(): JobLog {
    const write = (level: LogLevel) => (text: string, fields?: object) => {
      const said = typeof text === 'string' ? text : messageOf(text)
      const line = fields === undefined ? said : `${said} ${shown(fields)}`
      this.#source.port.log(level, line)
    }
    this.#log ??= {
      debug: write('debug'),
      info: write('info'),
      warn: write('warn'),
      error: write('error'),
    }
    return this.#log
  }

  get workflow(): JobWorkflow {
    const { job, here, port } = this.#source
    this.#workflow ??= new NodeView({
      job,
      client: here.client,
      carry: (jobs) => {
        this.#refuseWhenOver('workflow.add')
        this.#count(jobs)
        for (const one of jobs) port.enqueue(one)
      },
    })
    return this.#workflow
  }

  progress(value: unknown): void {
    const { here, port } = this.#source
    port.progress(encodePayload(here.app, value, null, 'progress'))
  }

  async enqueue(
    task: AnyTask | string,
    input?: unknown,
    options?: FollowUpOptions,
  ): Promise<string> {
    const { job: parent, here, port } = this.#source
    this.#refuseWhenOver('enqueue')
    const id = followUpId(this.id, this.token, `enqueue-${this.#edges++}`)
    const origin = { id, parent: this.id, of: parent }
    const jobs = await here.client.prepareAll(task, input, options, origin)
    this.#refuseWhenOver('enqueue')
    this.#count(jobs)
    for (const job of jobs) port.enqueue(job)
    return id
  }

  /** Refuses what is too much for one settlement. */
  #count(jobs: readonly NewJob[]): void {
    if (this.#enqueued + jobs.length > mostEnqueued) {
      throw new ErrandError(
        'overloaded',
        `One attempt enqueues at most ${mostEnqueued} jobs with its settlement; enqueue more through the app.`,
      )
    }
    const chars = jobs.reduce((sum, { input }) => sum + input.length, this.#enqueuedChars)
    if (chars > mostEnqueuedChars) {
      throw new ErrandError(
        'too-large',
        `One attempt enqueues inputs of at most ${mostEnqueuedChars / 1_000_000} MB in all with its settlement: enqueue more through the app, or store what is large elsewhere and pass its name.`,
      )
    }
    this.#enqueued += jobs.length
    this.#enqueuedChars = chars
  }

  call(task: AnyTask | string, input?: unknown, options: CallOptions = {}): Promise<unknown> {
    const called = this.#call(task, input, options)
    // A handler may end without having awaited it: that is no error of the process.
    called.catch(() => undefined)
    return called
  }

  async complete(tx: unknown, output: unknown): Promise<void> {
    this.#refuseWhenOver('complete')
    await this.#source.complete(tx, output)
  }

  async #call(task: AnyTask | string, input: unknown, options: CallOptions): Promise<unknown> {
    const { job: of, here } = this.#source
    this.#refuseWhenOver('call')
    const { id, ...rest } = readCallOptions(options)
    const name = (this.#calls ??= new CallNames()).next(task, id)
    const origin = { id: callId(this.id, name, 0), parent: this.id, of, isAwaited: true }
    const jobs = await here.client.prepareAll(task, input, rest, origin)
    const job = jobs.at(-1)
    if (job === undefined) throw new TypeError('prepareAll() makes a job at least')
    this.#refuseWhenOver('call')
    const before = jobs.slice(0, -1)
    const end = await this.#source.call({ name, job, before, input: hashOfInput(input) })
    try {
      return outputOf(here.app, end)
    } catch (error) {
      recordedFailures.add(error as Error)
      throw error
    }
  }

  #refuseWhenOver(verb: string): void {
    if (this.#source.isOver)
      throw new ErrandError('lease-lost', `job.${verb}() was called after the attempt had ended.`)
  }
}

/** A log line never fails its job: fields that are not JSON are named instead. */
function shown(fields: object): string {
  try {
    return toJson(fields, 'fields')
  } catch (error) {
    return `(${messageOf(error)})`
  }
}
