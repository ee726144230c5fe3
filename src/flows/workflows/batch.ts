/**
 * Batches: many jobs of one group, and one that runs when all of them have ended. Parts wait for a hundred jobs each, parts
 * of these for a hundred parts, so that no job is told of more than a hundred ends, and the end of the batch of about as many.
 */
import type { BatchEnd } from '../../app/batch-end.ts'
import type { Client } from '../../client/client.ts'
import type { Entry, EntryOptions } from '../../client/enqueued-job.ts'
import { ErrandError } from '../../core/errors.ts'
import { followUpId } from '../../core/id.ts'
import type { Labels } from '../../core/labels.ts'
import { referenceOf, refTo, type Given, type Ref } from '../../core/node-output.ts'
import { refuseUnknownKeys } from '../../core/option-keys.ts'
import { readList, readQueueName } from '../../core/read.ts'
import { writeReferences } from '../../core/references.ts'
import { shownValue } from '../../core/shown.ts'
import type { Accepts, AnyTask, InputOf } from '../../core/task.ts'
import { checkName } from '../../core/text.ts'
import { setImmediate } from '../../core/timers.ts'
import type { NewJob } from '../../store/job.ts'
import type { Edge, Member } from './graph.ts'
import { partSize } from './parts.ts'
import { endJob, nodeJobs, taskJobs, type RunLabels } from './plan.ts'

/** The most jobs of one batch. */
export const mostBatchJobs = 100_000

/** What runs once all jobs of a batch have ended, however they did. */
export type BatchCallback<T extends AnyTask = AnyTask> =
  /** A task whose input is how they ended. */
  | (T & Accepts<BatchEnd>)
  | string
  /** A task, its input, or a function that makes it of a reference to how they ended, and its options. */
  | readonly [
      task: T | string,
      input: Given<InputOf<T>> | ((ended: Ref<BatchEnd>) => Given<InputOf<T>>),
      options?: Omit<EntryOptions, 'group'>,
    ]

/** Options of `errand.batch`. */
export interface BatchOptions<T extends AnyTask = AnyTask> extends Pick<
  Labels,
  'tags' | 'headers'
> {
  /** Runs once, when all jobs have ended, however they did. */
  readonly onEnd?: BatchCallback<T>
  /** By which people know it. Default `'batch'`. */
  readonly name?: string
  /** Of the hidden jobs that wait for its ends. Default: that of its first job. */
  readonly queue?: string
  /** A UUID in lower case, so that a repeated start with the same entries adds nothing while the batch is known. Default: a new one. */
  readonly id?: string
  /** The caller's own transaction, on SQL stores. */
  readonly tx?: unknown
}

export type BatchEntries = Iterable<Entry> | AsyncIterable<Entry>

const optionNames = ['onEnd', 'name', 'queue', 'id', 'tx', 'tags', 'headers'] as const
const callbackName = 'onEnd'

/** The id of the job that runs once a batch has ended. */
export function callbackId(batch: string): string {
  return followUpId(batch, 0, callbackName)
}

/** Checks what `errand.batch` was given, as far as that needs no look at the entries. Throws `invalid-option` and `too-large`. */
export function checkBatch(entries: unknown, options: BatchOptions): void {
  refuseUnknownKeys(options, optionNames, 'batch()')
  const isIterable =
    typeof entries === 'object' &&
    entries !== null &&
    (Symbol.iterator in entries || Symbol.asyncIterator in entries)
  if (!isIterable) {
    throw new ErrandError(
      'invalid-option',
      `batch() takes entries, each [task, input, options], or an iterable of them, not ${shownValue(entries)}.`,
    )
  }
  if (Array.isArray(entries) && entries.length > mostBatchJobs) throw tooMany()
  if (options.name !== undefined) checkName(options.name, 'batch().name')
  if (options.queue !== undefined) readQueueName(options.queue, 'batch().queue')
}

/** Makes the jobs of a batch, in the order in which they need each other. Rejects as `enqueue` does, naming the entry. */
export async function* batchJobs(
  client: Client,
  entries: BatchEntries,
  options: BatchOptions,
  labels: RunLabels,
  most: number = mostBatchJobs,
): AsyncGenerator<NewJob> {
  const batch = new BatchEnds(client, options, labels)
  // Made first, so that a mistake in it stores nothing.
  const callback = await callbackJobs(client, options, labels)
  let index = 0
  for await (const entry of entries) {
    if (index === most) throw tooMany()
    const id = followUpId(labels.group, 0, `entry/${index}`)
    const jobs = await entryJobs(client, entry, { id, index, labels })
    yield* batch.add({ name: String(index), id }, jobs)
    index += 1
    // Others get a turn while a long list is made.
    if (index % 1_000 === 0) await new Promise(setImmediate)
  }
  yield* batch.end()
  yield* callback
}

/** Gathers the members of a batch, and makes parts of them and its end. */
class BatchEnds {
  readonly #client: Client
  readonly #options: BatchOptions
  readonly #labels: RunLabels
  #queue: string | undefined
  #total = 0
  /** Those that no part needs yet. */
  #members: Member[] = []
  #parts: string[] = []
  /** Parts of parts. */
  readonly #wholes: string[] = []
  #partsMade = 0

  constructor(client: Client, options: BatchOptions, labels: RunLabels) {
    this.#client = client
    this.#options = options
    this.#labels = labels
    this.#queue = options.queue
  }

  *add(member: Member, jobs: readonly NewJob[]): Generator<NewJob> {
    this.#queue ??= jobs.at(-1)?.queue
    if (this.#members.length === partSize) {
      if (this.#parts.length === partSize) {
        const id = this.#nextId()
        yield this.#job('part', id, { members: [], parts: this.#parts }, partSize * partSize)
        this.#wholes.push(id)
        this.#parts = []
      }
      const id = this.#nextId()
      yield this.#job('part', id, { members: this.#members, parts: [] }, partSize)
      this.#parts.push(id)
      this.#members = []
    }
    yield* jobs
    this.#members.push(member)
    this.#total += 1
  }

  *end(): Generator<NewJob> {
    const parts = [...this.#wholes, ...this.#parts]
    yield this.#job('end', this.#labels.group, { members: this.#members, parts }, this.#total)
  }

  #nextId(): string {
    this.#partsMade += 1
    return followUpId(this.#labels.group, 0, `part/${this.#partsMade}`)
  }

  #job(
    kind: 'part' | 'end',
    id: string,
    of: { readonly members: readonly Member[]; readonly parts: readonly string[] },
    total: number,
  ): NewJob {
    const needs = new Map<string, Edge>()
    for (const member of of.members) needs.set(member.id, { onFailed: 'run', isHanded: false })
    for (const part of of.parts) needs.set(part, { onFailed: 'run', isHanded: true })
    const workflow = this.#options.name ?? 'batch'
    const batch = { id: this.#labels.group, total }
    const node = { name: '', id, workflow, queue: this.#queue ?? null, ...of, batch, needs }
    const whole = { ...node, output: undefined }
    return endJob(
      this.#client,
      kind === 'end' ? { ...whole, kind } : { ...whole, kind, isTolerant: true },
      this.#labels,
      { mayFail: new Set(), firstQueue: undefined },
    )
  }
}

async function entryJobs(
  client: Client,
  entry: Entry,
  at: { readonly id: string; readonly index: number; readonly labels: RunLabels },
): Promise<readonly NewJob[]> {
  const { id, index, labels } = at
  const where = `batch(), entry ${index}`
  try {
    const form = 'a task, its input and its options'
    const [task, input, options = {}] = readList<unknown>(entry, where, form) as Entry
    refuseOptions(options, where)
    const node = { id, task, input, hasReferences: false, options }
    return await taskJobs(client, node, labels, where)
  } catch (error) {
    if (!(error instanceof ErrandError)) throw error
    const { code, message, details } = error
    throw new ErrandError(code, message, { cause: error, details: { ...details, index } })
  }
}

async function callbackJobs(
  client: Client,
  { onEnd }: BatchOptions,
  labels: RunLabels,
): Promise<readonly NewJob[]> {
  if (onEnd === undefined) return []
  const where = 'batch().onEnd'
  const end = refTo({ job: labels.group, name: 'the batch', path: [] }) as Ref<BatchEnd>
  const list = Array.isArray(onEnd) ? (onEnd as readonly unknown[]) : [onEnd, end]
  const [task, given, options = {}] = list as readonly [AnyTask | string, unknown, EntryOptions?]
  refuseOptions(options, where)
  const made: unknown = typeof given === 'function' ? (given(end) as unknown) : given
  const { value, jobs } = writeReferences(made, referenceOf)
  if ([...jobs].some((job) => job !== labels.group))
    throw new ErrandError('invalid-option', `${where} refers to what is not this batch.`)
  const isHanded = jobs.size > 0
  const needs = new Map<string, Edge>([[labels.group, { onFailed: 'run', isHanded }]])
  const node = { kind: 'task', name: callbackName, id: callbackId(labels.group), needs } as const
  return nodeJobs(
    client,
    { ...node, task, input: value, hasReferences: isHanded, options },
    labels,
    where,
  )
}

function refuseOptions(options: EntryOptions, where: string): void {
  for (const name of ['tx', 'inline', 'group']) {
    if (!(name in options)) continue
    throw new ErrandError('invalid-option', `${where} takes no ${name}.`, {
      details: { option: name },
    })
  }
}

function tooMany(): ErrandError {
  return new ErrandError(
    'too-large',
    `A batch has at most ${mostBatchJobs} jobs; of more make several batches.`,
  )
}
