/** From a message to the jobs that it asks for, or to the one that keeps it because it cannot be read. */
import { createHash } from 'node:crypto'
import { encodeAttempt } from '../app/attempts.ts'
import { bareFacts, makeJob, type JobOrigin } from '../app/new-job.ts'
import { payloadBounds } from '../app/payload.ts'
import { messageTaskName, queueOfMessage, type ParkedMessage } from '../app/parked-message.ts'
import type { Client } from '../client/client.ts'
import type { KnownTask } from '../client/task-catalog.ts'
import type { EnqueueOptions } from '../core/enqueue-options.ts'
import { ErrandError, isErrandError } from '../core/errors.ts'
import { idOfTime } from '../core/id.ts'
import { finalStates } from '../core/job.ts'
import { keepError } from '../core/kept-error.ts'
import { fittingHeaders } from '../core/labels.ts'
import { inputOf, readCall, type MessageCall } from '../core/message-call.ts'
import { isPlain } from '../core/text.ts'
import { answered } from '../loops/call-deadline.ts'
import type { Keep, NewJob, UniqueRule } from '../store/job.ts'
import type { SourceSettings } from './settings.ts'
import type { SourceMessage } from './source.ts'

/** What is kept of a message that is too long, in bytes. */
const keptBytes = 64 * 1_024

/** The longest identity that is stored as it is, in characters. */
const longestIdentity = 150

/** How long a task is taken for unknown before it is looked up again, in ms. */
const unknownMs = 1_000
const mostUnknown = 10_000

/** The error of a message that no job can be made of, whatever the store does. */
export class Misfit extends Error {
  override readonly name = 'Misfit'
  override readonly cause: unknown

  constructor(cause: unknown) {
    super('the message does not fit')
    this.cause = cause
  }
}

export class MessageJobs {
  readonly #client: Client
  readonly #settings: SourceSettings
  readonly #unknown = new Map<string, number>()
  readonly #schemas = new WeakMap<KnownTask, { readonly schema: unknown }>()

  constructor(client: Client, settings: SourceSettings) {
    this.#client = client
    this.#settings = settings
  }

  /**
   * Makes the job of a message, last in the list, after those that run before it; none for a message that is known. Rejects with a
   * `Misfit`, and with the errors of a store that does not say which tasks and jobs exist.
   */
  async of(message: SourceMessage): Promise<readonly NewJob[]> {
    const call = fitting(() => readMessage(message))
    const known = await this.#find(call.task)
    const jobs = await this.#make(message, call, known ?? bareTask(call.task)).catch(
      (error: unknown) => {
        throw new Misfit(error)
      },
    )
    return jobs.length > 1 && (await this.#isKnown(message, jobs)) ? [] : jobs
  }

  /** Looks for the job itself: those that run before it may be removed earlier. */
  async #isKnown(message: SourceMessage, jobs: readonly NewJob[]): Promise<boolean> {
    const id = jobs.at(-1)?.id
    if (id === undefined || this.#identity(message) === null) return false
    const { store } = this.#client.app
    const [job] = await answered(store.clock, store.get([id]))
    return job !== null && job !== undefined
  }

  /**
   * Makes the job that keeps a message. `rest` says where all of it is, when only its beginning is kept; null for a message
   * that is kept whole, and then it throws `too-large` where it is too long for that.
   */
  parked(message: SourceMessage, error: unknown, rest: string | null): NewJob {
    const { app } = this.#client
    const { name, dedupeMs } = this.#settings
    const { body, queue } = message
    const whole = rest === null
    if (whole && message.size > body.length) throw tooLarge(message.size)
    const headers = fittingHeaders(message.headers)
    const input: ParkedMessage = {
      source: name,
      queue,
      id: message.id,
      headers,
      size: message.size,
      rest,
      ...shownBody(whole ? body : body.subarray(0, keptBytes)),
    }
    const named = queueOfMessage(app, null, queue)
    const origin = originOf(headers, this.#identity(message))
    const options = named === null ? {} : { queue: named }
    const job = makeJob(app, bareFacts(messageTaskName), input, options, origin)
    const { keepMs } = app.policy(null, null, job.queue)
    const attempt = this.#attempt(error)
    const kept = atLeast(keepMs.failed, dedupeMs)
    return {
      ...job,
      unique: null,
      entry: { kind: 'failed', reason: 'invalid-message', attempt, keepMs: kept },
    }
  }

  #attempt(thrown: unknown): string {
    const { app } = this.#client
    const endedAt = app.store.clock.now()
    const error = keepError(thrown, 0, endedAt)
    const worker = `source ${this.#settings.name}`
    const run = { attempt: 0, token: 0, worker, startedAt: null, endedAt, error }
    return encodeAttempt({ ...run, outcome: 'failed' }, thrown, app.codec)
  }

  async #make(
    message: SourceMessage,
    call: MessageCall,
    known: KnownTask,
  ): Promise<readonly NewJob[]> {
    const { app } = this.#client
    const input = inputOf(call, call.given.kind === 'input' ? null : this.#schemaOf(known))
    const queue = queueOfMessage(app, known.facts, message.queue)
    const options = queue === null ? undefined : { queue }
    const headers = fittingHeaders(message.headers)
    const jobs = await this.#client.prepareKnown(known, input, options, originOf(headers, null))
    const identity = this.#identity(message)
    const [job] = jobs
    if (identity === null || job === undefined) return jobs
    if (jobs.length === 1 && job.unique === null) return [{ ...job, unique: this.#rule(identity) }]
    // Its task has a unique key of its own, or others run before it: the message is known by the job's id, while the job is kept.
    const retention = this.#retention(known, job.queue)
    const origin = originOf(headers, identity)
    return this.#client.prepareKnown(known, input, { ...options, retention }, origin)
  }

  /** That of the task, but for as long at least as a message is to be known. */
  #retention(known: KnownTask, queue: string): NonNullable<EnqueueOptions['retention']> {
    const { keepMs } = this.#client.app.policy(null, known.facts, queue)
    return Object.fromEntries(
      finalStates.map((state) => [
        state,
        atLeast(keepMs[state], this.#settings.dedupeMs) ?? 'forever',
      ]),
    )
  }

  /** What a message is known by: as a unique key of no task, since that of a task begins with its name. */
  #identity(message: SourceMessage): string | null {
    const { name, identity } = this.#settings
    const own = message.id ?? (identity === 'hash' ? `sha256-${hashOf(message.body)}` : null)
    if (own === null) return null
    const isShown = own.length <= longestIdentity && isPlain(own)
    const key = `:${name}/${message.queue}/${isShown ? own : `sha256-${hashOf(own)}`}`
    return key.length <= 2 * longestIdentity && isPlain(key) ? key : `:sha256-${hashOf(key)}`
  }

  #rule(key: string): UniqueRule {
    return {
      key,
      during: ['blocked', 'scheduled', 'ready', 'running'],
      forMs: this.#settings.dedupeMs,
      onConflict: 'skip',
      maxWaitMs: null,
    }
  }

  /** Null for a task that nobody knows. */
  async #find(task: string): Promise<KnownTask | null> {
    const now = this.#client.app.store.clock.now()
    const until = this.#unknown.get(task)
    if (until !== undefined && now < until && until - now <= unknownMs) return null
    try {
      const found = this.#client.catalog.find(task)
      return found instanceof Promise ? await found : found
    } catch (error) {
      if (!isErrandError(error, 'unknown-task')) throw error
      if (this.#unknown.size >= mostUnknown) this.#unknown.clear()
      this.#unknown.set(task, now + unknownMs)
      return null
    }
  }

  #schemaOf(known: KnownTask): unknown {
    let read = this.#schemas.get(known)
    if (read === undefined) {
      const text = known.inputSchema()
      read = { schema: text === null ? null : (JSON.parse(text) as unknown) }
      this.#schemas.set(known, read)
    }
    return read.schema
  }
}

/** With an identity, the job's id follows from it. */
function originOf(headers: Readonly<Record<string, string>>, identity: string | null): JobOrigin {
  const of = { group: null, headers }
  return identity === null ? { of } : { of, id: idOfTime(0, identity) }
}

function readMessage({ body, size }: SourceMessage): MessageCall {
  if (size > payloadBounds.refuseBytes) throw tooLarge(size)
  return readCall(body)
}

function tooLarge(size: number): ErrandError {
  return new ErrandError(
    'too-large',
    `The message has ${size} bytes; a job takes at most ${payloadBounds.refuseBytes}. Keep large data elsewhere and send a reference to it.`,
    { details: { bytes: size } },
  )
}

function fitting<T>(read: () => T): T {
  try {
    return read()
  } catch (error) {
    throw new Misfit(error)
  }
}

/** A task that nobody knows: its job waits for a worker that does. */
function bareTask(name: string): KnownTask {
  return {
    facts: bareFacts(name),
    task: null,
    check: () => undefined,
    inputSchema: () => null,
  }
}

function shownBody(body: Uint8Array): Pick<ParkedMessage, 'body' | 'base64'> {
  try {
    return { body: new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(body) }
  } catch {
    return { base64: Buffer.from(body).toString('base64') }
  }
}

function atLeast(keep: Keep, ms: number): Keep {
  return keep === null ? null : Math.max(keep, ms)
}

function hashOf(value: string | Uint8Array): string {
  return createHash('sha256').update(value).digest('hex')
}
