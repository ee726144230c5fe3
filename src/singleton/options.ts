/** A singleton's own options: what they are called, of which type, and where their values come from. */
import { toMs, type Duration } from '../core/duration.ts'
import { ErrandError } from '../core/errors.ts'
import { refuseUnknownKeys } from '../core/option-keys.ts'
import { readShape } from '../core/read.ts'

/** One option: `--some-name` on the command line, `SOME_NAME` or what `env` says in the environment. */
export type OptionSpec =
  | (Described & {
      readonly type: 'text'
      readonly default?: string
      readonly choices?: readonly string[]
    })
  | (Described & { readonly type: 'number'; readonly default?: number })
  /** Milliseconds for `run`. */
  | (Described & { readonly type: 'duration'; readonly default?: Duration })
  /** Without a value on the command line; 1, 0, true or false in the environment. False when nothing is said. */
  | (Described & { readonly type: 'flag'; readonly default?: boolean })

interface Described {
  readonly description?: string
  /** The variable of the environment. Default: none. */
  readonly env?: string
  /** Whether it must be given somewhere. */
  readonly required?: boolean
}

/** By name, in camel case. */
export type OptionSpecs = Readonly<Record<string, OptionSpec>>

type TypeOf<Spec extends OptionSpec> = Spec extends { readonly type: 'flag' }
  ? boolean
  : Spec extends { readonly choices: readonly (infer Choice)[] }
    ? Choice
    : Spec extends { readonly type: 'text' }
      ? string
      : number

type IsThere<Spec extends OptionSpec> = Spec extends
  | { readonly type: 'flag' }
  | { readonly required: true }
  | { readonly default: string | number | boolean }
  ? true
  : false

/** What `run` gets for options of these specs. */
export type OptionValues<Specs extends OptionSpecs> = {
  readonly [Name in keyof Specs]: IsThere<Specs[Name]> extends true
    ? TypeOf<Specs[Name]>
    : TypeOf<Specs[Name]> | undefined
}

const specKeys = ['type', 'description', 'env', 'required', 'default', 'choices']
const types = ['text', 'number', 'duration', 'flag']

/** Refuses specs that cannot work. Throws `invalid-option`. */
export function checkOptionSpecs(specs: OptionSpecs, where: string): void {
  readShape(specs, [], `${where}.options`, "an object such as { limit: { type: 'number' } }")
  for (const [name, spec] of Object.entries(specs)) {
    const what = `${where}.options.${name}`
    if (!/^[a-z][a-zA-Z0-9]*$/.test(name))
      throw new ErrandError('invalid-option', `${what}: write the name of an option in camelCase.`)
    refuseUnknownKeys(spec, specKeys, what)
    if (!types.includes(spec.type))
      throw new ErrandError('invalid-option', `${what}.type must be one of ${types.join(', ')}.`)
  }
}

/** `retryLimit` is `--retry-limit`. */
export function flagOf(name: string): string {
  return `--${name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`
}

/** Reads one text as an option's type. Throws `invalid-option`, naming `source`. */
export function parseOption(spec: OptionSpec, text: string, source: string): unknown {
  switch (spec.type) {
    case 'text':
      if (spec.choices?.includes(text) === false) {
        const choices = spec.choices.join(', ')
        throw new ErrandError('invalid-option', `${source} must be one of ${choices}, not ${text}.`)
      }
      return text
    case 'number':
      if (text.trim() === '' || !Number.isFinite(Number(text)))
        throw new ErrandError(
          'invalid-option',
          `${source} must be a number, not ${JSON.stringify(text)}.`,
        )
      return Number(text)
    case 'duration':
      return parseDuration(text, source)
    case 'flag':
      return parseFlag(text, source)
  }
}

/** Plain digits are milliseconds, as everywhere in Errand. */
export function parseDuration(text: string, source: string): number {
  return toMs(/^\s*\d+\s*$/.test(text) ? Number(text) : (text as Duration), source)
}

export function parseFlag(text: string, source: string): boolean {
  if (text === '1' || text === 'true') return true
  if (text === '0' || text === 'false') return false
  throw new ErrandError(
    'invalid-option',
    `${source} must be 1, 0, true or false, not ${JSON.stringify(text)}.`,
  )
}
