/**
 * The document as it is now. Each request for it looks at the tasks registry when the last look is older than half a second, so a
 * task appears within a second, and nobody looks while nobody asks.
 */
import { hash } from 'node:crypto'
import { storeNow } from '../../flows/schedules/info.ts'
import { StoreTime } from '../../loops/store-time.ts'
import { ticksOf, type Ticks } from '../../loops/time.ts'
import { isJsonSchema } from '../../app/json-schema.ts'
import { readNotes, type TaskNotes } from '../../app/registered-tasks.ts'
import type { RegisteredTask } from '../../store/registry.ts'
import { mayTouch, type Caller } from '../caller.ts'
import type { Managed } from '../managed.ts'
import type { Route } from '../route.ts'
import { openApi } from './document.ts'

const bounds = {
  lookEveryMs: 500,
  /** The store is asked so often for its time, which is counted on in between. */
  timeEveryMs: 60_000,
  /** Of one state of the registry, for callers with queues of their own. */
  documents: 50,
} as const

export interface LiveOptions {
  readonly routes: readonly Route[]
  /** How long a task is shown after somebody last said that it serves it. */
  readonly shownForMs: number
}

export interface MadeDocument {
  readonly text: string
  readonly etag: string
}

/** What was seen at one look. */
interface Seen {
  /** In ticks. */
  readonly at: number
  /** All that the document depends on, as one text. */
  readonly saying: string
  readonly tasks: readonly TaskNotes[]
  readonly documents: Map<string, MadeDocument>
}

/** The document of one app. */
export class LiveDocument {
  readonly #errand: Managed
  readonly #options: LiveOptions
  readonly #ticks: Ticks
  /** That of the store, by which workers say when they served a task; and when it was asked for, in ticks. */
  #time: { readonly store: StoreTime; readonly askedAt: number } | null = null
  #seen: Seen | null = null
  #looking: Promise<Seen> | null = null

  constructor(errand: Managed, options: LiveOptions) {
    this.#errand = errand
    this.#options = options
    this.#ticks = ticksOf(errand.store)
  }

  /** The document for a caller, who sees the tasks of its own queues. `server` is where paths begin. */
  async get(caller: Caller, server: string): Promise<MadeDocument> {
    const { tasks, documents } = await this.#look()
    const key = JSON.stringify([
      server,
      caller.queues === null ? null : [...caller.queues].toSorted(),
    ])
    const known = documents.get(key)
    if (known !== undefined) return known
    const own = tasks.flatMap((task) => {
      const queues = task.queues.filter((queue) => mayTouch(caller, queue))
      return queues.length === 0 ? [] : [{ ...task, queues }]
    })
    const text = JSON.stringify(openApi({ routes: this.#options.routes, tasks: own, server }))
    const made = { text, etag: `"${hash('sha256', text, 'base64url').slice(0, 27)}"` }
    if (documents.size >= bounds.documents) documents.clear()
    documents.set(key, made)
    return made
  }

  async #look(): Promise<Seen> {
    const now = this.#ticks()
    const seen = this.#seen
    if (seen !== null && now - seen.at < bounds.lookEveryMs) return seen
    return (this.#looking ??= this.#read(now).finally(() => (this.#looking = null)))
  }

  async #read(now: number): Promise<Seen> {
    const entries = await this.#entries(await this.#storeNow(now))
    const saying = entries
      .map(({ name, queue, inputSchema, options }) =>
        [name, queue, inputSchema, options].join('\0'),
      )
      .join('\0\0')
    const before = this.#seen
    if (before?.saying === saying) return (this.#seen = { ...before, at: now })
    const tasks: TaskNotes[] = []
    for (const entry of entries) tasks.push(await withUsableSchemas(readNotes(entry)))
    return (this.#seen = { at: now, saying, tasks, documents: new Map() })
  }

  /** The app's own tasks as they are here, and those that others registered and still serve; by name. */
  async #entries(now: number): Promise<readonly RegisteredTask[]> {
    const { tasks } = this.#errand
    const [own, registered] = await Promise.all([tasks.describe(), tasks.list()])
    const byName = new Map(registered.filter((task) => this.#isServed(task, now)).map(named))
    for (const task of own) byName.set(task.name, task)
    return [...byName.values()].toSorted((a, b) => (a.name < b.name ? -1 : 1))
  }

  async #storeNow(ticks: number): Promise<number> {
    if (this.#time === null || ticks - this.#time.askedAt >= bounds.timeEveryMs) {
      const store = new StoreTime(this.#ticks, await storeNow(this.#errand.store))
      this.#time = { store, askedAt: ticks }
    }
    return this.#time.store.now
  }

  #isServed(task: RegisteredTask, now: number): boolean {
    const { servedAt } = readNotes(task)
    return servedAt === undefined || now - servedAt < this.#options.shownForMs
  }
}

function named(task: RegisteredTask): [string, RegisteredTask] {
  return [task.name, task]
}

/** Whatever a schema is that is none, it must not spoil the document. */
async function withUsableSchemas(task: TaskNotes): Promise<TaskNotes> {
  const usable = async (schema: unknown): Promise<unknown> =>
    schema !== null && (await isJsonSchema(schema)) ? schema : null
  return {
    ...task,
    inputSchema: await usable(task.inputSchema),
    outputSchema: await usable(task.outputSchema),
  }
}
