/**
 * The program of an isolated child: loads one task, then runs its jobs, one at a time.
 *
 * Modes: loading → ready (it has said so) ⇄ running → ended (asked to, or its worker is gone).
 */
import { enableCompileCache } from 'node:module'
import { ContextHolder } from '../app/context.ts'
import { importExport, importFunction } from '../app/import-function.ts'
import { payloadBounds } from '../app/payload.ts'
import { judge } from '../core/decide.ts'
import { ErrandError } from '../core/errors.ts'
import { fromJson, toJson } from '../core/json.ts'
import { isTask, type Definition } from '../core/task.ts'
import { wrapped } from '../core/wrap.ts'
import { markChild } from '../loops/in-thread.ts'
import { ChildJob } from './child-job.ts'
import type { Line } from './line.ts'
import type { Load, ToChild } from './messages.ts'
import { takeDown } from './thrown.ts'

type Message<Kind extends ToChild['kind']> = Extract<ToChild, { kind: Kind }>

/** What was loaded. */
interface Loaded {
  readonly handler: (input: unknown, job: ChildJob) => unknown
  /** Where the export is the task, with its own rules and wrap. */
  readonly definition: Definition | null
  readonly context: unknown
}

const orphanedReason = new ErrandError('interrupted', 'The worker of this child is gone.')

export class ChildRun {
  readonly #line: Line
  readonly #load: Load
  #context: ContextHolder | null = null
  #loaded: Loaded | null = null
  #job: ChildJob | null = null
  #isEnding = false

  constructor(line: Line, load: Load) {
    this.#line = line
    this.#load = load
  }

  /** Loads the task, says whether that went well, and runs what comes. */
  async begin(): Promise<void> {
    const { task } = this.#load
    markChild(task)
    // Without it each child strips the types of TypeScript anew, which takes a tenth of a second.
    enableCompileCache()
    try {
      this.#loaded = await this.#loadAll()
    } catch (error) {
      this.#line.send({ kind: 'broken', thrown: takeDown(error) })
      return
    }
    const form = this.#loaded.definition === null ? 'function' : 'task'
    this.#line.listen((message) => this.#hear(message))
    this.#line.send({ kind: 'ready', tasks: [task], form })
  }

  /** Its worker is gone: what runs is aborted, and the child ends once that has ended. */
  orphaned(): void {
    this.#job?.abort(takeDown(orphanedReason))
    void this.#end()
  }

  async #loadAll(): Promise<Loaded> {
    const { place, task, context: contextPlace } = this.#load
    const found = await importExport(place, task)
    const definition = isTask(found) ? found.definition : null
    const handler = isTask(found) ? found.definition.handler : found
    if (handler === null)
      throw new ErrandError('invalid-task', `${task} has no handler in ${place.url}.`)
    if (typeof contextPlace === 'object') {
      const make = await importFunction(contextPlace)
      this.#context = new ContextHolder(() => make())
    }
    const context = this.#context === null ? {} : await this.#context.acquire()
    return { handler, definition, context }
  }

  #hear(message: ToChild): void {
    switch (message.kind) {
      case 'load':
        return
      case 'run':
        return void this.#run(message)
      case 'abort':
        return this.#job?.abort(message.reason)
      case 'answer':
        return this.#job?.answer(message.call, message.value)
      case 'refusal':
        return this.#job?.refuse(message.call, message.thrown)
      case 'end':
        return void this.#end()
    }
  }

  async #run({ job: fields, input, outputAs }: Message<'run'>): Promise<void> {
    const loaded = this.#loaded
    if (loaded === null) throw new TypeError('a child runs jobs once it is ready')
    const line = this.#line
    const { definition, handler, context } = loaded
    const job = new ChildJob({ line, fields, context, contextPlace: this.#load.context })
    this.#job = job
    let output: { readonly value: unknown } | { readonly thrown: unknown }
    try {
      const wrap = definition?.wrap ?? null
      output = { value: await wrapped(wrap, job, () => handler(input, job)) }
    } catch (thrown) {
      output = { thrown }
    }
    job.end()
    this.#job = null
    await line.flush()
    if ('thrown' in output) this.#threw(job, fields.failures, output.thrown)
    else this.#returned(output.value, outputAs)
    if (this.#isEnding) this.#line.exit()
  }

  /** A value that cannot be an output is reported as unusable, which no retry repairs. */
  #returned(value: unknown, outputAs: 'json' | 'value'): void {
    try {
      const plain = outputAs === 'json' ? asStored(value) : value
      this.#line.send({ kind: 'returned', value: plain })
    } catch (error) {
      this.#line.send({ kind: 'unusable', thrown: takeDown(error) })
    }
  }

  #threw(job: ChildJob, failures: number, thrown: unknown): void {
    const { definition } = this.#loaded ?? {}
    const { id, task, queue, attempt } = job
    const { retryWhen, backoff } = definition?.layer ?? {}
    const own = {
      ...(retryWhen === undefined ? {} : { retryWhen }),
      ...(typeof backoff === 'function' ? { backoff } : {}),
    }
    const facts = { id, task, queue, attempt, failures: failures + 1 }
    this.#line.send({
      kind: 'threw',
      thrown: takeDown(thrown),
      call: job.callRejectedWith(thrown),
      judged: definition ? judge(own, thrown, facts, Math.random) : null,
    })
  }

  /** Ends once nothing runs any more. */
  async #end(): Promise<void> {
    if (this.#isEnding) return
    this.#isEnding = true
    if (this.#job !== null) return
    try {
      await this.#context?.release()
    } finally {
      this.#line.exit()
    }
  }
}

/** A value as a store would give it back. Throws `not-json` and `too-large`. */
function asStored(value: unknown): unknown {
  const json = toJson(value, 'output')
  const bytes = Buffer.byteLength(json)
  if (bytes <= payloadBounds.refuseBytes) return fromJson(json, 'output')
  throw new ErrandError(
    'too-large',
    `output has ${bytes} bytes; at most ${payloadBounds.refuseBytes} are stored. Keep large data elsewhere and pass a reference to it.`,
  )
}
