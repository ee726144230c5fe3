/** The handler of a task, wherever it is: a function, an export of a module, or a program. */
import { importFunction } from '../app/import-function.ts'
import { ErrandError } from '../core/errors.ts'
import type { Handler } from '../core/running-job.ts'
import type { Definition } from '../core/task.ts'
import { programHandler } from './program.ts'

type AnyHandler = Handler<unknown, unknown, unknown>

const made = new WeakMap<Definition, AnyHandler>()

/** The handler of a task that has one, run in this thread. */
export function handlerOf(definition: Definition): AnyHandler {
  if (definition.handler !== null) return definition.handler
  let handler = made.get(definition)
  if (handler === undefined) made.set(definition, (handler = makeHandler(definition)))
  return handler
}

function makeHandler({ name, exec, module }: Definition): AnyHandler {
  if (exec !== null) return programHandler(exec)
  if (module === null) throw new TypeError(`${name} has no handler`)
  let loading: Promise<(...args: readonly unknown[]) => unknown> | null = null
  return async (input, job) => {
    loading ??= importFunction(module).catch((cause: unknown) => {
      loading = null
      const message = cause instanceof Error ? cause.message : String(cause)
      throw new ErrandError('cannot-start', message, { cause })
    })
    return (await loading)(input, job)
  }
}
