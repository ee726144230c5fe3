/** Checks inputs against the JSON Schemas of the tasks registry. */
import type { ErrorObject, ValidateFunction } from 'ajv/dist/2020.js'
import type { Ajv2020 } from 'ajv/dist/2020.js'
import { ErrandError } from '../core/errors.ts'

/** Throws `invalid-input` with the path and the reason of each issue. */
export type JsonCheck = (input: unknown) => void

let loading: Promise<Ajv2020> | null = null

/** Compiles a schema. Rejects when the text is no JSON Schema (draft 2020-12). */
export async function compileSchema(text: string): Promise<JsonCheck> {
  loading ??= loadAjv()
  const ajv = await loading
  const schema = JSON.parse(text) as object
  const validate = ajv.compile(schema)
  // Compiled schemas would otherwise stay with the validator for ever.
  ajv.removeSchema(schema)
  return (input) => check(validate, input)
}

/** Loaded when a task is first enqueued by a name without a definition: most programs never need it. */
async function loadAjv(): Promise<Ajv2020> {
  const { Ajv2020 } = await import('ajv/dist/2020.js')
  return new Ajv2020({ strict: false, allErrors: true, validateFormats: false, logger: false })
}

function check(validate: ValidateFunction, input: unknown): void {
  if (validate(input)) return
  const issues = (validate.errors ?? []).map(({ instancePath, params, message }) => ({
    path: pathOf(instancePath, params),
    message: message ?? 'does not fit',
  }))
  const text = issues
    .map(({ path, message }) => (path === '' ? message : `${path}: ${message}`))
    .join('; ')
  throw new ErrandError('invalid-input', `input does not fit its schema: ${text}`, {
    details: { issues },
  })
}

/** `/a/0` and a missing or surplus property become `a.0.property`. */
function pathOf(pointer: string, params: ErrorObject['params']): string {
  const parts = pointer
    .split('/')
    .slice(1)
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
  const property: unknown = params['missingProperty'] ?? params['additionalProperty']
  return (typeof property === 'string' ? [...parts, property] : parts).join('.')
}
