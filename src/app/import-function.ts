/** Functions that are named by their module: imported when they are first needed. */
import { ErrandError } from '../core/errors.ts'
import { exportOf, type ModulePlace } from '../core/in-module.ts'
import { shownValue } from '../core/shown.ts'
import { isTask, type AnyTask } from '../core/task.ts'

type AnyFunction = (...args: readonly unknown[]) => unknown

/**
 * Imports what a module exports: a function, or a task. Without the name of an export it is the task
 * of this name. Rejects with `invalid-task`.
 */
export async function importExport(
  place: ModulePlace,
  task: string | null,
): Promise<AnyFunction | AnyTask> {
  const module = (await import(place.url).catch((cause: unknown) => {
    const message = cause instanceof Error ? cause.message : String(cause)
    throw new ErrandError('invalid-task', `${place.url} failed to load: ${message}`, { cause })
  })) as object
  if (place.export !== null) {
    const found = exportOf(module, { ...place, export: place.export })
    if (typeof found === 'function') return found as AnyFunction
    if (isTask(found)) return found
    throw new ErrandError(
      'invalid-task',
      `${place.export} of ${place.url} must be a function or a task, not ${shownValue(found)}.`,
    )
  }
  const found = Object.values(module)
    .flat()
    .find((one) => isTask(one) && one.name === task) as AnyTask | undefined
  if (found !== undefined) return found
  throw new ErrandError(
    'invalid-task',
    `${place.url} exports no task called ${String(task)}. Export what task() returns.`,
  )
}

/** Imports a function; of a task its handler. Rejects with `invalid-task`. */
export async function importFunction(place: ModulePlace): Promise<AnyFunction> {
  const found = await importExport(place, null)
  if (typeof found === 'function') return found
  const { handler } = found.definition
  if (handler !== null) return handler as AnyFunction
  throw new ErrandError('invalid-task', `${found.name} of ${place.url} has no handler.`)
}
