/** Reads the parameters of a query, each in the type that its schema names, and refuses what the route does not know. */
import { nearest } from '../core/nearest.ts'
import { shownValue } from '../core/shown.ts'
import { Problem } from './problem.ts'
import type { QueryParameter, Route } from './route.ts'

export type Reader = (given: URLSearchParams) => Readonly<Record<string, unknown>>

export function readQuery(route: Route): Reader {
  const known = route.query ?? {}
  return (given) => {
    const read: Record<string, unknown> = {}
    for (const name of new Set(given.keys())) {
      const parameter = Object.hasOwn(known, name) ? known[name] : undefined
      if (parameter === undefined) throw unknownParameter(name, Object.keys(known))
      read[name] = readOne(name, given.getAll(name), parameter)
    }
    return read
  }
}

function readOne(name: string, texts: readonly string[], { schema }: QueryParameter): unknown {
  if (schema['type'] === 'array') return texts
  const [text = '', ...more] = texts
  if (more.length > 0) throw new Problem('invalid-option', `The query names ${name} twice.`)
  if (schema['type'] === 'integer') return readInteger(name, text, schema)
  if (schema['type'] === 'boolean') {
    if (text === 'true' || text === 'false') return text === 'true'
    throw new Problem('invalid-option', `${name} is true or false, not ${shownValue(text)}.`)
  }
  const choices = schema['enum'] as readonly string[] | undefined
  if (choices !== undefined && !choices.includes(text))
    throw new Problem('invalid-option', `${name} is one of ${choices.join(', ')}.`)
  return text
}

function readInteger(name: string, text: string, schema: QueryParameter['schema']): number {
  const { minimum = -Infinity, maximum = Infinity } = schema as {
    readonly minimum?: number
    readonly maximum?: number
  }
  const value = /^-?\d{1,15}$/.test(text) ? Number(text) : Number.NaN
  if (value >= minimum && value <= maximum) return value
  const range = Number.isFinite(maximum) ? ` from ${minimum} to ${maximum}` : ''
  throw new Problem('invalid-option', `${name} is a whole number${range}, not ${shownValue(text)}.`)
}

function unknownParameter(name: string, known: readonly string[]): Problem {
  const meant = nearest(name, known)
  const advice =
    known.length === 0
      ? 'This path takes none.'
      : meant === null
        ? `There are ${known.join(', ')}.`
        : `Did you mean ${meant}?`
  return new Problem('invalid-option', `No parameter ${shownValue(name)} is known. ${advice}`)
}
