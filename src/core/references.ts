/**
 * References to outputs that do not exist yet: how they lie in the input of a job, and how they become
 * values once the jobs that they name have ended.
 *
 * A reference is an object with the one key `$errand:ref`: the id of a job, the name by which people
 * know it, then the keys on the way into its output. Keys of a user's own that look alike get one more
 * `$` in front, so that nothing that a user sends is taken for a reference.
 */
import { isLongNumber } from './digits.ts'
import { ErrandError } from './errors.ts'

const refKey = '$errand:ref'
const alike = /^\$+errand:/
const escaped = /^\$\$+errand:/

/** Where an output is that is referred to. */
export interface Reference {
  readonly job: string
  readonly name: string
  readonly path: readonly string[]
}

/** How a job ended that is referred to. */
export type Ended =
  | { readonly state: 'completed'; readonly output: unknown }
  | { readonly state: string }

/**
 * Replaces references by data. `referenceOf` returns the reference that a value is, or null. Returns the
 * value itself, and no ids, where it holds none.
 */
export function writeReferences(
  value: unknown,
  referenceOf: (value: unknown) => Reference | null,
): { readonly value: unknown; readonly jobs: ReadonlySet<string> } {
  const jobs = new Set<string>()
  const write = (one: unknown): unknown => {
    const reference = referenceOf(one)
    if (reference !== null) {
      jobs.add(reference.job)
      return written(reference)
    }
    return mapped(one, write, (key) => (alike.test(key) ? `$${key}` : key))
  }
  const whole = write(value)
  return jobs.size === 0 ? { value, jobs } : { value: whole, jobs }
}

/** Replaces what `writeReferences` wrote by what the jobs came to. Throws `invalid-input` where something is not there. */
export function readReferences(value: unknown, endedAs: (job: string) => Ended): unknown {
  return putForReferences(value, (reference) => follow(reference, endedAs(reference.job)))
}

/** Puts something else in the place of each reference that `writeReferences` wrote. */
export function putForReferences(value: unknown, put: (reference: Reference) => unknown): unknown {
  const read = (one: unknown): unknown => {
    const reference = storedReference(one)
    if (reference !== null) return put(reference)
    return mapped(one, read, (key) => (escaped.test(key) ? key.slice(1) : key))
  }
  return read(value)
}

/** Puts other references in the place of those that `writeReferences` wrote. */
export function moveReferences(
  value: unknown,
  moved: (reference: Reference) => Reference,
): unknown {
  const move = (one: unknown): unknown => {
    const reference = storedReference(one)
    return reference === null ? mapped(one, move, (key) => key) : written(moved(reference))
  }
  return move(value)
}

/** A reference as `writeReferences` writes it. */
export function written({ job, name, path }: Reference): unknown {
  return { [refKey]: [job, name, ...path] }
}

function mapped(
  value: unknown,
  each: (value: unknown) => unknown,
  rename: (key: string) => string,
): unknown {
  if (Array.isArray(value)) return value.map(each)
  if (!isPlainObject(value) || isLongNumber(value)) return value
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [rename(key), each(one)]))
}

function storedReference(value: unknown): Reference | null {
  if (!isPlainObject(value)) return null
  const parts = value[refKey]
  if (!Array.isArray(parts) || !parts.every((part) => typeof part === 'string')) return null
  const [job = '', name = '', ...path] = parts
  return { job, name, path }
}

function follow({ name, path }: Reference, ended: Ended): unknown {
  if (!('output' in ended)) throw absent(`${name} has no output: it is ${ended.state}`)
  let value = ended.output
  for (const [n, key] of path.entries()) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) {
      const before = ['output', ...path.slice(0, n)].join('.')
      throw absent(`${name} has no output.${path.join('.')}: its ${before} has no ${key}`)
    }
    value = (value as Readonly<Record<string, unknown>>)[key]
  }
  return value
}

function absent(what: string): ErrandError {
  return new ErrandError('invalid-input', `The input refers to what is not there: ${what}.`)
}

function isPlainObject(value: unknown): value is Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}
