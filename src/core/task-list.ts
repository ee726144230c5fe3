/** The tasks of one app, by name and alias. */
import { ErrandError } from './errors.ts'
import { nearest } from './nearest.ts'
import type { AnyTask } from './task.ts'

/** Finds tasks by any of their names. */
export interface TaskList {
  readonly tasks: readonly AnyTask[]
  /** Names and aliases. */
  readonly names: readonly string[]
  find(name: string): AnyTask | undefined
}

/** Collects tasks. Throws `duplicate-task`, naming both places, when two different tasks share a name or alias. */
export function collectTasks(tasks: readonly AnyTask[]): TaskList {
  const byName = new Map<string, AnyTask>()
  for (const task of new Set(tasks)) {
    for (const name of new Set([task.name, ...task.definition.aliases])) {
      const other = byName.get(name)
      if (other !== undefined) {
        throw new ErrandError(
          'duplicate-task',
          `Two tasks are called ${name}: one at ${other.definition.place}, one at ${task.definition.place}. Rename one of them.`,
        )
      }
      byName.set(name, task)
    }
  }
  refuseCycles(tasks)
  return {
    tasks: [...new Set(tasks)],
    names: [...byName.keys()],
    find: (name) => byName.get(name),
  }
}

/** Refuses tasks that come before each other in a circle, of those that are known. Throws `invalid-task`. */
export function refuseCycles(tasks: readonly AnyTask[]): void {
  const byName = new Map(
    tasks.flatMap((task) => [task.name, ...task.definition.aliases].map((name) => [name, task])),
  )
  const sound = new Set<AnyTask>()
  const visit = (task: AnyTask, way: readonly AnyTask[]): void => {
    if (sound.has(task)) return
    if (way.includes(task)) {
      const circle = [...way.slice(way.indexOf(task)), task].map(({ name }) => name)
      throw new ErrandError(
        'invalid-task',
        `These tasks would wait for each other for ever: ${circle.join(', before it ')}. Take one of them out of \`before\`.`,
      )
    }
    for (const before of task.definition.before) {
      const found = typeof before === 'string' ? byName.get(before) : before
      if (found !== undefined) visit(found, [...way, task])
    }
    sound.add(task)
  }
  for (const task of tasks) visit(task, [])
}

/** The error for a task name that nobody knows. */
export function unknownTask(name: string, known: Iterable<string>): ErrandError {
  const meant = nearest(name, known)
  const hint =
    meant === null
      ? 'Add it to `tasks`, or start a worker that has it once.'
      : `Did you mean ${meant}?`
  return new ErrandError('unknown-task', `No task is called ${name}. ${hint}`, {
    details: { task: name },
  })
}
