/** Finds what is known of a task: from its definition, from the app, or from the tasks registry in the store. */
import { ErrandError } from '../core/errors.ts'
import { unknownTask } from '../core/task-list.ts'
import { isTask, type AnyTask } from '../core/task.ts'
import type { RegisteredTask } from '../store/registry.ts'
import type { App } from '../app/app.ts'
import { compileSchema, type JsonCheck } from '../app/json-schema.ts'
import type { TaskFacts } from '../app/new-job.ts'
import { validate } from '../app/payload.ts'
import { describeTask, readRegistered } from '../app/registered-tasks.ts'

/** A task that jobs can be made of. */
export interface KnownTask {
  readonly facts: TaskFacts
  /** The task itself; null when only its registry entry is known. */
  readonly task: AnyTask | null
  /** Throws, or rejects the promise that it answers, with `invalid-input`. */
  readonly check: (input: unknown) => unknown
  /** The JSON Schema of its input as text; null where there is none. */
  readonly inputSchema: () => string | null
}

/**
 * How long the registry's entries are believed: a second, since a schema may change, or longer where it takes long to read them, so
 * that no more than a fiftieth of the time goes into reading.
 */
const trust = { leastMs: 1_000, mostMs: 10_000, timesReading: 50 } as const

interface Registry {
  readonly believedUntil: number
  /** By name and alias. */
  readonly entries: ReadonlyMap<string, RegisteredTask>
}

export class TaskCatalog {
  readonly #app: App
  readonly #byTask = new WeakMap<AnyTask, KnownTask>()
  readonly #byEntry = new WeakMap<RegisteredTask, Promise<KnownTask>>()
  #registry: Registry | null = null
  #reading: Promise<Registry> | null = null

  constructor(app: App) {
    this.#app = app
  }

  /** Rejects with `unknown-task`, naming the nearest, when nobody knows the name. */
  find(task: AnyTask | string): KnownTask | Promise<KnownTask> {
    return typeof task === 'string' ? this.#findByName(task) : this.ofTask(task)
  }

  /** What the definition says. Lets the app read jobs written with the task's codec. */
  ofTask(task: AnyTask): KnownTask {
    const known = this.#byTask.get(task)
    if (known !== undefined) return known
    if (!isTask(task))
      throw new ErrandError('invalid-task', 'enqueue() takes a task or the name of one.')
    const { definition } = task
    const { codec, input } = definition
    if (codec !== null) this.#app.addCodec(codec)
    const made: KnownTask = {
      facts: definition,
      task,
      check:
        input === null
          ? () => undefined
          : (value) => validate(input, value, 'invalid-input', 'input'),
      inputSchema: () => describeTask(this.#app, task).inputSchema,
    }
    this.#byTask.set(task, made)
    return made
  }

  /** A task's name and aliases, by any of them. Loads no code: what a module defines that was not loaded yet, the registry knows. */
  async namesOf(name: string): Promise<readonly string[]> {
    const known = this.#app.loaded?.find(name)?.definition ?? (await this.#findEntry(name))
    return [...new Set([name, ...(known === undefined ? [] : [known.name, ...known.aliases])])]
  }

  async #findByName(name: string): Promise<KnownTask> {
    const own = (await this.#app.tasks()).find(name)
    if (own !== undefined) return this.ofTask(own)
    const entry = await this.#findEntry(name)
    if (entry !== undefined) return this.#ofEntry(entry)
    const names = [...(this.#app.loaded?.names ?? []), ...(this.#registry?.entries.keys() ?? [])]
    throw unknownTask(name, names)
  }

  async #findEntry(name: string): Promise<RegisteredTask | undefined> {
    const registry = this.#registry
    const now = this.#app.store.clock.now()
    // A clock that was put back must not make an entry last.
    const isFresh =
      registry !== null &&
      now < registry.believedUntil &&
      registry.believedUntil - now <= trust.mostMs
    const entry = isFresh ? registry.entries.get(name) : undefined
    return entry ?? (await this.#read()).entries.get(name)
  }

  /** Reads the registry; calls that come while it is read share the answer. */
  #read(): Promise<Registry> {
    this.#reading ??= this.#readNow().finally(() => (this.#reading = null))
    return this.#reading
  }

  async #readNow(): Promise<Registry> {
    const { clock } = this.#app.store
    const askedAt = clock.now()
    const tasks = await this.#app.store.tasks()
    const readAt = clock.now()
    const trustMs = Math.max(trust.leastMs, (readAt - askedAt) * trust.timesReading)
    const before = this.#registry?.entries
    const entries = new Map<string, RegisteredTask>()
    for (const task of tasks) {
      // An entry that has not changed keeps its identity, and with it its compiled schema.
      const old = before?.get(task.name)
      const entry = old !== undefined && isSame(old, task) ? old : task
      for (const alias of entry.aliases) if (!entries.has(alias)) entries.set(alias, entry)
      entries.set(entry.name, entry)
    }
    return (this.#registry = {
      believedUntil: askedAt + Math.min(trustMs, trust.mostMs),
      entries,
    })
  }

  #ofEntry(entry: RegisteredTask): Promise<KnownTask> {
    let known = this.#byEntry.get(entry)
    if (known === undefined) this.#byEntry.set(entry, (known = this.#readEntry(entry)))
    return known
  }

  async #readEntry(entry: RegisteredTask): Promise<KnownTask> {
    const check =
      entry.inputSchema === null ? null : await this.#compile(entry.name, entry.inputSchema)
    return {
      facts: readRegistered(entry),
      task: null,
      check: check ?? (() => undefined),
      inputSchema: () => entry.inputSchema,
    }
  }

  /** A schema that cannot be read stops no job: the worker checks the input once more. */
  async #compile(name: string, schema: string): Promise<JsonCheck | null> {
    try {
      return await compileSchema(schema)
    } catch (error) {
      this.#app.events.warn('unusable-schema', { task: name, error })
      return null
    }
  }
}

function isSame(a: RegisteredTask, b: RegisteredTask): boolean {
  return (
    JSON.stringify([a.inputSchema, a.options, a.queue, a.aliases]) ===
    JSON.stringify([b.inputSchema, b.options, b.queue, b.aliases])
  )
}
