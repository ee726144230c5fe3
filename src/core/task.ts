/**
 * Tasks: named, typed definitions of work. A task can be defined without its handler, so that producers bundle
 * no handlers; `run`, `onSuccess` and `onFailure` add the rest.
 */
import type { StandardSchemaV1 } from '@standard-schema/spec'
import type { Codec } from './codec.ts'
import type { FailureReport } from './enqueue-options.ts'
import { ErrandError } from './errors.ts'
import type { Handler, RunningJob } from './running-job.ts'
import { normalise, type CommonOptions, type Layer, type Unique } from './options.ts'
import { checkName } from './text.ts'
import { readCodec, readList, readQueueName } from './read.ts'
import { shownValue } from './shown.ts'
import { normaliseUnique, type UniqueLayer } from './unique.ts'

/** A task that takes `Input` at enqueue, hands `Parsed` to its handler and gives `Output`. */
export interface Task<Input = unknown, Parsed = Input, Output = unknown, Context = never> {
  readonly name: string
  readonly definition: Definition
  /** Adds the handler. Throws `invalid-task` when there is one already. */
  run(handler: Handler<Parsed, Output, Context>): this
  /** Adds tasks that follow when a job completes; its output is their input. */
  onSuccess(...tasks: readonly (string | Accepts<Output>)[]): this
  /** Adds tasks that follow when a job fails; their input is a `FailureReport`. */
  onFailure(...tasks: readonly (string | Accepts<FailureReport>)[]): this
  /** Only for the compiler. */
  readonly types?: {
    readonly input: (input: Input) => void
    readonly output: Output
    readonly context: (context: Context) => void
  }
}

/** Any task whose input may be `Value`. */
export interface Accepts<Value> {
  readonly name: string
  readonly definition: Definition
  readonly types?: { readonly input: (input: Value) => void }
}

/** Any task at all. */
// oxlint-disable-next-line typescript/no-explicit-any -- the one type that every task fits
export type AnyTask = Task<any, any, any, any>

/** What a task takes at enqueue. */
export type InputOf<T> = T extends Task<infer Input, infer _P, infer _O, infer _C> ? Input : never
/** What a task's result is. */
export type OutputOf<T> =
  T extends Task<infer _I, infer _P, infer Output, infer _C> ? Output : never

/** What `task()` takes beside schemas, handler and follow-ups. */
export interface TaskOptions<Input> extends CommonOptions {
  /** How jobs name the task, in every store and for ever. Unique in an app. */
  readonly name: string
  /** Names that the task had before: jobs stored under them still run. */
  readonly aliases?: readonly string[]
  /** Default `'default'`. */
  readonly queue?: string
  readonly unique?: Unique<Input>
  /** Overrides the app's codec for this task. */
  readonly codec?: Codec
}

/** A task as the parts of Errand see it: everything read and checked. */
export interface Definition {
  readonly name: string
  readonly aliases: readonly string[]
  readonly queue: string | null
  readonly input: StandardSchemaV1 | null
  readonly output: StandardSchemaV1 | null
  readonly layer: Layer
  readonly unique: UniqueLayer | null | undefined
  readonly codec: Codec | null
  /** Where `task()` was called, as file:line, for messages. */
  readonly place: string
  readonly handler: Handler<unknown, unknown, unknown> | null
  readonly onSuccess: readonly (string | AnyTask)[]
  readonly onFailure: readonly (string | AnyTask)[]
}

interface Schemas<I, O> {
  readonly input: I
  readonly output: O
}

interface Follows<Output> {
  readonly onSuccess?: OneOrSeveral<string | FollowerOf<Output>>
  readonly onFailure?: OneOrSeveral<string | Accepts<FailureReport>>
}

/** While the compiler has not seen `run` yet, the output is `unknown` to it, and any task will do. */
type FollowerOf<Output> = unknown extends Output ? AnyTask : Accepts<Output>
type OneOrSeveral<T> = T | readonly T[]
type InOf<S extends StandardSchemaV1> = StandardSchemaV1.InferInput<S>
type OutOf<S extends StandardSchemaV1> = StandardSchemaV1.InferOutput<S>

/** `task()` for an app whose context is `Context`. */
export interface TaskMaker<Context> {
  /** With schemas for input and output. */
  <I extends StandardSchemaV1, O extends StandardSchemaV1>(
    definition: TaskOptions<InOf<I>> &
      Schemas<I, O> &
      Follows<OutOf<O>> & {
        readonly run?: (
          input: OutOf<I>,
          job: RunningJob<Context, InOf<O>>,
        ) => InOf<O> | Promise<InOf<O>>
      },
  ): Task<InOf<I>, OutOf<I>, OutOf<O>, Context>
  /** With a schema for the input; the output is what `run` answers. */
  <I extends StandardSchemaV1, Output = unknown>(
    definition: TaskOptions<InOf<I>> &
      Follows<NoInfer<Output>> & {
        readonly input: I
        readonly output?: undefined
        readonly run?: (input: OutOf<I>, job: RunningJob<Context>) => Output | Promise<Output>
      },
  ): Task<InOf<I>, OutOf<I>, Output, Context>
  /** With a schema for the output; the input is what `run` is annotated with. */
  <Input, O extends StandardSchemaV1>(
    definition: TaskOptions<NoInfer<Input>> &
      Follows<OutOf<O>> & {
        readonly input?: undefined
        readonly output: O
        readonly run?: (
          input: Input,
          job: RunningJob<Context, InOf<O>>,
        ) => InOf<O> | Promise<InOf<O>>
      },
  ): Task<Input, Input, OutOf<O>, Context>
  /** Without schemas: types come from the annotation of `run`, or from type arguments; any JSON is taken. */
  <Input = undefined, Output = unknown>(
    definition: TaskOptions<NoInfer<Input>> &
      Follows<NoInfer<Output>> & {
        readonly input?: undefined
        readonly output?: undefined
        readonly run?: (input: Input, job: RunningJob<Context>) => Output | Promise<Output>
      },
  ): Task<Input, Input, Output, Context>
}

/** Makes `task` functions whose handlers see `job.context` as `Context`. */
export function tasksWith<Context>(): { readonly task: TaskMaker<Context> } {
  return { task: defineTask as unknown as TaskMaker<Context> }
}

/**
 * Defines a task. Throws `invalid-task` or `invalid-option` for a definition that cannot work.
 *
 * @example
 * const resize = task({ name: 'images.resize', input: z.object({ path: z.string() }), run: async ({ path }) => shrink(path) })
 */
export const task: TaskMaker<unknown> = defineTask as unknown as TaskMaker<unknown>

type Given = TaskOptions<never> &
  Follows<never> & {
    readonly input?: StandardSchemaV1
    readonly output?: StandardSchemaV1
    readonly run?: Handler<never, unknown, never>
  }

const taskKeys = [
  'name',
  'aliases',
  'queue',
  'unique',
  'codec',
  'input',
  'output',
  'run',
  'onSuccess',
  'onFailure',
]

function defineTask(given: Given): AnyTask {
  const place = callerPlace()
  if (typeof given !== 'object' || given === null) {
    throw new ErrandError(
      'invalid-task',
      `task() at ${place} needs an object such as { name: 'mail', run: (input) => … }, not ${shownValue(given)}.`,
    )
  }
  const where = `task ${shownValue(given.name)}`
  const aliases = readList(
    given.aliases === undefined ? [] : given.aliases,
    `${where}.aliases`,
    'names',
  )
  for (const name of [given.name, ...aliases]) {
    checkName(name, `${where} at ${place}`, 'invalid-task')
    if (name.trim() !== name)
      throw new ErrandError(
        'invalid-task',
        `${where} at ${place}: a name has 1 to 200 characters, without spaces around them.`,
      )
  }
  const definition = {
    name: given.name,
    aliases,
    queue: given.queue === undefined ? null : readQueueName(given.queue, `${where}.queue`),
    input: readSchema(given.input, `${where}.input`),
    output: readSchema(given.output, `${where}.output`),
    layer: normalise(given, where, taskKeys),
    unique: normaliseUnique(given.unique, `${where}.unique`),
    codec: given.codec === undefined ? null : readCodec(given.codec, `${where}.codec`),
    place,
    handler: null as Handler<unknown, unknown, unknown> | null,
    onSuccess: [] as (string | AnyTask)[],
    onFailure: [] as (string | AnyTask)[],
  }
  const made: AnyTask = {
    name: given.name,
    definition,
    run(handler) {
      if (typeof handler !== 'function')
        throw new ErrandError('invalid-task', `${where}: run must be a function.`)
      if (definition.handler !== null) {
        throw new ErrandError(
          'invalid-task',
          `${where} at ${place} has a handler already; a task has one.`,
        )
      }
      definition.handler = handler
      return made
    },
    onSuccess(...tasks) {
      definition.onSuccess.push(...readFollowUps(tasks, `${where}.onSuccess`))
      return made
    },
    onFailure(...tasks) {
      definition.onFailure.push(...readFollowUps(tasks, `${where}.onFailure`))
      return made
    },
  }
  if (given.run !== undefined) made.run(given.run as Handler<unknown, unknown, unknown>)
  if (given.onSuccess !== undefined)
    made.onSuccess(...([given.onSuccess].flat() as (string | AnyTask)[]))
  if (given.onFailure !== undefined)
    made.onFailure(...([given.onFailure].flat() as (string | AnyTask)[]))
  return made
}

/** Tells whether a value came from `task()`. */
export function isTask(value: unknown): value is AnyTask {
  return (
    typeof value === 'object' &&
    value !== null &&
    'definition' in value &&
    'onFailure' in value &&
    'name' in value
  )
}

function readSchema(schema: StandardSchemaV1 | undefined, where: string): StandardSchemaV1 | null {
  if (schema === undefined) return null
  if (typeof schema?.['~standard']?.validate === 'function') return schema
  throw new ErrandError(
    'invalid-task',
    `${where} must be a Standard Schema, such as one of zod, valibot or arktype.`,
  )
}

/** Checks tasks, or their names, that are to follow. Throws `invalid-task`. */
export function readFollowUps(
  tasks: readonly (string | Accepts<never>)[],
  where: string,
): readonly (string | AnyTask)[] {
  for (const one of tasks) {
    if (typeof one === 'string' && one !== '') checkName(one, where, 'invalid-task')
    else if (!isTask(one)) {
      throw new ErrandError(
        'invalid-task',
        `${where} must list tasks or names of tasks. A task that is not defined yet is added later, with its name or by ${where}(...).`,
      )
    }
  }
  return tasks as readonly (string | AnyTask)[]
}

/** The first stack line outside this file, as file:line. */
function callerPlace(): string {
  const lines = (new Error().stack ?? '').split('\n').slice(1)
  const line = lines.find((one) => !one.includes(import.meta.url) && !one.includes('/core/task.'))
  const found = line?.match(/(?:file:\/\/)?(\/[^():]+|[A-Za-z]:[^():]+):(\d+):\d+/)
  return found ? `${found[1]}:${found[2]}` : 'an unknown place'
}
