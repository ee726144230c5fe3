/** One job in a child, as its worker sees it: passes on what the handler requests, and its outcome. */
import { refTo, referenceOf } from '../core/node-output.ts'
import { putForReferences } from '../core/references.ts'
import type { RunningJob } from '../core/running-job.ts'
import { fromJson } from '../core/json.ts'
import { InvalidPayload } from '../worker/invalid-payload.ts'
import { keepJudged } from '../worker/judged-error.ts'
import type { Child } from './child.ts'
import type { FromChild, JobFields } from './messages.ts'
import { bringBack, takeDown } from './thrown.ts'

type Message<Kind extends FromChild['kind']> = Extract<FromChild, { kind: Kind }>
type Verbs = Readonly<Record<'enqueue' | 'call', (...args: readonly unknown[]) => Promise<unknown>>>

interface Adds {
  add(...args: readonly unknown[]): Promise<{ readonly id: string; readonly output: unknown }>
}

export class RemoteJob {
  /** What the handler returned. Rejects with what it threw. */
  readonly ended: Promise<unknown>
  readonly #child: Child
  readonly #job: RunningJob
  readonly #outcome = Promise.withResolvers<unknown>()
  /** What calls have rejected with, by their numbers. */
  readonly #rejections = new Map<number, unknown>()

  constructor(child: Child, job: RunningJob) {
    this.#child = child
    this.#job = job
    this.ended = this.#outcome.promise
  }

  /** Sends the job. Throws what cannot be copied. */
  begin(fields: JobFields, input: unknown, outputAs: 'json' | 'value'): void {
    this.#child.send({ kind: 'run', job: fields, input, outputAs })
  }

  hear(message: FromChild): void {
    const job = this.#job
    switch (message.kind) {
      case 'log':
        return job.log[message.level](message.text)
      case 'progress':
        return job.progress(fromJson(message.json, 'progress'))
      case 'call':
        return void this.#call(message)
      case 'returned':
        return this.#outcome.resolve(message.value)
      case 'unusable':
        return this.#outcome.reject(new InvalidPayload('invalid-output', bringBack(message.thrown)))
      case 'threw':
        return this.#threw(message)
      case 'ready':
      case 'broken':
        return
    }
  }

  /** The child has ended before the job. */
  died(error: unknown): void {
    this.#outcome.reject(error)
  }

  #threw({ thrown, call, judged }: Message<'threw'>): void {
    const error =
      call !== null && this.#rejections.has(call) ? this.#rejections.get(call) : bringBack(thrown)
    if (judged !== null) keepJudged(error, judged)
    this.#outcome.reject(error)
  }

  async #call({ call, verb, args }: Message<'call'>): Promise<void> {
    try {
      const value = verb === 'add' ? await this.#add(args) : await this.#verbs[verb](...args)
      this.#child.send({ kind: 'answer', call, value })
    } catch (error) {
      this.#rejections.set(call, error)
      this.#child.send({ kind: 'refusal', call, thrown: takeDown(error) })
    }
  }

  get #verbs(): Verbs {
    const job = this.#job as unknown as Verbs
    return { enqueue: (...args) => job.enqueue(...args), call: (...args) => job.call(...args) }
  }

  async #add([name, task, input, options, isReferring]: readonly unknown[]): Promise<unknown> {
    const workflow = this.#job.workflow as unknown as Adds
    const value = isReferring === true ? putForReferences(input, refTo) : input
    const { id, output } = await workflow.add(name, task, value, options)
    return { id, reference: referenceOf(output) }
  }
}
