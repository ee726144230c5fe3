/** Checks inputs against the JSON Schemas of the tasks registry. */
import type { Ajv2020, ErrorObject, ValidateFunction } from 'ajv/dist/2020.js'
import { isErrandError, type ErrandError } from '../core/errors.ts'
import { pointerKeys } from '../core/json.ts'
import { guarded } from './guarded.ts'
import { misfitOf } from './misfit.ts'
import { watchedPattern } from './watched-pattern.ts'

/** Throws `invalid-input` with the path and the reason of each issue. */
export type JsonCheck = (input: unknown) => void

/** Times after which schemas, and inputs that take for ever, are given up. They hold the event loop for as long. */
const bounds = {
  compileMs: 1_000,
  checkMs: 250,
  /** Inputs with so many parts, or so deep, are checked under a watch where the schema may take long for them. */
  parts: 1_000,
  levels: 8,
  /** Issues that are told. Of larger inputs only the first is looked for. */
  issues: 20,
} as const

interface Validators {
  /** Stops at the first issue. */
  readonly first: Ajv2020
  readonly all: Ajv2020
}

/** Null at first, and after a compilation that was cut off, which leaves a validator of no use. */
let loading: Promise<Validators> | null = null

/** Whose schema it is: one of Errand's own is compiled however long that takes on a busy machine. */
export type SchemaOrigin = 'own' | 'registered'

/** Compiles a schema of what `what` names. Rejects when the text is no JSON Schema (draft 2020-12), and with `timeout`. */
export async function compileSchema(
  text: string,
  what = 'input',
  origin: SchemaOrigin = 'registered',
): Promise<JsonCheck> {
  const validators = await (loading ??= loadAjv())
  const schema = JSON.parse(text) as object
  const withinMs = origin === 'own' ? null : bounds.compileMs
  const first = compile(validators.first, schema, withinMs)
  let all: ValidateFunction | null = null
  const isCostly = costly.test(text)
  return (input) => {
    const { parts, levels } = sizeOf(input)
    const isLarge = parts > bounds.parts
    const isWatched = isCostly && (isLarge || levels > bounds.levels)
    if (run(first, input, what, isWatched)) return
    // The errors of a large input could fill the memory.
    if (isLarge) throw misfit(what, first.errors ?? [])
    all ??= compile(validators.all, schema, withinMs)
    run(all, input, what, isWatched)
    throw misfit(what, all.errors ?? [])
  }
}

/** Tells whether a value is a JSON Schema by the rules of draft 2020-12. */
export async function isJsonSchema(value: unknown): Promise<boolean> {
  const { first } = await (loading ??= loadAjv())
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false
  try {
    return guarded(() => first.validateSchema(value) === true, bounds.compileMs)
  } catch (error) {
    // It nests too deep, takes too long, or names a dialect that nobody knows.
    if (isErrandError(error, 'timeout')) loading = null
    return false
  }
}

/** What takes more than its share of time: comparing all items, and schemas that refer to themselves. */
const costly = /"(?:uniqueItems|\$ref|\$dynamicRef)"\s*:/

/** Loaded when a task is first enqueued by a name without a definition: most programs never need it. */
async function loadAjv(): Promise<Validators> {
  const { Ajv2020 } = await import('ajv/dist/2020.js')
  const regExp = Object.assign(
    (pattern: string, flags: string) => watchedPattern(pattern, flags, bounds.checkMs),
    { code: 'new RegExp' },
  )
  const options = {
    strict: false,
    validateFormats: false,
    logger: false,
    code: { regExp },
  } as const
  return {
    first: new Ajv2020(options),
    all: new Ajv2020({ ...options, allErrors: true }),
  }
}

function compile(ajv: Ajv2020, schema: object, withinMs: number | null): ValidateFunction {
  try {
    return withinMs === null ? ajv.compile(schema) : guarded(() => ajv.compile(schema), withinMs)
  } catch (error) {
    if (isErrandError(error, 'timeout')) loading = null
    throw error
  } finally {
    // Compiled schemas would otherwise stay with the validator for ever.
    ajv.removeSchema(schema)
  }
}

/** Throws `invalid-input` for an input that cannot be checked in time. */
function run(
  validate: ValidateFunction,
  input: unknown,
  what: string,
  isWatched: boolean,
): boolean {
  try {
    return isWatched ? guarded(() => validate(input), bounds.checkMs) : validate(input)
  } catch (error) {
    if (!isErrandError(error, 'timeout') && !(error instanceof RangeError)) throw error
    const message =
      error instanceof RangeError ? 'nests too deep for its schema' : 'takes too long to check'
    throw misfit(what, [{ instancePath: '', params: {}, message }], { cause: error })
  }
}

function misfit(
  what: string,
  errors: readonly Pick<ErrorObject, 'instancePath' | 'params' | 'message'>[],
  options: { readonly cause?: unknown } = {},
): ErrandError {
  const issues = errors.slice(0, bounds.issues).map(({ instancePath, params, message }) => ({
    keys: keysOf(instancePath, params),
    message: message ?? 'does not fit',
  }))
  return misfitOf('invalid-input', what, issues, {
    ...options,
    more: errors.length - issues.length,
  })
}

/** Counts parts and levels, no more than are asked about. */
function sizeOf(input: unknown): { readonly parts: number; readonly levels: number } {
  let parts = 0
  let levels = 0
  let open: unknown[] = [input]
  while (open.length > 0 && parts <= bounds.parts) {
    const next: unknown[] = []
    for (const value of open) {
      if (++parts > bounds.parts) break
      if (typeof value !== 'object' || value === null) continue
      if (Array.isArray(value)) for (const one of value.slice(0, bounds.parts)) next.push(one)
      else for (const key in value) next.push((value as Record<string, unknown>)[key])
    }
    open = next
    levels++
  }
  return { parts, levels }
}

/** `/a/0` and a missing or surplus property become `a`, `0`, `property`. */
function keysOf(pointer: string, params: ErrorObject['params']): readonly string[] {
  const property: unknown = params['missingProperty'] ?? params['additionalProperty']
  const keys = pointerKeys(pointer)
  return typeof property === 'string' ? [...keys, property] : keys
}
