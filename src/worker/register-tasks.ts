/**
 * Writes the tasks of a worker into the store's registry, for producers that know them by name
 * only.
 */
import type { App } from '../app/app.ts'
import { describeTask } from '../app/registered-tasks.ts'
import type { TaskList } from '../core/task-list.ts'
import { answered } from '../loops/supervised.ts'

/** Tasks in one call. */
const chunk = 1_000

/**
 * Registers all tasks, and warns of those without a handler. Rejects when the store cannot be
 * reached.
 */
export async function registerTasks(app: App, { tasks }: TaskList): Promise<void> {
  for (const { name, definition } of tasks) {
    if (definition.handler !== null) continue
    app.events.warn('no-handler', { task: name, place: definition.place })
  }
  const described = tasks.map((task) => describeTask(app, task))
  for (let from = 0; from < described.length; from += chunk) {
    const call = app.store.registerTasks(described.slice(from, from + chunk))
    await answered(app.store.clock, call)
  }
}
