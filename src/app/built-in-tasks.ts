/** Tasks that every worker has, whatever tasks its app has. */
import type { Definition } from '../core/task.ts'
import type { App } from './app.ts'
import { messageTask } from './parked-message.ts'
import { gateTask, gateTaskName } from './start-gate.ts'
import { endTasks, partTaskName } from './workflow-end.ts'

/** The definitions of these tasks by name. */
export function builtInTasks(app: App): ReadonlyMap<string, Definition> {
  const tasks = [...endTasks(app), gateTask(app), messageTask(app)]
  return new Map(tasks.map(({ name, definition }) => [name, definition]))
}

/** Whether jobs of a task are Errand's own affair, and no nodes of a run. */
export function isHiddenTask(name: string): boolean {
  return name === gateTaskName || name === partTaskName
}
