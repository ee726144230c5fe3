/** One app: its configuration read and checked, shared by the client and the workers made from it. */
import type { Codec } from '../core/codec.ts'
import { toMs, type Duration } from '../core/duration.ts'
import { ErrandError } from '../core/errors.ts'
import { isInModule, readInModule, type InModule, type ModulePlace } from '../core/in-module.ts'
import { nearest } from '../core/nearest.ts'
import { refuseUnknownKeys } from '../core/option-keys.ts'
import { readPauseWhen, type LoadBounds, type PauseWhen } from '../core/pause-when.ts'
import {
  commonKeys,
  mostCount,
  normalise,
  readAgeing,
  resolve,
  type CommonOptions,
  type Layer,
  type Policy,
  type Unique,
} from '../core/options.ts'
import { collectTasks, refuseCycles, type TaskList } from '../core/task-list.ts'
import { isTask } from '../core/task.ts'
import { normaliseUnique, type UniqueLayer } from '../core/unique.ts'
import {
  readCodec,
  readFlag,
  readFunction,
  readList,
  readQueueName,
  readShape,
  refuseValue,
} from '../core/read.ts'
import { shownValue } from '../core/shown.ts'
import type { Wrap } from '../core/wrap.ts'
import { EventHub } from '../observe/events.ts'
import { logEvents, readLog, type Log } from '../observe/log.ts'
import { sayFailures } from '../observe/say-failures.ts'
import type { Telemetry } from '../observe/tracing.ts'
import type { SourceRecord } from '../store/registry.ts'
import type { Store } from '../store/store.ts'
import { ContextHolder } from './context.ts'
import { importFunction } from './import-function.ts'
import { loadTasks, type TaskSource } from './load-tasks.ts'
import { observedStore } from './observed-store.ts'

/** Settings of one queue: its slots in each worker, and defaults for its jobs. */
export interface QueueOptions extends CommonOptions {
  /** How many of its jobs one worker runs at a time. Default: the worker's slots. */
  readonly slots?: number
  /**
   * `max` is the most of its jobs that a worker claims ahead of free slots; 0 claims for free slots only. Default: as many as
   * start while the next ones are claimed, at most 2,000.
   */
  readonly buffer?: { readonly max?: number }
  readonly unique?: Unique<unknown>
  /** As for the app; `'none'` where only the app's does not hold. */
  readonly ageing?: Duration | 'none'
}

/** What `createErrand` takes. Only `store` is needed. */
export interface ErrandConfig<Context> extends CommonOptions {
  readonly store: Store
  readonly tasks?: TaskSource<NoInfer<Context>> | readonly TaskSource<NoInfer<Context>>[]
  /** Queues by name; `'*'` opens the app to queues of any name. A queue named `default` always exists. */
  readonly queues?: Readonly<Record<string, QueueOptions>>
  /**
   * A job that has waited this much longer counts as one whose priority is lower by one, so that none waits for ever behind others of
   * its queue; at most 7 days. All that enqueue into a queue need the same. Default `'none'`: priority goes before any wait.
   */
  readonly ageing?: Duration | 'none'
  /** Jobs that one worker runs at a time, over all queues. Default 10. */
  readonly slots?: number
  /** How long a worker's right to a job lasts without renewal. Default 30 s; renewed at a third of it. */
  readonly lease?: Duration
  /** The longest an idle worker waits before it looks for work unasked. Default 30 s. */
  readonly poll?: Duration
  /** From which load of its machine or container on a worker claims nothing. Default: none is looked at. */
  readonly pauseWhen?: PauseWhen
  /**
   * Whether workers look after the store beside their jobs: rescue those of dead workers, prune and fire schedules. A function gets
   * the index of the process among those of its supervisor, from 0. Default true.
   */
  readonly keeper?: boolean | ((index: number) => boolean)
  /**
   * Shared by all handlers of a process; made once when the first worker or inline run needs it. Disposed, with its disposable members, at stop.
   * Isolated tasks have one only if it is named by its module, `inModule(…)`: then each of their threads and processes makes its own.
   */
  readonly context?: (() => Context | Promise<Context>) | InModule<() => Context | Promise<Context>>
  /** Runs around each handler, outside of its task's own `wrap`; in the worker also for isolated tasks. */
  readonly wrap?: Wrap<NoInfer<Context>>
  /** Encodes input, output and kept errors. Default: plain JSON. */
  readonly codec?: Codec
  /** Further codecs for jobs that were written with them. */
  readonly codecs?: readonly Codec[]
  /** The newest finished jobs that are kept beside what `retention` says. Default 1,000,000. */
  readonly keepAtMost?: number
  /** Whether workers keep in the store what charts show: two days by the minute, a month by the hour. Default true. */
  readonly history?: boolean
  /** Default: silent. */
  readonly log?: Log
  /** Traces and measures, such as `openTelemetry()` of `errand/opentelemetry`. Default: nobody does. */
  readonly telemetry?: Telemetry
}

const configKeys = [
  'store',
  'tasks',
  'queues',
  'ageing',
  'slots',
  'lease',
  'poll',
  'pauseWhen',
  'keeper',
  'context',
  'wrap',
  'codec',
  'codecs',
  'keepAtMost',
  'history',
  'log',
  'telemetry',
]

/** A queue's settings, read. */
export interface QueueSettings {
  readonly slots: number | null
  readonly bufferMax: number | null
  readonly layer: Layer
  readonly unique: UniqueLayer | null | undefined
}

/** Timing and bounds of the app, in milliseconds where the name says so. */
const appDefaults = {
  slots: 10,
  leaseMs: 30_000,
  pollMs: 30_000,
  keepAtMost: 1_000_000,
} as const

/** What a queue says of its jobs. */
export type QueueDefaults = Pick<QueueSettings, 'layer' | 'unique'>

const noLayer: Layer = {}

/** Queues whose policies are remembered for one task; an app may be open to any number. */
const cachedQueues = 1_000

export class App {
  readonly store: Store
  readonly events: EventHub = new EventHub()
  readonly context: ContextHolder
  /** Where threads and processes import what makes a context, if it is given and named by its module. */
  readonly contextPlace: ModulePlace | 'default' | 'unnamed'
  readonly wrap: Wrap<never> | null
  readonly queues: ReadonlyMap<string, QueueSettings>
  readonly slots: number
  readonly leaseMs: number
  readonly pollMs: number
  readonly loadBounds: LoadBounds | null
  readonly keeper: boolean | ((index: number) => boolean)
  readonly keepAtMost: number
  readonly history: boolean
  readonly codec: Codec | null
  /** How the sources of this process are; whoever runs them says so here. */
  sourcesNow: () => readonly SourceRecord[] = () => []
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
    this.#layer = { ...normalise(config, where, configKeys), ...readAgeing(config.ageing, where) }
    const { slots = appDefaults.slots, keepAtMost = appDefaults.keepAtMost } = config
    const { lease = appDefaults.leaseMs, poll = appDefaults.pollMs } = config
    const { context = () => ({}), codec, codecs = [], tasks = [], queues = {} } = config
    this.store = observedStore(config.store, this.events)
    const place = isInModule(context) ? readInModule(context, `${where}.context`) : null
    this.contextPlace = place ?? (config.context === undefined ? 'default' : 'unnamed')
    this.context = new ContextHolder(
      place === null
        ? readFunction(context as () => unknown, `${where}.context`)
        : async () => (await importFunction(place))(),
    )
    this.wrap = config.wrap === undefined ? null : readFunction(config.wrap, `${where}.wrap`)
    this.slots = readCount(slots, `${where}.slots`)
    this.leaseMs = toMs(lease, `${where}.lease`)
    if (this.leaseMs < 500)
      throw new ErrandError('invalid-option', `${where}.lease must be at least 500 ms.`)
    this.pollMs = toMs(poll, `${where}.poll`)
    this.loadBounds = readPauseWhen(config.pauseWhen, `${where}.pauseWhen`)
    this.keeper = readKeeper(config.keeper ?? true, `${where}.keeper`)
    this.keepAtMost = readCount(keepAtMost, `${where}.keepAtMost`)
    this.history = readFlag(config.history ?? true, `${where}.history`)
    this.codec = codec === undefined ? null : readCodec(codec, `${where}.codec`)
    for (const [index, one] of readList(codecs, `${where}.codecs`, 'codecs').entries())
      this.addCodec(readCodec(one, `${where}.codecs[${index}]`))
    if (this.codec !== null) this.addCodec(this.codec)
    this.queues = readQueues(queues)
    this.#sources = readSources([tasks].flat(), `${where}.tasks`)
    this.#root = root
    // Those that are given as they are need no loading to be looked at.
    refuseCycles(this.#sources.filter(isTask))
    if (config.log === undefined) sayFailures(this.events)
    else logEvents(this.events, readLog(config.log, `${where}.log`))
    if (config.telemetry !== undefined)
      readShape(
        config.telemetry,
        ['attach'],
        `${where}.telemetry`,
        'come from openTelemetry()',
      ).attach(this.events)
  }

  /** The app's tasks; loads modules named by globs at the first call. Rejects with the error of a module that fails to load. */
  tasks(): Promise<TaskList> {
    this.#loading ??= loadTasks(this.#sources, this.#root).then((tasks) => {
      const publishing = tasks.flatMap(({ definition }) => definition.publish).filter(isTask)
      this.#registry = collectTasks([...tasks, ...publishing])
      for (const { definition } of this.#registry.tasks) {
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
    task: {
      readonly name: string
      readonly layer: Layer
      readonly ofQueues?: ReadonlyMap<string, QueueDefaults>
    } | null,
    queue: string,
  ): Policy {
    const settings = this.queueSettings(queue) ?? task?.ofQueues?.get(queue)
    const levels = [task?.layer, settings?.layer, this.#layer]
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
      for (const queue of task.definition.queues) names.add(queue)
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
    refuseUnknownKeys(options, ['slots', 'buffer', 'unique', 'ageing', ...commonKeys], where)
    const { slots, buffer, unique, ageing, ...common } = options
    read.set(name, {
      slots: slots === undefined ? null : readCount(slots, `${where}.slots`),
      bufferMax: buffer === undefined ? null : readBuffer(buffer, `${where}.buffer`),
      layer: { ...normalise(common, where), ...readAgeing(ageing, where) },
      unique: normaliseUnique(unique, `${where}.unique`),
    })
  }
  return read
}

function readBuffer(buffer: NonNullable<QueueOptions['buffer']>, where: string): number | null {
  refuseUnknownKeys(buffer, ['max'], where)
  if (buffer.max === undefined || buffer.max === 0) return buffer.max ?? null
  return readCount(buffer.max, `${where}.max`)
}

/** Checks who looks after the store. */
export function readKeeper<K extends boolean | ((index: number) => boolean)>(
  keeper: K,
  where: string,
): K {
  if (typeof keeper === 'boolean' || typeof keeper === 'function') return keeper
  return refuseValue(where, 'true, false or a function of the index of the process', keeper)
}

/** Checks a count of slots or the like: a whole number from 1 to 1,000,000,000. */
export function readCount(value: number, where: string): number {
  if (Number.isInteger(value) && value >= 1 && value <= mostCount) return value
  throw new ErrandError(
    'invalid-option',
    `${where} must be a whole number from 1 to ${mostCount}, not ${shownValue(value)}.`,
  )
}
