/** What a message asks for: a task and its input, as its sender writes them. */
import { ErrandError } from './errors.ts'
import { fromJson } from './json.ts'
import { shownValue } from './shown.ts'
import { checkName } from './text.ts'

/** A task with its input, or with the arguments that make one. */
export interface MessageCall {
  readonly task: string
  readonly given:
    | { readonly kind: 'input'; readonly input: unknown }
    | {
        readonly kind: 'arguments'
        readonly args: readonly unknown[]
        readonly kwargs: Readonly<Record<string, unknown>>
      }
}

/**
 * Reads the body of a message. It is the JSON of an object with `name` and either `input` or EasyJobs' `args` and
 * `kwargs`, flat or wrapped in `job`; other keys mean nothing. Throws `not-json` and `invalid-input`.
 */
export function readCall(body: Uint8Array): MessageCall {
  const whole = objectOf(valueOf(textOf(body)), what)
  const call = whole['job'] === undefined ? whole : objectOf(whole['job'], `job of ${what}`)
  const { name, input, args, kwargs } = call
  if (name === undefined) throw refused(`${what} names no task: it has no "name"`)
  checkTask(name)
  if ('input' in call) {
    if (args !== undefined || kwargs !== undefined)
      throw refused(`${what} has input as well as args or kwargs`)
    return { task: name, given: { kind: 'input', input } }
  }
  return {
    task: name,
    given: {
      kind: 'arguments',
      args: listOf(args ?? [], `args of ${what}`),
      kwargs: objectOf(kwargs ?? {}, `kwargs of ${what}`),
    },
  }
}

/**
 * The input that a call means. Named arguments are the properties of an object; positional ones fill the properties of
 * the task's schema in their order, or are the whole of a list. `schema` is the JSON Schema of the input, null where
 * there is none. Throws `invalid-input`.
 */
export function inputOf({ task, given }: MessageCall, schema: unknown): unknown {
  if (given.kind === 'input') return given.input
  const { args, kwargs } = given
  const named = Object.keys(kwargs)
  if (isListSchema(schema)) {
    if (named.length === 0) return args
    throw refused(`${task} takes a list, so it takes no kwargs, such as ${named[0]}`)
  }
  if (args.length === 0) return kwargs
  const names = propertiesOf(schema)
  if (args.length > names.length) {
    throw refused(
      names.length === 0
        ? `${task} takes no positional args here, for no schema names its properties: pass kwargs`
        : `${task} takes ${names.length} positional args, not ${args.length}`,
    )
  }
  const twice = names.slice(0, args.length).find((name) => Object.hasOwn(kwargs, name))
  if (twice !== undefined) throw refused(`${task} is given ${twice} twice, in args and in kwargs`)
  const filled = args.map((value, n): [string, unknown] => [names[n] ?? '', value])
  return Object.fromEntries([...filled, ...Object.entries(kwargs)])
}

const what = 'the message'

/** Other languages write whole numbers that would be others here. */
function valueOf(text: string): unknown {
  if (manyDigits.test(text)) JSON.parse(checked(text), refuseLongNumbers as Reviver)
  return fromJson(text, what)
}

const manyDigits = /\d{16}/

/** Throws first what `JSON.parse` would throw, in Errand's words. */
function checked(text: string): string {
  fromJson(text, what)
  return text
}

type Reviver = (this: unknown, key: string, value: unknown) => unknown

function refuseLongNumbers(_key: string, value: unknown, context: { source?: string }): unknown {
  const { source = '' } = context
  if (typeof value === 'number' && /^-?\d+$/.test(source) && !Number.isSafeInteger(value))
    throw refused(`${source} in ${what} is a whole number beyond 2^53: send it as a text`)
  return value
}

function textOf(body: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(body)
  } catch (cause) {
    throw new ErrandError('not-json', `${what} is not UTF-8.`, { cause })
  }
}

function checkTask(name: unknown): asserts name is string {
  try {
    checkName(name, `name of ${what}`)
  } catch (cause) {
    throw refused(cause instanceof Error ? cause.message.replace(/\.$/, '') : `a name`)
  }
}

function objectOf(value: unknown, where: string): Readonly<Record<string, unknown>> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value))
    return value as Readonly<Record<string, unknown>>
  throw refused(`${where} must be an object, not ${shownValue(value)}`)
}

function listOf(value: unknown, where: string): readonly unknown[] {
  if (Array.isArray(value)) return value as readonly unknown[]
  throw refused(`${where} must be a list, not ${shownValue(value)}`)
}

function isListSchema(schema: unknown): boolean {
  const { type, prefixItems } = (schema ?? {}) as { type?: unknown; prefixItems?: unknown }
  return type === 'array' || Array.isArray(prefixItems)
}

function propertiesOf(schema: unknown): readonly string[] {
  const { properties } = (schema ?? {}) as { properties?: unknown }
  return typeof properties === 'object' && properties !== null ? Object.keys(properties) : []
}

function refused(why: string): ErrandError {
  return new ErrandError('invalid-input', `${why}.`)
}
