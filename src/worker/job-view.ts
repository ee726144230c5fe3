/** The job as its handler sees it. */
import type { App } from '../app/app.ts'
import type { Client } from '../client/client.ts'
import { encodePayload } from '../app/payload.ts'
import { ErrandError } from '../core/errors.ts'
import type { FollowUpOptions, JobLog, RunningJob } from '../core/running-job.ts'
import { followUpId } from '../core/id.ts'
import { toJson } from '../core/json.ts'
import type { LogLevel } from '../core/job.ts'
import { messageOf } from '../core/kept-error.ts'
import type { AnyTask } from '../core/task.ts'
import type { ClaimedJob } from '../store/job.ts'
import type { RunPort } from './runner.ts'

/** What a view is made from: all of it belongs to the thread that the handler is in. */
export interface ViewSource {
  readonly job: ClaimedJob
  /** Aborts when the handler is asked to end. */
  readonly signal: AbortSignal
  readonly here: {
    readonly app: App
    readonly client: Pick<Client, 'prepare'>
    readonly context: unknown
  }
  readonly port: Pick<RunPort, 'progress' | 'log' | 'enqueue'>
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

export class JobView implements RunningJob {
  readonly state = 'running'
  readonly id: string
  readonly task: string
  readonly queue: string
  readonly priority: number
  readonly attempt: number
  readonly token: number
  readonly parent: string | null
  readonly group: string | null
  readonly tags: readonly string[]
  readonly headers: Readonly<Record<string, string>>
  readonly #source: ViewSource
  #log: JobLog | null = null
  /** Calls of `enqueue`: the id of each follows from its number. */
  #edges = 0
  #enqueued = 0
  #enqueuedChars = 0

  constructor(source: ViewSource) {
    const { job } = source
    this.#source = source
    this.id = job.id
    this.task = job.task
    this.queue = job.queue
    this.priority = job.priority
    this.attempt = job.counters.attempts + 1
    this.token = job.token
    this.parent = job.parent
    this.group = job.group
    this.tags = job.tags
    this.headers = job.headers
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
    const job = await here.client.prepare(task, input, options, origin)
    this.#refuseWhenOver('enqueue')
    if (this.#enqueued >= mostEnqueued) {
      throw new ErrandError(
        'overloaded',
        `One attempt enqueues at most ${mostEnqueued} jobs with its settlement; enqueue more through the app.`,
      )
    }
    if (this.#enqueuedChars + job.input.length > mostEnqueuedChars) {
      throw new ErrandError(
        'too-large',
        `One attempt enqueues inputs of at most ${mostEnqueuedChars / 1_000_000} MB in all with its settlement: enqueue more through the app, or store what is large elsewhere and pass its name.`,
      )
    }
    this.#enqueued++
    this.#enqueuedChars += job.input.length
    port.enqueue(job)
    return id
  }

  async complete(tx: unknown, output: unknown): Promise<void> {
    this.#refuseWhenOver('complete')
    await this.#source.complete(tx, output)
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
