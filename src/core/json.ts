/** JSON as Errand stores it: checked before it is written, canonical where it is compared. */
import { isLongNumber, parseDigits, sameDigits } from './digits.ts'
import { ErrandError, isErrandError } from './errors.ts'
import { shownValue } from './shown.ts'

/** What nests deeper would end the stack of one program or another that reads it. */
const mostLevels = 1_000

/**
 * Writes a value as JSON text. `undefined` becomes `null`.
 * Throws `not-json` with the path of the first part that JSON would lose or refuse: functions, symbols, bigints, NaN, infinities,
 * invalid dates, circles, more than 1,000 levels, Map, Set and other objects that are neither plain nor have `toJSON`; and for what throws when it is read.
 */
export function toJson(value: unknown, what: string): string {
  if (value === undefined) return 'null'
  try {
    check(value, what, '', [])
    return writeJson(value) ?? 'null'
  } catch (error) {
    if (isErrandError(error, 'not-json')) throw error
    throw new ErrandError('not-json', `${what} cannot be read: ${wordsOf(error)}.`, {
      cause: error,
    })
  }
}

/** Undefined for what has a `toJSON` that gives nothing, which the compiler does not know. */
const writeJson: (value: unknown) => string | undefined = JSON.stringify

/** A getter or `toJSON` may throw anything. */
function wordsOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : shownValue(thrown)
}

/** Reads JSON text. Throws `not-json` when it is none. */
export type ReadJson = (text: string, what: string) => unknown

/** Reads JSON as JavaScript does, which rounds long numbers. */
export const fromJson: ReadJson = (text, what) => readWith(JSON.parse, text, what)

/** Reads JSON whose long numbers keep their digits, for whoever writes it again. */
export const fromJsonWithDigits: ReadJson = (text, what) => readWith(parseDigits, text, what)

function readWith(parse: (text: string) => unknown, text: string, what: string): unknown {
  try {
    return parse(text)
  } catch (cause) {
    throw new ErrandError('not-json', `${what} is not JSON.`, { cause })
  }
}

/** Names a place in JSON by the keys on the way to it (RFC 6901); `''` is the whole. */
export function jsonPointer(keys: readonly string[]): string {
  return keys.map((key) => `/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`).join('')
}

/** The keys that a JSON pointer names. */
export function pointerKeys(pointer: string): readonly string[] {
  const parts = pointer.split('/').slice(1)
  return parts.map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
}

/** Writes plain data as JSON with sorted keys, so that equal values give equal text. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(sorted(parseDigits(toJson(value, 'the input'))))
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted)
  if (typeof value !== 'object' || value === null) return value
  if (isLongNumber(value)) return sameDigits(value)
  const entries = Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1))
  return Object.fromEntries(entries.map(([key, part]) => [key, sorted(part)]))
}

function check(value: unknown, what: string, path: string, above: object[]): void {
  switch (typeof value) {
    case 'string':
    case 'boolean':
    case 'undefined':
      return
    case 'number':
      if (Number.isFinite(value)) return
      return refuse(what, path, String(value))
    case 'bigint':
    case 'function':
    case 'symbol':
      return refuse(what, path, `a ${typeof value}`)
    case 'object':
      if (value !== null) checkObject(value, what, path, above)
  }
}

function checkObject(value: object, what: string, path: string, above: object[]): void {
  if (above.includes(value)) refuse(what, path, 'a circular reference')
  if (above.length >= mostLevels) {
    throw new ErrandError('not-json', `${what} nests deeper than ${mostLevels} levels.`)
  }
  above.push(value)
  if ('toJSON' in value && typeof value.toJSON === 'function') {
    if (isInvalidDate(value)) refuse(what, path, 'an invalid Date')
    const given: unknown = value.toJSON(path)
    if (given !== value) check(given, what, path, above)
    above.pop()
    return
  }
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) check(value[i], what, `${path}[${i}]`, above)
  } else {
    const prototype: unknown = Object.getPrototypeOf(value)
    if (prototype !== null && Object.getPrototypeOf(prototype) !== null) {
      refuse(what, path, `an instance of ${value.constructor.name}`)
    }
    for (const key in value) {
      check((value as Record<string, unknown>)[key], what, `${path}.${key}`, above)
    }
  }
  above.pop()
}

/** By its looks: a Date may come from another realm. JSON would write null. */
function isInvalidDate(value: object): boolean {
  return 'getTime' in value && typeof value.getTime === 'function' && Number.isNaN(value.getTime())
}

function refuse(what: string, path: string, found: string): never {
  throw new ErrandError('not-json', `${what}${path} is ${found}, which JSON cannot hold.`, {
    details: { path },
  })
}
