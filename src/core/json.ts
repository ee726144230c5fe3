/** JSON as Errand stores it: checked before it is written, canonical where it is compared. */
import { ErrandError } from './errors.ts'

/**
 * Writes a value as JSON text. `undefined` becomes `null`.
 * Throws `not-json` with the path of the first part that JSON would lose or refuse:
 * functions, symbols, bigints, NaN, infinities, circles, Map, Set and other objects that are neither plain nor have `toJSON`.
 */
export function toJson(value: unknown, what: string): string {
  if (value === undefined) return 'null'
  check(value, what, '', [])
  return JSON.stringify(value)
}

/** Reads JSON text. Throws `not-json` when it is none. */
export function fromJson(text: string, what: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new ErrandError('not-json', `${what} is not JSON.`, { cause })
  }
}

/** Writes plain data as JSON with sorted keys, so that equal values give equal text. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(sorted(JSON.parse(JSON.stringify(value ?? null))))
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted)
  if (typeof value !== 'object' || value === null) return value
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
  if ('toJSON' in value && typeof value.toJSON === 'function') return
  above.push(value)
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

function refuse(what: string, path: string, found: string): never {
  throw new ErrandError('not-json', `${what}${path} is ${found}, which JSON cannot hold.`, {
    details: { path },
  })
}
