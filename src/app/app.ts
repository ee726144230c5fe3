/** One app: its configuration read and checked, shared by the client and the workers made from it. */
import type { Codec } from '../core/codec.ts'
import { toMs, type Duration } from '../core/duration.ts'
import { ErrandError } from '../core/errors.ts'
import { nearest } from '../core/nearest.ts'
import { refuseUnknownKeys } from '../core/option-keys.ts'
import {
  commonKeys,
  mostCount,
  normalise,
  resolve,
  type CommonOptions,
  type Layer,
  type Policy,
  type Unique,
} from '../core/options.ts'
import { collectTasks, type TaskList } from '../core/task-list.ts'
import type { Definition } from '../core/task.ts'
import { normaliseUnique, type UniqueLayer } from '../core/unique.ts'
import { readCodec, readFunction, readList, readQueueName, refuseValue } from '../core/read.ts'
import { shownValue } from '../core/shown.ts'
import { EventHub } from '../observe/events.ts'
import { logEvents, readLog, type Log } from '../observe/log.ts'
import type { Store } from '../store/store.ts'
import { ContextHolder } from './context.ts'
import { loadTasks } from './load-tasks.ts'

/** A task whose handler is content with `Context`: what an app has beside is no harm. */
interface TaskIn<Context> {
  readonly name: string
  readonly definition: Definition
  readonly types?: { readonly context: (context: Context) => void }
}

/** Tasks, modules that export tasks, or a glob of such modules, relative to the file that calls `createErrand`. */
export type TaskSource<Context = never> =
  | string
  | TaskIn<Context>
  | Readonly<Record<string, unknown>>

/** Settings of one queue: its slots in each worker, and defaults for its jobs. */
export interface QueueOptions extends CommonOptions {
  /** How many of its jobs one worker runs at a time. Default: the worker's slots. */
  readonly slots?: number
  readonly unique?: Unique<unknown>
}

/** What `createErrand` takes. Only `store` is needed. */
export interface ErrandConfig<Context> extends CommonOptions {
  readonly store: Store
  readonly tasks?: TaskSource<NoInfer<Context>> | readonly TaskSource<NoInfer<Context>>[]
  /** Queues by name; `'*'` opens the app to queues of any name. A queue named `default` always exists. */
  readonly queues?: Readonly<Record<string, QueueOptions>>
  /** Jobs that one worker runs at a time, over all queues. Default 10. */
  readonly slots?: number
  /** How long a worker's right to a job lasts without renewal. Default 30 s; renewed at a third of it. */
  readonly lease?: Duration
  /** The longest an idle worker waits before it looks for work unasked. Default 30 s. */
  readonly poll?: Duration
  /** Shared by all handlers of a process; made once when the first worker or inline run needs it. Disposed, with its disposable members, at stop. */
  readonly context?: () => Context | Promise<Context>
  /** Encodes input, output and kept errors. Default: plain JSON. */
  readonly codec?: Codec
  /** Further codecs for jobs that were written with them. */
  readonly codecs?: readonly Codec[]
  /** The newest finished jobs that are kept beside what `retention` says. Default 1,000,000. */
  readonly keepAtMost?: number
  /** Default: silent. */
  readonly log?: Log
}

const configKeys = [
  'store',
  'tasks',
  'queues',
  'slots',
  'lease',
  'poll',
  'context',
  'codec',
  'codecs',
  'keepAtMost',
  'log',
]

/** A queue's settings, read. */
export interface QueueSettings {
  readonly slots: number | null
  readonly layer: Layer
  readonly unique: UniqueLayer | null | undefined
}

/** Timing and bounds of the app, in milliseconds where the name says so. */
const appDefaults = {
  slots: 10,
  leaseMs: 30_000,
  pollMs: 30_000,
  sweepMs: 5_000,
  keepAtMost: 1_000_000,
} as const

const noLayer: Layer = {}

/** Queues whose policies are remembered for one task; an app may be open to any number. */
const cachedQueues = 1_000

export class App {
  readonly store: Store
  readonly events: EventHub = new EventHub()
  readonly context: ContextHolder
  readonly queues: ReadonlyMap<string, QueueSettings>
  readonly slots: number
  readonly leaseMs: number
  readonly pollMs: number
  readonly keepAtMost: number
  readonly codec: Codec | null
  readonly #codecs = new Map<string, Codec>()
  readonly #layer: Layer
  readonly #sources: readonly TaskSource[]
  readonly #root: string
  /** By the task's layer, not by its name: the same name may be known from a definition and from the registry. */
  readonly #policies = new WeakMap<Layer, Map<string, Policy>>()
  #registry: TaskList | null = null
  #loading: Promise<TaskList> | null = null

  /** `root` is the folder that globs are relative to. Throws `invalid-option` for a configuration that cannot work. */
  constructor(config: ErrandConfig<unknown>, root: string) {
    const where = 'createErrand()'
    if (typeof config?.store?.claim !== 'function') {
      throw new ErrandError(
        'invalid-option',
        `${where} needs a store, such as sqlite('errand.db') from 'errand/sqlite'.`,
      )
    }
    this.#layer = normalise(config, where, configKeys)
    const { slots = appDefaults.slots, keepAtMost = appDefaults.keepAtMost } = config
    const { lease = appDefaults.leaseMs, poll = appDefaults.pollMs } = config
    const { context = () => ({}), codec, codecs = [], tasks = [], queues = {} } = config
    this.store = config.store
    this.context = new ContextHolder(readFunction(context, `${where}.context`))
    this.slots = readCount(slots, `${where}.slots`)
    this.leaseMs = toMs(lease, `${where}.lease`)
    if (this.leaseMs < 500)
      throw new ErrandError('invalid-option', `${where}.lease must be at least 500 ms.`)
    this.pollMs = toMs(poll, `${where}.poll`)
    this.keepAtMost = readCount(keepAtMost, `${where}.keepAtMost`)
    this.codec = codec === undefined ? null : readCodec(codec, `${where}.codec`)
    for (const [index, one] of readList(codecs, `${where}.codecs`, 'codecs').entries())
      this.addCodec(readCodec(one, `${where}.codecs[${index}]`))
    if (this.codec !== null) this.addCodec(this.codec)
    this.queues = readQueues(queues)
    this.#sources = readSources([tasks].flat(), `${where}.tasks`)
    this.#root = root
    if (config.log !== undefined) logEvents(this.events, readLog(config.log, `${where}.log`))
  }

  /** The app's tasks; loads modules named by globs at the first call. Rejects with the error of a module that fails to load. */
  tasks(): Promise<TaskList> {
    this.#loading ??= loadTasks(this.#sources, this.#root).then((tasks) => {
      this.#registry = collectTasks(tasks)
      for (const { definition } of tasks) {
        if (definition.codec !== null) this.#codecs.set(definition.codec.name, definition.codec)
      }
      return this.#registry
    })
    return this.#loading
  }

  /** The app's tasks, once they are loaded; null before. */
  get loaded(): TaskList | null {
    return this.#registry
  }

  /** Finds a codec by the name that a job recorded. */
  findCodec(name: string): Codec | undefined {
    return this.#codecs.get(name)
  }

  /** Lets jobs written by a codec be read. */
  addCodec(codec: Codec): void {
    this.#codecs.set(codec.name, codec)
  }

  /** Options of a job: those of the call over those of its task, its queue, the app, and the defaults. */
  policy(
    call: Layer | null,
    task: { readonly name: string; readonly layer: Layer } | null,
    queue: string,
  ): Policy {
    const levels = [task?.layer, this.queueSettings(queue)?.layer, this.#layer]
    if (call !== null) return resolve(call, ...levels)
    const layer = task?.layer ?? noLayer
    const byQueue = this.#policies.get(layer) ?? new Map<string, Policy>()
    this.#policies.set(layer, byQueue)
    let policy = byQueue.get(queue)
    if (policy === undefined) {
      if (byQueue.size >= cachedQueues) byQueue.clear()
      byQueue.set(queue, (policy = resolve(...levels)))
    }
    return policy
  }

  /** Settings of a queue: its own, or those of `'*'`; undefined for a queue that the app does not name. */
  queueSettings(queue: string): QueueSettings | undefined {
    return this.queues.get(queue) ?? this.queues.get('*')
  }

  /** Every queue that the app names: in `queues`, by a task, and `default`. Without `'*'`. */
  queueNames(): readonly string[] {
    const names = new Set([...this.queues.keys(), 'default'])
    for (const task of this.#registry?.tasks ?? []) {
      if (task.definition.queue !== null) names.add(task.definition.queue)
    }
    names.delete('*')
    return [...names]
  }

  /** Whether the app takes queues of any name. */
  get open(): boolean {
    return this.queues.has('*')
  }

  /** Throws `unknown-queue` for a queue that neither a task nor `queues` names, unless the app is open to any. */
  checkQueue(queue: string): void {
    if (this.open || this.queues.has(queue) || queue === 'default') return
    const names = this.queueNames()
    if (names.includes(queue)) return
    const meant = nearest(queue, names)
    throw new ErrandError(
      'unknown-queue',
      `No queue is called ${queue}. ${meant === null ? `Add it to \`queues\`; known are ${names.join(', ')}.` : `Did you mean ${meant}?`}`,
      { details: { queue } },
    )
  }
}

/** Refuses what is neither a task, nor a module, nor a glob; what modules and globs hold shows when they are loaded. */
function readSources(sources: readonly TaskSource[], where: string): readonly TaskSource[] {
  for (const [index, source] of sources.entries()) {
    const isOne = typeof source === 'string' ? source !== '' : isObject(source)
    if (isOne) continue
    throw new ErrandError(
      'invalid-option',
      `${where}[${index}] must be a task, a module that exports tasks, or a glob, not ${shownValue(source)}.${source === undefined ? ' Do two modules import each other?' : ''}`,
    )
  }
  return sources
}

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null
}

function readQueues(
  queues: Readonly<Record<string, QueueOptions>>,
): ReadonlyMap<string, QueueSettings> {
  const read = new Map<string, QueueSettings>()
  if (typeof queues !== 'object' || queues === null || Array.isArray(queues))
    refuseValue('createErrand().queues', 'an object such as { mail: { slots: 5 } }', queues)
  for (const [name, options] of Object.entries(queues)) {
    const where = `queues[${JSON.stringify(name)}]`
    readQueueName(name, where)
    refuseUnknownKeys(options, ['slots', 'unique', ...commonKeys], where)
    const { slots, unique, ...common } = options
    read.set(name, {
      slots: slots === undefined ? null : readCount(slots, `${where}.slots`),
      layer: normalise(common, where),
      unique: normaliseUnique(unique, `${where}.unique`),
    })
  }
  return read
}

/** Checks a count of slots or the like: a whole number from 1 to 1,000,000,000. */
export function readCount(value: number, where: string): number {
  if (Number.isInteger(value) && value >= 1 && value <= mostCount) return value
  throw new ErrandError(
    'invalid-option',
    `${where} must be a whole number from 1 to ${mostCount}, not ${shownValue(value)}.`,
  )
}
