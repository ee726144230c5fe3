/** Tasks that workers of other languages bring along: as JSON, with the options that an operator can read. */
import { commonKeys, normalise, type CommonOptions, type Layer } from '../../core/options.ts'
import { isBackoff } from '../../core/backoff.ts'
import { compileSchema } from '../../app/json-schema.ts'
import type { RegisteredTask } from '../../store/registry.ts'
import { Problem } from '../problem.ts'

export interface BroughtTask {
  readonly name: string
  readonly queue?: string
  /** A JSON Schema of the input. */
  readonly input?: object | boolean
  readonly options?: CommonOptions
  readonly onSuccess?: readonly string[]
  readonly onFailure?: readonly string[]
}

/** Rejects with `invalid-option` for options and schemas that nobody can read. */
export async function registered(task: BroughtTask): Promise<RegisteredTask> {
  const { name, queue = 'default', input, options = {}, onSuccess, onFailure } = task
  const layer: Layer = normalise(options, name, [...commonKeys])
  const inputSchema = input === undefined ? null : JSON.stringify(input)
  if (inputSchema !== null) {
    await compileSchema(inputSchema).catch((error: unknown) => {
      const why = error instanceof Error ? error.message : String(error)
      throw new Problem('invalid-option', `The input schema of ${name} cannot be read: ${why}`)
    })
  }
  if (layer.backoff !== undefined && !isBackoff(layer.backoff))
    throw new Problem('invalid-option', `${name}.retry.backoff cannot be read.`)
  return {
    name,
    aliases: [],
    queue,
    inputSchema,
    options: JSON.stringify({
      layer,
      ...(onSuccess === undefined ? {} : { onSuccess }),
      ...(onFailure === undefined ? {} : { onFailure }),
    }),
  }
}
