/** The job as its handler sees it. */
import type { Client } from '../client/client.ts'
import { encodePayload } from '../app/payload.ts'
import { ErrandError } from '../core/errors.ts'
import type { FollowUpOptions, JobLog, RunningJob } from '../core/running-job.ts'
import { followUpId } from '../core/id.ts'
import { toJson } from '../core/json.ts'
import type { LogLevel } from '../core/job.ts'
import { messageOf } from '../core/kept-error.ts'
import type { AnyTask } from '../core/task.ts'
import type { Attempt } from './attempt.ts'
import type { Ticks } from '../loops/time.ts'

/** What a view asks of its worker. */
export interface ViewServices {
  readonly ticks: Ticks
  /** Finds tasks, and makes jobs of them. */
  readonly client: Pick<Client, 'taskFacts' | 'prepare'>
  /** Settles an attempt as completed inside the user's transaction. */
  readonly completeIn: (
    tx: unknown,
    attempt: Attempt,
    output: string,
    value: unknown,
  ) => Promise<void>
}

/** How many jobs one attempt may enqueue, and how long their inputs may be in all: they travel in one call. */
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
  readonly #attempt: Attempt
  #log: JobLog | null = null
  #edges = 0

  constructor(attempt: Attempt) {
    const { job } = attempt
    this.#attempt = attempt
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
    return new Date(this.#attempt.job.createdAt)
  }

  get dueAt(): Date {
    return new Date(this.#attempt.job.dueAt)
  }

  get signal(): AbortSignal {
    return this.#attempt.signal
  }

  get context(): unknown {
    return this.#attempt.parts.context
  }

  get log(): JobLog {
    const write = (level: LogLevel) => (text: string, fields?: object) => {
      const said = typeof text === 'string' ? text : messageOf(text)
      const line = fields === undefined ? said : `${said} ${shown(fields)}`
      this.#attempt.parts.notes.log(this.#attempt, level, line)
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
    const { app, notes } = this.#attempt.parts
    notes.progress(this.#attempt, encodePayload(app, value, null, 'progress'))
  }

  async enqueue(
    task: AnyTask | string,
    input?: unknown,
    options?: FollowUpOptions,
  ): Promise<string> {
    const attempt = this.#attempt
    const { client } = attempt.parts.services
    this.#refuseWhenOver('enqueue')
    const id = followUpId(this.id, this.token, `enqueue-${this.#edges++}`)
    const job = await client.prepare(task, input, options, { id, parent: this.id, of: attempt.job })
    this.#refuseWhenOver('enqueue')
    if (attempt.enqueued.length >= mostEnqueued) {
      throw new ErrandError(
        'overloaded',
        `One attempt enqueues at most ${mostEnqueued} jobs with its settlement; enqueue more through the app.`,
      )
    }
    attempt.enqueuedChars += job.input.length
    if (attempt.enqueuedChars > mostEnqueuedChars) {
      attempt.enqueuedChars -= job.input.length
      throw new ErrandError(
        'too-large',
        `One attempt enqueues inputs of at most ${mostEnqueuedChars / 1_000_000} MB in all with its settlement: enqueue more through the app, or store what is large elsewhere and pass its name.`,
      )
    }
    attempt.enqueued.push(job)
    return id
  }

  async complete(tx: unknown, output: unknown): Promise<void> {
    const attempt = this.#attempt
    this.#refuseWhenOver('complete')
    const encoded = await attempt.encodeOutput(output)
    await attempt.parts.services.completeIn(tx, attempt, encoded.output, encoded.value)
    attempt.completedInTx = encoded
  }

  #refuseWhenOver(verb: string): void {
    if (this.#attempt.ended)
      throw new ErrandError('lease-lost', `job.${verb}() was called after the attempt had ended.`)
  }
}

/** A log line never fails its job: fields that are no JSON are named instead. */
function shown(fields: object): string {
  try {
    return toJson(fields, 'fields')
  } catch (error) {
    return `(${messageOf(error)})`
  }
}
