/** Finds the tasks that a configuration names: given as they are, as modules, or as globs of modules. */
import { glob } from 'node:fs/promises'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { ErrandError } from '../core/errors.ts'
import { foundIn, isTask, type AnyTask, type Definition } from '../core/task.ts'

/** A task whose handler is content with `Context`: what an app has beside is no harm. */
interface TaskIn<Context> {
  readonly name: string
  readonly definition: Definition
  readonly types?: { readonly context: (context: Context) => void }
}

/** Tasks, modules that export tasks, or a glob of such modules, relative to the file that calls `createErrand`. */
export type TaskSource<Context = never> =
  | string
  | TaskIn<Context>
  | Readonly<Record<string, unknown>>

/** Loads all sources. A module that fails to load rejects with `invalid-task`, its own error as the cause. */
export async function loadTasks(
  sources: readonly TaskSource[],
  root: string,
): Promise<readonly AnyTask[]> {
  const tasks: AnyTask[] = []
  for (const source of sources) {
    if (typeof source === 'string') tasks.push(...(await loadGlob(source, root)))
    else if (isTask(source)) tasks.push(source)
    else
      tasks.push(
        ...tasksOf(source as Readonly<Record<string, unknown>>, 'a module given in `tasks`'),
      )
  }
  return tasks
}

async function loadGlob(pattern: string, root: string): Promise<readonly AnyTask[]> {
  const files = await findFiles(pattern, root)
  if (files.length === 0) {
    throw new ErrandError(
      'invalid-task',
      `No file matches ${pattern} in ${root}. Mend the glob in \`tasks\`.`,
    )
  }
  const tasks: AnyTask[] = []
  for (const file of files) {
    const path = resolve(root, file)
    const module = (await import(pathToFileURL(path).href).catch((cause: unknown) => {
      const message = cause instanceof Error ? cause.message : String(cause)
      throw new ErrandError('invalid-task', `${path} failed to load: ${message}`, { cause })
    })) as Readonly<Record<string, unknown>>
    const found = tasksOf(module, null)
    for (const task of found) foundIn(task, pathToFileURL(path).href)
    tasks.push(...found)
  }
  return tasks
}

async function findFiles(pattern: string, root: string): Promise<readonly string[]> {
  const files: string[] = []
  for await (const file of glob(pattern, { cwd: root })) {
    if (!/\.d\.[cm]?ts$/.test(file)) files.push(file)
  }
  return files.toSorted()
}

/** The tasks that a module exports, alone or in arrays. `whole` names it for the error when it exports none; null lets that pass. */
function tasksOf(
  module: Readonly<Record<string, unknown>>,
  whole: string | null,
): readonly AnyTask[] {
  const found = Object.values(module).flat().filter(isTask)
  if (found.length > 0 || whole === null) return found
  throw new ErrandError('invalid-task', `${whole} exports no task. Export what task() answers.`)
}
