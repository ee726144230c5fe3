/** The tasks registry's entries: written by who has a task's code, read by who has only its name. */
import { ErrandError } from '../core/errors.ts'
import type { Layer } from '../core/options.ts'
import type { AnyTask } from '../core/task.ts'
import type { UniqueLayer } from '../core/unique.ts'
import type { RegisteredTask } from '../store/registry.ts'
import type { App, QueueDefaults } from './app.ts'
import type { TaskFacts } from './new-job.ts'
import { jsonSchemaOf } from './json-schema-of.ts'

type StoredUnique =
  | (Omit<UniqueLayer, 'key'> & { readonly key: string | null; readonly byFunction: boolean })
  | null

/** What `RegisteredTask.options` holds as JSON. A unique key that a function gives is marked, since JSON can't hold it. */
interface RegisteredOptions extends RegisteredAbout, RegisteredTimes {
  readonly layer: Layer
  readonly unique?: StoredUnique
  /**
   * Of a task with several queues: what holds in each. Then `layer` and `unique` are the task's own. Of one queue: what holds in no
   * other.
   */
  readonly ofQueues?: Readonly<
    Record<string, { readonly layer: Layer; readonly unique?: StoredUnique }>
  >
  readonly before?: readonly string[]
  readonly onNeedFailed?: 'cancel' | 'run' | 'fail'
  readonly onSuccess?: readonly string[]
  readonly onFailure?: readonly string[]
  readonly publish?: readonly string[]
}

/** What the document of the HTTP API says of a task beside its input. */
interface RegisteredAbout {
  /** All queues, where there are several. */
  readonly queues?: readonly string[]
  /** A JSON Schema of draft 2020-12. */
  readonly outputSchema?: unknown
  readonly description?: string
  readonly examples?: readonly unknown[]
  readonly tags?: readonly string[]
}

/** By the store's clock. */
export interface RegisteredTimes {
  /** When a worker with this definition was started. */
  readonly registeredAt?: number
  /** When somebody last said that it serves the task; renewed each hour. */
  readonly servedAt?: number
}

/** An entry as people read it. */
export interface TaskNotes extends RegisteredTimes {
  readonly name: string
  /** Its queues, the default first. */
  readonly queues: readonly string[]
  /** JSON Schemas of draft 2020-12, not checked; null where none is known. */
  readonly inputSchema: unknown
  readonly outputSchema: unknown
  readonly description: string | null
  readonly examples: readonly unknown[]
  readonly tags: readonly string[]
}

const described = new WeakMap<App, WeakMap<AnyTask, RegisteredTask>>()

/**
 * Describes a task for the registry, with the options of its queues that hold at enqueue. Warns, once in an app, of a schema that
 * gives no JSON Schema.
 */
export function describeTask(app: App, task: AnyTask): RegisteredTask {
  const known = described.get(app) ?? new WeakMap<AnyTask, RegisteredTask>()
  described.set(app, known)
  const made = known.get(task) ?? makeEntry(app, task)
  known.set(task, made)
  return made
}

function makeEntry(app: App, task: AnyTask): RegisteredTask {
  const { name, aliases, input, output, layer, unique } = task.definition
  const { before, onNeedFailed, onSuccess, onFailure, publish, queues, about } = task.definition
  const queue = task.definition.queue ?? 'default'
  const isOfSeveral = queues.length > 1
  const settings = isOfSeveral ? undefined : app.queueSettings(queue)
  const rule = unique === undefined ? settings?.unique : unique
  const { ageingMs, ...ofQueue } = settings?.layer ?? {}
  const schemaOf = (of: 'input' | 'output'): string | null => {
    const schema = jsonSchemaOf(of === 'input' ? input : output, of)
    if (schema === null || typeof schema === 'string') return schema
    app.events.warn('no-json-schema', { task: name, of, why: schema.why })
    return null
  }
  const outputSchema = schemaOf('output')
  const options: RegisteredOptions = {
    layer: storableLayer({
      ...ofQueue,
      ...layer,
      keepMs: { ...ofQueue.keepMs, ...layer.keepMs },
    }),
    ...(rule === undefined ? {} : { unique: storable(rule) }),
    ...(before.length === 0 ? {} : { before: before.map(nameOf) }),
    ...(onNeedFailed === null ? {} : { onNeedFailed }),
    ...(onSuccess.length === 0 ? {} : { onSuccess: onSuccess.map(nameOf) }),
    ...(onFailure.length === 0 ? {} : { onFailure: onFailure.map(nameOf) }),
    ...(publish.length === 0 ? {} : { publish: publish.map(nameOf) }),
    ...(isOfSeveral ? { queues, ofQueues: defaultsOf(app, queues) } : {}),
    // It holds for this queue alone, wherever a call puts the job.
    ...(ageingMs === undefined ? {} : { ofQueues: { [queue]: { layer: { ageingMs } } } }),
    ...(outputSchema === null ? {} : { outputSchema: JSON.parse(outputSchema) as unknown }),
    ...(about.description === null ? {} : { description: about.description }),
    ...(about.examples.length === 0 ? {} : { examples: about.examples }),
    ...(about.tags.length === 0 ? {} : { tags: about.tags }),
  }
  return {
    name,
    aliases,
    queue,
    inputSchema: schemaOf('input'),
    options: JSON.stringify(options),
  }
}

function defaultsOf(
  app: App,
  queues: readonly string[],
): NonNullable<RegisteredOptions['ofQueues']> {
  const made = queues.flatMap((queue) => {
    const settings = app.queueSettings(queue)
    if (settings === undefined) return []
    const { layer, unique } = settings
    const stored = {
      layer: storableLayer(layer),
      ...(unique === undefined ? {} : { unique: storable(unique) }),
    }
    return [[queue, stored] as const]
  })
  return Object.fromEntries(made)
}

/** Reads an entry back, for jobs that are made of it. */
export function readRegistered(task: RegisteredTask): TaskFacts {
  const {
    layer,
    unique,
    queues = [],
    ofQueues = {},
    before = [],
    onNeedFailed = null,
    onSuccess = [],
    onFailure = [],
    publish = [],
  } = JSON.parse(task.options) as RegisteredOptions
  const defaults = Object.entries(ofQueues).map(([queue, stored]): [string, QueueDefaults] => [
    queue,
    { layer: stored.layer, unique: usable(stored.unique, task.name) },
  ])
  return {
    name: task.name,
    aliases: task.aliases,
    queue: task.queue,
    queues,
    ofQueues: new Map(defaults),
    layer,
    unique: usable(unique, task.name),
    codec: null,
    before,
    onNeedFailed,
    onSuccess,
    onFailure,
    publish,
  }
}

/** Reads an entry back, for people. What something else wrote and does not fit is left out. */
export function readNotes(task: RegisteredTask): TaskNotes {
  const options = parsed(task.options)
  const { description, outputSchema = null, registeredAt, servedAt } = options
  const queues = textsOf(options.queues)
  return {
    name: task.name,
    queues: queues.length === 0 ? [task.queue] : queues,
    inputSchema: task.inputSchema === null ? null : parsedSchema(task.inputSchema),
    outputSchema,
    description: typeof description === 'string' ? description : null,
    examples: Array.isArray(options.examples) ? options.examples : [],
    tags: textsOf(options.tags),
    ...(typeof registeredAt === 'number' ? { registeredAt } : {}),
    ...(typeof servedAt === 'number' ? { servedAt } : {}),
  }
}

/** The same entry with other times. */
export function withTimes(task: RegisteredTask, times: Required<RegisteredTimes>): RegisteredTask {
  return { ...task, options: JSON.stringify({ ...parsed(task.options), ...times }) }
}

/** The same entry without times, as one text, to compare what two entries say. */
export function sayingOf({ name, aliases, queue, inputSchema, options }: RegisteredTask): string {
  const { registeredAt: _registered, servedAt: _served, ...rest } = parsed(options)
  return JSON.stringify([name, aliases, queue, inputSchema, rest])
}

function parsed(options: string): Partial<RegisteredOptions> {
  try {
    const value: unknown = JSON.parse(options)
    return typeof value === 'object' && value !== null ? value : {}
  } catch {
    // Something else than Errand wrote the entry.
    return {}
  }
}

function parsedSchema(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    // Something else than Errand wrote the entry.
    return null
  }
}

function textsOf(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.filter((one) => typeof one === 'string') : []
}

function usable(unique: StoredUnique | undefined, task: string): UniqueLayer | null | undefined {
  if (unique === null || unique === undefined) return unique
  return { ...unique, key: unique.byFunction ? unknowableKey(task) : unique.key }
}

function nameOf(task: string | AnyTask): string {
  return typeof task === 'string' ? task : task.name
}

/**
 * What of a layer JSON can hold: what is used when a job is made, and what decides how it ends, for a manager that does this for workers
 * without the code. A backoff by a function and `retry.when` hold only where the task is defined.
 */
function storableLayer({ retryWhen: _, backoff, ...others }: Layer): Layer {
  return {
    ...others,
    ...(backoff === undefined || typeof backoff === 'function' ? {} : { backoff }),
  }
}

function storable(rule: UniqueLayer | null): StoredUnique {
  if (rule === null) return null
  const { key, ...others } = rule
  const byFunction = typeof key === 'function'
  return { ...others, key: byFunction ? null : key, byFunction }
}

function unknowableKey(task: string): () => string {
  return () => {
    throw new ErrandError(
      'invalid-option',
      `${task} makes its unique key by a function, which is known only where the task is defined. Enqueue it there, or pass unique with a key of its own.`,
      { details: { task } },
    )
  }
}
