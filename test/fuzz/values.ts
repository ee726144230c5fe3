/** Arbitraries of the values that JSON Schemas describe, and of values that are nearly those. */
import * as fc from 'fast-check'

export type Schema = Readonly<Record<string, unknown>>

/** Texts that have done harm somewhere. */
export const nasty: readonly string[] = [
  '',
  ' ',
  "'",
  '"',
  '{}',
  '${1}',
  '%',
  '%s',
  '/',
  '\\',
  '..',
  '\0',
  'a\0b',
  '\ud800',
  '😀',
  'é'.repeat(201),
  'a'.repeat(3_000),
  '__proto__',
  'constructor',
  'null',
  '-1',
  '1e999',
  '9'.repeat(30),
  '1h',
  '-5s',
  '2026-01-31T08:00:00Z',
  '2026-99-99T99:99:99Z',
  '01890000-0000-7000-8000-000000000000',
]

const anyText = fc.oneof(fc.constantFrom(...nasty), fc.string({ maxLength: 40, unit: 'grapheme' }))
const anyNumber = fc.oneof(
  fc.integer(),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.constantFrom(0, -0, -1, 1e308, 2 ** 53, -(2 ** 63)),
)
/** Any JSON, half of it made of nasty texts. */
export const anything: fc.Arbitrary<unknown> = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 3, depthSize: 'small' },
    anyText,
    anyNumber,
    fc.boolean(),
    fc.constant(null),
    fc.array(tie('value'), { maxLength: 3 }),
    fc.dictionary(anyText, tie('value'), { maxKeys: 3, noNullPrototype: true }),
  ),
})).value

/**
 * Values that fit a schema, as far as it is understood; references are looked up in `document`. Where a
 * schema has examples, most values are some of them: they tell what types and patterns cannot.
 */
export function fitting(schema: unknown, document: unknown, level = 0): fc.Arbitrary<unknown> {
  if (typeof schema !== 'object' || schema === null || level > 6) return anything
  const { examples, ...one } = schema as Schema
  if (Array.isArray(examples) && examples.length > 0)
    return fc.oneof(
      { weight: 3, arbitrary: fc.constantFrom(...(examples as unknown[])) },
      { weight: 1, arbitrary: fitting(one, document, level) },
    )
  const inner = (part: unknown): fc.Arbitrary<unknown> => fitting(part, document, level + 1)
  if (typeof one['$ref'] === 'string') return inner(lookUp(document, one['$ref']))
  if ('const' in one) return fc.constant(one['const'])
  if (Array.isArray(one['enum'])) return fc.constantFrom(...(one['enum'] as unknown[]))
  const ways = (one['anyOf'] ?? one['oneOf']) as unknown[] | undefined
  if (ways !== undefined) return fc.oneof(...ways.map(inner))
  const types = [one['type'] ?? (one['properties'] === undefined ? [] : 'object')].flat()
  if (types.length === 0) return anything
  return fc.oneof(...types.map((type) => ofType(type as string, one, inner, level)))
}

/** Any JSON, or a value that fits with one place made wrong. */
export function breaking(schema: unknown, document: unknown): fc.Arbitrary<unknown> {
  const bent = fc
    .tuple(fitting(schema, document), fc.nat(), anyText, anything)
    .map(([value, n, key, other]) => bend(value, n, key, other))
  return fc.oneof(anything, bent)
}

function ofType(
  type: string,
  schema: Schema,
  inner: (part: unknown) => fc.Arbitrary<unknown>,
  level: number,
): fc.Arbitrary<unknown> {
  switch (type) {
    case 'null':
      return fc.constant(null)
    case 'boolean':
      return fc.boolean()
    case 'integer':
    case 'number':
      return numbers(type, schema)
    case 'array':
      return fc.array(schema['items'] === undefined ? anything : inner(schema['items']), {
        minLength: Math.min(Number(schema['minItems'] ?? 0), 5),
        maxLength: Math.min(Number(schema['maxItems'] ?? 4), 6),
      })
    case 'object':
      return objects(schema, inner, level)
    default:
      return texts(schema)
  }
}

function numbers(type: string, schema: Schema): fc.Arbitrary<number> {
  const limit = (name: string, exclusive: string, step: number): number | undefined => {
    if (typeof schema[name] === 'number') return schema[name]
    return typeof schema[exclusive] === 'number' ? schema[exclusive] + step : undefined
  }
  const min = limit('minimum', 'exclusiveMinimum', 1) ?? -(2 ** 31)
  const max = limit('maximum', 'exclusiveMaximum', -1) ?? 2 ** 31
  if (type === 'integer')
    return fc.integer({ min: Math.max(min, -(2 ** 31)), max: Math.min(max, 2 ** 31 - 1) })
  return fc.double({ min, max, noNaN: true })
}

function texts(schema: Schema): fc.Arbitrary<string> {
  if (schema['format'] === 'uuid') return fc.uuid()
  if (schema['format'] === 'date-time')
    return fc
      .date({ min: new Date('2000-01-01'), max: new Date('2090-01-01'), noInvalidDate: true })
      .map((date) => date.toISOString())
  if (typeof schema['pattern'] === 'string') return fc.stringMatching(new RegExp(schema['pattern']))
  const minLength = Math.min(Number(schema['minLength'] ?? 0), 100)
  const maxLength = Math.min(Number(schema['maxLength'] ?? 50), 200)
  const plain = fc.string({ minLength, maxLength })
  const fits = nasty.filter(({ length }) => length >= minLength && length <= maxLength)
  return fits.length === 0 ? plain : fc.oneof(plain, fc.constantFrom(...fits))
}

function objects(
  schema: Schema,
  inner: (part: unknown) => fc.Arbitrary<unknown>,
  level: number,
): fc.Arbitrary<unknown> {
  const properties = Object.entries((schema['properties'] ?? {}) as Schema)
  const required = (schema['required'] ?? []) as string[]
  const { additionalProperties: others } = schema
  if (properties.length === 0) {
    const value = typeof others === 'object' ? inner(others) : anything
    return fc.dictionary(anyText, value, { maxKeys: 3, noNullPrototype: true })
  }
  // What refers to itself would go on for ever.
  const shown = properties
    .filter(([name]) => level < 5 || required.includes(name))
    .map(([name, part]) => [name, inner(part)] as const)
  const needed = shown.filter(([name]) => required.includes(name))
  const optional = shown.filter(([name]) => !required.includes(name))
  const all = fc.record(Object.fromEntries(shown), {
    requiredKeys: needed.map(([name]) => name),
    noNullPrototype: true,
  })
  if (optional.length <= few) return all
  // Of many at once one is wrong nearly always, by a rule that no schema tells.
  const some = fc
    .subarray(optional, { maxLength: few })
    .chain((chosen) =>
      fc.record(Object.fromEntries([...needed, ...chosen]), { noNullPrototype: true }),
    )
  return fc.oneof({ weight: 2, arbitrary: some }, { weight: 1, arbitrary: all })
}

/** So many optional properties are mostly right together. */
const few = 3

/** Takes away, replaces or adds one part. */
function bend(value: unknown, n: number, key: string, other: unknown): unknown {
  if (Array.isArray(value)) return n % 2 === 0 ? [...value, other] : value.slice(1)
  if (typeof value !== 'object' || value === null) return other
  const entries = Object.entries(value)
  const at = entries.length === 0 ? 0 : n % entries.length
  switch (n % 3) {
    case 0:
      return Object.fromEntries([...entries, [key, other]])
    case 1:
      return Object.fromEntries(entries.filter((_, index) => index !== at))
    default:
      return Object.fromEntries(
        entries.map(([name, part], index) => [name, index === at ? other : part]),
      )
  }
}

/** What a reference within a document names. */
export function lookUp(document: unknown, ref: string): unknown {
  const keys = ref
    .split('/')
    .slice(1)
    .map((key) => decodeURIComponent(key).replaceAll('~1', '/').replaceAll('~0', '~'))
  return keys.reduce<unknown>((at, key) => (at as Schema | undefined)?.[key], document)
}
