/**
 * Writes the tasks of a worker into the store's registry, for producers that know them by name
 * only, and says each hour that they are still served.
 *
 * Workers with different definitions of one task may live side by side. The one that started last
 * wins, for as long as it says that it serves: the others leave its entry alone, and the latest of
 * them puts its own when the entry was not renewed for two and a half hours. A write that crosses
 * another is made good an hour later.
 */
import type { App } from '../app/app.ts'
import { describeTask, readNotes, sayingOf, withTimes } from '../app/registered-tasks.ts'
import { isRunnable } from '../core/task.ts'
import type { TaskList } from '../core/task-list.ts'
import { answered } from '../loops/call-deadline.ts'
import type { StoreTime } from '../loops/store-time.ts'
import { Loop } from '../loops/supervised.ts'
import type { Ticks } from '../loops/time.ts'
import type { RegisteredTask } from '../store/registry.ts'

/** One call: a body of the HTTP API holds it. */
const chunk = { tasks: 1_000, chars: 2_000_000 } as const

const refreshMs = 3_600_000
/** After so long without renewal nobody serves by that entry. */
const staleMs = 2.5 * refreshMs

interface Clocks {
  readonly time: StoreTime
  readonly ticks: Ticks
}

export class Registrar {
  readonly loop: Loop
  readonly #app: App
  readonly #tasks: TaskList
  readonly #time: StoreTime
  readonly #ticks: Ticks
  /** The store's time of the start. */
  #registeredAt = 0
  /** When the entries are looked at next. */
  #dueAt = 0

  constructor(app: App, tasks: TaskList, { time, ticks }: Clocks) {
    this.#app = app
    this.#tasks = tasks
    this.#time = time
    this.#ticks = ticks
    this.loop = new Loop('tasks', app.events, app.store.clock, () => this.#pass())
  }

  /**
   * Registers all tasks, and warns of those without a handler. Rejects when the store cannot be
   * reached.
   */
  async announce(): Promise<void> {
    for (const { name, definition } of this.#tasks.tasks) {
      if (isRunnable(definition)) continue
      this.#app.events.warn('no-handler', { task: name, place: definition.place })
    }
    const now = this.#time.now
    const own = this.#describe()
    await this.#write(own.map((task) => withTimes(task, { registeredAt: now, servedAt: now })))
    this.#registeredAt = now
    this.#dueAt = this.#ticks() + refreshMs
  }

  stop(): Promise<void> {
    return this.loop.stop()
  }

  async #pass(): Promise<number> {
    // The first pass comes right after `announce`.
    const restMs = this.#dueAt - this.#ticks()
    if (restMs > 0) return restMs
    await this.#refresh()
    this.#dueAt = this.#ticks() + refreshMs
    return refreshMs
  }

  async #refresh(): Promise<void> {
    const { store } = this.#app
    const entries = await answered(store.clock, store.tasks())
    const byName = new Map(entries.map((entry) => [entry.name, entry]))
    const times = { registeredAt: this.#registeredAt, now: this.#time.now }
    const due = this.#describe().flatMap((own) => renewed(own, byName.get(own.name), times) ?? [])
    await this.#write(due)
  }

  #describe(): readonly RegisteredTask[] {
    return this.#tasks.tasks.map((task) => describeTask(this.#app, task))
  }

  async #write(tasks: readonly RegisteredTask[]): Promise<void> {
    const { store } = this.#app
    for (const some of chunksOf(tasks)) await answered(store.clock, store.registerTasks(some))
  }
}

/** What is written of a task in its hour; null where the entry stays as it is. */
export function renewed(
  own: RegisteredTask,
  there: RegisteredTask | undefined,
  { registeredAt, now }: { readonly registeredAt: number; readonly now: number },
): RegisteredTask | null {
  const mine = withTimes(own, { registeredAt, servedAt: now })
  if (there === undefined) return mine
  const { registeredAt: theirs = 0, servedAt = 0 } = readNotes(there)
  if (sayingOf(there) === sayingOf(own)) {
    // Of many workers with one definition, few write.
    if (now - servedAt < refreshMs / 2) return null
    return withTimes(own, { registeredAt: Math.max(theirs, registeredAt), servedAt: now })
  }
  const isNewer = theirs === registeredAt ? sayingOf(there) > sayingOf(own) : theirs > registeredAt
  return isNewer && now - servedAt < staleMs ? null : mine
}

function* chunksOf(tasks: readonly RegisteredTask[]): Generator<readonly RegisteredTask[]> {
  let some: RegisteredTask[] = []
  let chars = 0
  for (const task of tasks) {
    const length = task.options.length + (task.inputSchema?.length ?? 0)
    if (some.length === chunk.tasks || (some.length > 0 && chars + length > chunk.chars)) {
      yield some
      some = []
      chars = 0
    }
    some.push(task)
    chars += length
  }
  if (some.length > 0) yield some
}
