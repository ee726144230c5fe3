/** The job as a handler in a child sees it: what it does travels to the worker. */
import { payloadBounds } from '../app/payload.ts'
import { ErrandError } from '../core/errors.ts'
import { fromJson, toJson } from '../core/json.ts'
import { keptLogLines, type LogLevel } from '../core/job.ts'
import { messageOf } from '../core/kept-error.ts'
import { refTo, referenceOf } from '../core/node-output.ts'
import { writeReferences, type Reference } from '../core/references.ts'
import type {
  AddedNode,
  AddOptions,
  CallOptions,
  FollowUpOptions,
  JobLog,
  JobWorkflow,
  RunningJob,
} from '../core/running-job.ts'
import type { AnyTask } from '../core/task.ts'
import { cutText } from '../core/text.ts'
import { clearTimeout, performance, setTimeout } from '../core/timers.ts'
import type { Line } from './line.ts'
import type { JobFields, Load, Verb } from './messages.ts'
import { bringBack, type Thrown } from './thrown.ts'

/** Progress is sent at most so often, and always the last one. */
const progressMs = 50
const longestLine = 10_000
/** How many requests of a handler may be unanswered: each is a message that the worker must hold. */
const mostOpen = 1_000

export interface ChildJobSetup {
  readonly line: Line
  readonly fields: JobFields
  readonly contextPlace: Load['context']
  readonly context: unknown
}

export class ChildJob implements RunningJob {
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
  readonly schedule: string | null
  readonly plannedAt: Date | null
  readonly createdAt: Date
  readonly dueAt: Date
  readonly log: JobLog
  readonly workflow: JobWorkflow
  readonly #setup: ChildJobSetup
  readonly #controller = new AbortController()
  readonly #calls = new Map<number, PromiseWithResolvers<unknown>>()
  /** The calls whose rejections are these. */
  readonly #rejections = new WeakMap<object, number>()
  #called = 0
  #lines = 0
  #progress: string | null = null
  #progressAt = -Infinity
  #timer: NodeJS.Timeout | undefined
  #isOver = false

  constructor(setup: ChildJobSetup) {
    const { fields } = setup
    this.#setup = setup
    this.id = fields.id
    this.task = fields.task
    this.queue = fields.queue
    this.priority = fields.priority
    this.attempt = fields.attempt
    this.token = fields.token
    this.parent = fields.parent
    this.group = fields.group
    this.tags = fields.tags
    this.headers = fields.headers
    this.schedule = fields.schedule
    this.plannedAt = fields.plannedAt === null ? null : new Date(fields.plannedAt)
    this.createdAt = new Date(fields.createdAt)
    this.dueAt = new Date(fields.dueAt)
    const write = (level: LogLevel) => (text: string, given?: object) =>
      this.#write(level, text, given)
    this.log = {
      debug: write('debug'),
      info: write('info'),
      warn: write('warn'),
      error: write('error'),
    }
    this.workflow = { add: (...given: readonly unknown[]) => this.#add(given) as Promise<never> }
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  get context(): unknown {
    const { context, contextPlace } = this.#setup
    if (contextPlace !== 'unnamed') return context
    throw new ErrandError(
      'invalid-option',
      `${this.task} is isolated, and the app's context is a function of the worker's own. Name it by its module, so that it can be made here too: context: inModule(new URL('./context.ts', import.meta.url), 'makeContext').`,
    )
  }

  progress(value: unknown): void {
    const json = toJson(value, 'progress')
    if (Buffer.byteLength(json) > payloadBounds.refuseBytes)
      throw new ErrandError(
        'too-large',
        `progress has more than ${payloadBounds.refuseBytes} bytes; keep it short.`,
      )
    if (this.#isOver) return
    this.#progress = json
    const sinceMs = performance.now() - this.#progressAt
    if (sinceMs >= progressMs) this.#sendProgress()
    else this.#timer ??= setTimeout(() => this.#sendProgress(), progressMs - sinceMs)
  }

  enqueue(task: AnyTask | string, input?: unknown, options?: FollowUpOptions): Promise<string> {
    return this.#ask('enqueue', [nameOf(task), toPlain(input), options]) as Promise<string>
  }

  call(task: AnyTask | string, input?: unknown, options?: CallOptions): Promise<never> {
    const called = this.#ask('call', [nameOf(task), toPlain(input), options])
    // A handler may end without having awaited it: that is no error of the process.
    called.catch(() => undefined)
    return called as Promise<never>
  }

  complete(): Promise<void> {
    return Promise.reject(
      new ErrandError(
        'tx-unsupported',
        `job.complete() needs the transaction and the worker in one thread, and ${this.task} is isolated.`,
      ),
    )
  }

  /** The handler is asked to end. */
  abort(reason: Thrown): void {
    const error = bringBack(reason)
    this.#controller.abort(error)
  }

  answer(call: number, value: unknown): void {
    this.#take(call)?.resolve(value)
  }

  refuse(call: number, thrown: Thrown): void {
    const error = bringBack(thrown)
    if (typeof error === 'object' && error !== null) this.#rejections.set(error, call)
    this.#take(call)?.reject(error)
  }

  /** The handler has ended: what was last said of its progress goes first. */
  end(): void {
    this.#sendProgress()
    this.#isOver = true
  }

  /** The number of the call that has rejected with this; null when none has. */
  callRejectedWith(thrown: unknown): number | null {
    if (typeof thrown !== 'object' || thrown === null) return null
    return this.#rejections.get(thrown) ?? null
  }

  #take(call: number): PromiseWithResolvers<unknown> | undefined {
    const waiting = this.#calls.get(call)
    this.#calls.delete(call)
    return waiting
  }

  async #ask(verb: Verb, args: readonly unknown[]): Promise<unknown> {
    if (this.#isOver)
      throw new ErrandError('lease-lost', `job.${verb}() was called after the attempt had ended.`)
    if (this.#calls.size >= mostOpen)
      throw new ErrandError(
        'overloaded',
        `${this.task} waits for ${mostOpen} answers of its worker already; await job.${verb}().`,
      )
    const call = ++this.#called
    const waiting = Promise.withResolvers<unknown>()
    try {
      this.#setup.line.send({ kind: 'call', call, verb, args })
    } catch (cause) {
      throw new ErrandError(
        'invalid-option',
        `What job.${verb}() was given cannot leave the isolated task: ${messageOf(cause)}`,
        { cause },
      )
    }
    this.#calls.set(call, waiting)
    return waiting.promise
  }

  async #add(given: readonly unknown[]): Promise<AddedNode> {
    const [name, task, input, options = {}] = given as [string, AnyTask, unknown, AddOptions?]
    const { needs, ...others } = options
    const ids = needs?.map((need) => (typeof need === 'string' ? need : { id: need.id }))
    const { value, jobs } = writeReferences(input, referenceOf)
    const plain = ids === undefined ? others : { ...others, needs: ids }
    const asked = await this.#ask('add', [name, nameOf(task), toPlain(value), plain, jobs.size > 0])
    const added = asked as { readonly id: string; readonly reference: Reference }
    return { name, id: added.id, output: refTo(added.reference) }
  }

  #sendProgress(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    const json = this.#progress
    if (json === null || this.#isOver) return
    this.#progress = null
    this.#progressAt = performance.now()
    this.#setup.line.send({ kind: 'progress', json })
  }

  #write(level: LogLevel, text: string, given?: object): void {
    if (this.#isOver || this.#lines >= keptLogLines) return
    this.#lines++
    const said = typeof text === 'string' ? text : messageOf(text)
    const whole = given === undefined ? said : `${said} ${shown(given)}`
    this.#setup.line.send({ kind: 'log', level, text: cutText(whole, longestLine) })
  }
}

function nameOf(task: AnyTask | string): string {
  if (typeof task === 'string') return task
  if (typeof task?.name === 'string') return task.name
  throw new ErrandError('invalid-task', 'What is enqueued is a task or the name of one.')
}

/** As it would be stored: what JSON cannot hold is refused here, where it was given. */
function toPlain(input: unknown): unknown {
  return input === undefined ? undefined : fromJson(toJson(input, 'input'), 'input')
}

/** A log line never fails its job. */
function shown(fields: object): string {
  try {
    return toJson(fields, 'fields')
  } catch (error) {
    return `(${messageOf(error)})`
  }
}
