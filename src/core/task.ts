/**
 * Tasks: named, typed definitions of work. A task can be defined without its handler, so that producers bundle
 * no handlers; `run`, `onSuccess` and `onFailure` add the rest.
 */
import type { StandardSchemaV1 } from '@standard-schema/spec'
import type { Codec } from './codec.ts'
import type { FailureReport, FollowUps } from './enqueue-options.ts'
import { ErrandError } from './errors.ts'
import { readExec, type Exec, type Program } from './exec.ts'
import { isInModule, readInModule, type InModule, type ModulePlace } from './in-module.ts'
import { readIsolate, type Isolate, type Isolation } from './isolate.ts'
import type { Handler } from './running-job.ts'
import { normalise, type CommonOptions, type Layer, type Unique } from './options.ts'
import type { Published } from './published.ts'
import { checkName } from './text.ts'
import { readChoice, readCodec, readFunction, readList } from './read.ts'
import { shownValue } from './shown.ts'
import { readAbout, readQueues, type TaskAbout } from './task-about.ts'
import type { Follows, OneOrSeveral, TaskMaker } from './task-maker.ts'
import { normaliseUnique, type UniqueLayer } from './unique.ts'
import type { Wrap } from './wrap.ts'

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
  /**
   * Default `'default'`. Of several, at most 20, the first is where its jobs go unless the call names another; each is served
   * without being named elsewhere, and has a path of its own in the HTTP API.
   */
  readonly queue?: string | readonly string[]
  /** What the task does, for those who call it over HTTP: Markdown, at most 5,000 characters. */
  readonly description?: string
  /** Inputs to copy, shown in the document of the HTTP API: at most 10, of together 16,384 characters of JSON. */
  readonly examples?: readonly Input[]
  /** Headings of the document of the HTTP API under which the task stands, beside that of its queue; at most 10. */
  readonly tags?: readonly string[]
  readonly unique?: Unique<Input>
  /** Tasks, or their names, of which each runs before each job of this one, without input. */
  readonly before?: FollowUps
  /** What becomes of a job when one of those fails. Default `'run'`: it runs all the same. */
  readonly onNeedFailed?: 'cancel' | 'run' | 'fail'
  /** Tasks that carry results and failures outside, such as `rabbitmqResults({ … })`: each follows a job that completes or fails. */
  readonly publish?: OneOrSeveral<string | Accepts<Published>>
  /** Overrides the app's codec for this task. */
  readonly codec?: Codec
  /** Runs its handler in threads or processes of its own. Default: in the worker. */
  readonly isolate?: Isolate
}

/** A task as the parts of Errand see it: everything read and checked. */
export interface Definition {
  readonly name: string
  readonly aliases: readonly string[]
  /** The first of `queues`. */
  readonly queue: string | null
  /** All that the task names. */
  readonly queues: readonly string[]
  readonly about: TaskAbout
  readonly input: StandardSchemaV1 | null
  readonly output: StandardSchemaV1 | null
  readonly layer: Layer
  readonly unique: UniqueLayer | null | undefined
  readonly codec: Codec | null
  /** Where `task()` was called, as file:line, for messages. */
  readonly place: string
  readonly handler: Handler<unknown, unknown, unknown> | null
  /** Where it is imported from: the handler itself, or the task. Null when that is not known. */
  readonly module: ModulePlace | null
  readonly isolate: Isolation | null
  /** The program that is its handler. */
  readonly exec: Program | null
  readonly wrap: Wrap<never> | null
  readonly onSuccess: readonly (string | AnyTask)[]
  readonly onFailure: readonly (string | AnyTask)[]
  readonly publish: readonly (string | AnyTask)[]
  readonly before: readonly (string | AnyTask)[]
  readonly onNeedFailed: 'cancel' | 'run' | 'fail' | null
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
    readonly output?: StandardSchemaV1 | 'json' | 'text'
    readonly run?: Handler<never, unknown, never> | InModule
    readonly exec?: Exec
    readonly wrap?: Wrap<never>
  }

const taskKeys = [
  'name',
  'aliases',
  'queue',
  'description',
  'examples',
  'tags',
  'unique',
  'codec',
  'input',
  'output',
  'run',
  'onSuccess',
  'onFailure',
  'before',
  'onNeedFailed',
  'publish',
  'isolate',
  'exec',
  'wrap',
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
  const queues = readQueues(given.queue, `${where}.queue`)
  const input = readSchema(given.input, `${where}.input`)
  const definition = {
    ...readRunning(given, where),
    name: given.name,
    aliases,
    queue: queues[0] ?? null,
    queues,
    about: readAbout(given, input, where),
    input,
    output: typeof given.output === 'string' ? null : readSchema(given.output, `${where}.output`),
    layer: normalise(given, where, taskKeys),
    unique: normaliseUnique(given.unique, `${where}.unique`),
    codec: given.codec === undefined ? null : readCodec(given.codec, `${where}.codec`),
    place,
    handler: null as Handler<unknown, unknown, unknown> | null,
    onSuccess: [] as (string | AnyTask)[],
    onFailure: [] as (string | AnyTask)[],
    publish: readFollowUps([given.publish ?? []].flat(), `${where}.publish`),
    before: readFollowUps([given.before ?? []].flat(), `${where}.before`),
    onNeedFailed:
      given.onNeedFailed === undefined
        ? null
        : readChoice(given.onNeedFailed, ['cancel', 'run', 'fail'], `${where}.onNeedFailed`),
  }
  const made: AnyTask = {
    name: given.name,
    definition,
    run(handler) {
      if (typeof handler !== 'function')
        throw new ErrandError('invalid-task', `${where}: run must be a function.`)
      if (isRunnable(definition)) {
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
  if (given.run !== undefined && !isInModule(given.run))
    made.run(given.run as Handler<unknown, unknown, unknown>)
  if (given.onSuccess !== undefined)
    made.onSuccess(...([given.onSuccess].flat() as (string | AnyTask)[]))
  if (given.onFailure !== undefined)
    made.onFailure(...([given.onFailure].flat() as (string | AnyTask)[]))
  return made
}

/** Whether there is anything to run for it: a function, an export of a module, or a program. */
export function isRunnable(definition: Definition): boolean {
  return (
    definition.handler !== null ||
    definition.exec !== null ||
    (definition.module?.export ?? null) !== null
  )
}

/** Says that a module exports the task, for where the task does not say it itself. */
export function foundIn({ definition }: AnyTask, url: string): void {
  const found = definition as { module: ModulePlace | null }
  found.module ??= { url, export: null }
}

type Running = Pick<Definition, 'exec' | 'isolate' | 'wrap'> & { module: ModulePlace | null }

/** What a task says of how it is run, beside a function. */
function readRunning(given: Given, where: string): Running {
  const { run, exec, isolate, output, wrap } = given
  const isText = typeof output === 'string'
  if (isText) readChoice(output, ['json', 'text'], `${where}.output`)
  if (isText && exec === undefined)
    throw new ErrandError('invalid-task', `${where}.output is a schema, unless exec is given.`)
  if (exec !== undefined && (run !== undefined || isolate !== undefined)) {
    throw new ErrandError(
      'invalid-task',
      `${where} takes exec without ${run === undefined ? 'isolate' : 'run'}: the program is a process of its own.`,
    )
  }
  const read = isolate === undefined ? null : readIsolate(isolate, `${where}.isolate`)
  const named = isInModule(run) ? readInModule(run, `${where}.run`) : null
  if (named !== null && read !== null && read.module !== null)
    throw new ErrandError('invalid-option', `${where} names a module in run and in isolate.`)
  return {
    exec: exec === undefined ? null : readExec(exec, isText ? output : 'json', `${where}.exec`),
    isolate: read?.isolate ?? null,
    module: named ?? (read?.module ? { url: read.module, export: null } : null),
    wrap: wrap === undefined ? null : readFunction(wrap, `${where}.wrap`),
  }
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
