/** Reads single options of calls from JavaScript: what a value cannot mean is refused with one line. All throw `invalid-option`. */
import type { Codec } from './codec.ts'
import { longestMs } from './duration.ts'
import { ErrandError } from './errors.ts'
import { shownValue } from './shown.ts'
import { checkName } from './text.ts'

/** Refuses a value, saying what is needed in its place. */
export function refuseValue(where: string, needs: string, value: unknown): never {
  throw new ErrandError('invalid-option', `${where} must be ${needs}, not ${shownValue(value)}.`)
}

/** A text that is not empty. */
export function readText(value: unknown, where: string): string {
  if (typeof value === 'string' && value !== '') return value
  return refuseValue(where, 'a text that is not empty', value)
}

/** Texts, or nothing. Of one that is none the value is not shown: it may be a password. */
export function readTexts<Name extends string>(
  options: { readonly [name in Name]?: unknown },
  names: readonly Name[],
  where: string,
): void {
  for (const name of names) {
    if (options[name] === undefined || typeof options[name] === 'string') continue
    throw new ErrandError('invalid-option', `${where}.${name} must be a text.`)
  }
}

/** The name of a queue. */
export function readQueueName(value: unknown, where: string): string {
  checkName(value, where)
  return value
}

export function readFlag(value: unknown, where: string): boolean {
  if (typeof value === 'boolean') return value
  return refuseValue(where, 'true or false', value)
}

export function readChoice<Choice extends string>(
  value: unknown,
  choices: readonly Choice[],
  where: string,
): Choice {
  const found = choices.find((choice) => choice === value)
  if (found !== undefined) return found
  return refuseValue(where, choices.map((choice) => `'${choice}'`).join(' or '), value)
}

/** Milliseconds as a plain number. */
export function readMs(value: unknown, where: string): number {
  if (typeof value === 'number' && value > 0 && value <= longestMs) return value
  return refuseValue(where, 'milliseconds, a number above 0 and at most 100 years', value)
}

export function readFunction<F>(value: F, where: string): F {
  if (typeof value === 'function') return value
  return refuseValue(where, 'a function', value)
}

export function readList<T>(value: readonly T[], where: string, of: string): readonly T[] {
  if (Array.isArray(value)) return value
  return refuseValue(where, `a list of ${of}`, value)
}

/** An object with methods, such as a clock, known by its looks. */
export function readShape<T>(
  value: T,
  methods: readonly string[],
  where: string,
  needs: string,
): T {
  const isIt =
    typeof value === 'object' &&
    value !== null &&
    methods.every((name) => typeof (value as Record<string, unknown>)[name] === 'function')
  return isIt ? value : refuseValue(where, needs, value)
}

export function readSignal(value: unknown, where: string): AbortSignal {
  if (value instanceof AbortSignal) return value
  return refuseValue(where, 'an AbortSignal', value)
}

export function readCodec(value: Codec, where: string): Codec {
  const needs = 'a codec: { name, encode(text), decode(text) }'
  readShape(value, ['encode', 'decode'], where, needs)
  checkName(value.name, `${where}.name`)
  return value
}
