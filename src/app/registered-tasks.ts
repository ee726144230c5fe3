/** The tasks registry's entries: written by who has a task's code, read by who has only its name. */
import type { StandardJSONSchemaV1, StandardSchemaV1 } from '@standard-schema/spec'
import { ErrandError } from '../core/errors.ts'
import type { Layer } from '../core/options.ts'
import type { AnyTask } from '../core/task.ts'
import type { UniqueLayer } from '../core/unique.ts'
import type { RegisteredTask } from '../store/registry.ts'
import type { App } from './app.ts'
import type { TaskFacts } from './new-job.ts'

/** What `RegisteredTask.options` holds as JSON. A unique key that a function gives is marked, since JSON can't hold it. */
interface RegisteredOptions {
  readonly layer: Layer
  readonly unique?:
    | (Omit<UniqueLayer, 'key'> & { readonly key: string | null; readonly byFunction: boolean })
    | null
}

/** Describes a task for the registry, with the options of its queue that hold at enqueue. */
export function describeTask(app: App, task: AnyTask): RegisteredTask {
  const { name, aliases, input, layer, unique } = task.definition
  const queue = task.definition.queue ?? 'default'
  const settings = app.queueSettings(queue)
  const rule = unique === undefined ? settings?.unique : unique
  const options: RegisteredOptions = {
    layer: enqueueLayer({
      ...settings?.layer,
      ...layer,
      keepMs: { ...settings?.layer.keepMs, ...layer.keepMs },
    }),
    ...(rule === undefined ? {} : { unique: rule === null ? null : storable(rule) }),
  }
  return {
    name,
    aliases,
    queue,
    inputSchema: jsonSchemaOf(input),
    options: JSON.stringify(options),
  }
}

/** Reads an entry back. */
export function readRegistered(task: RegisteredTask): TaskFacts {
  const { layer, unique } = JSON.parse(task.options) as RegisteredOptions
  return {
    name: task.name,
    aliases: task.aliases,
    queue: task.queue,
    layer,
    unique: unique
      ? { ...unique, key: unique.byFunction ? unknowableKey(task.name) : unique.key }
      : unique,
    codec: null,
  }
}

/** The part of a layer that is used when a job is made; the rest is read where it runs. */
function enqueueLayer({ priority, startWithinMs, deadlineMs, keepMs }: Layer): Layer {
  return {
    ...(priority === undefined ? {} : { priority }),
    ...(startWithinMs === undefined ? {} : { startWithinMs }),
    ...(deadlineMs === undefined ? {} : { deadlineMs }),
    ...(keepMs?.cancelled === undefined ? {} : { keepMs: { cancelled: keepMs.cancelled } }),
  }
}

function storable(rule: UniqueLayer): NonNullable<RegisteredOptions['unique']> {
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

/** The JSON Schema of what a schema takes, if its library can tell. */
function jsonSchemaOf(schema: StandardSchemaV1 | null): string | null {
  const converter = (schema?.['~standard'] as Partial<StandardJSONSchemaV1.Props> | undefined)
    ?.jsonSchema
  if (converter === undefined) return null
  try {
    return JSON.stringify(converter.input({ target: 'draft-2020-12' }))
  } catch {
    // A schema with parts that JSON Schema cannot say, such as a date: the worker still checks the input.
    return null
  }
}
