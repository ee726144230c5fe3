/**
 * JSON Schemas of tasks as parts of one document. A task's schema stands by itself; in the document its references would point at
 * the document's root, so its definitions become schemas of the document, and each reference is written anew.
 */
import { jsonPointer, pointerKeys } from '../../core/json.ts'
import type { JsonSchema } from '../route.ts'

/** What nests deeper is described as anything. */
const mostLevels = 100

/** Schemas of the document by name. */
export type Components = Map<string, JsonSchema | boolean>

const ofSchema = [
  'items',
  'additionalProperties',
  'not',
  'if',
  'then',
  'else',
  'contains',
  'propertyNames',
  'unevaluatedItems',
  'unevaluatedProperties',
]
const ofSchemas = ['allOf', 'anyOf', 'oneOf', 'prefixItems']
const ofNamed = ['properties', 'patternProperties', 'dependentSchemas']
/** What a document's schema cannot have, or what names places in another one. */
const dropped = new Set([
  '$schema',
  '$id',
  '$anchor',
  '$dynamicAnchor',
  '$dynamicRef',
  '$vocabulary',
  '$comment',
  '$defs',
  'definitions',
])

/** Adds a schema under a name, with its definitions beside it, and returns a reference to it. */
export function addSchema(components: Components, name: string, root: unknown): JsonSchema {
  const names = new Map<string, string>()
  for (const keyword of ['$defs', 'definitions'])
    for (const key of keysOf(root, keyword))
      names.set(jsonPointer([keyword, key]), nameIn(components, `${name}_${key}`))
  const place: Place = { root, name, names }
  components.set(name, rewritten(root, place, 0))
  for (const [pointer, own] of names)
    components.set(own, rewritten(valueAt(root, pointerKeys(pointer)), place, 0))
  return refTo(name)
}

export function refTo(name: string): JsonSchema {
  return { $ref: `#/components/schemas/${name}` }
}

interface Place {
  readonly root: unknown
  readonly name: string
  /** Names in the document of the root's definitions, by pointer. */
  readonly names: ReadonlyMap<string, string>
}

function rewritten(schema: unknown, place: Place, level: number): JsonSchema | boolean {
  if (typeof schema === 'boolean') return schema
  if (!isObject(schema) || level > mostLevels) return {}
  const inner = (value: unknown): JsonSchema | boolean => rewritten(value, place, level + 1)
  const entries = Object.entries(schema).flatMap(([keyword, value]): [string, unknown][] => {
    if (dropped.has(keyword)) return []
    if (keyword === '$ref') return refOf(value, place)
    if (ofSchema.includes(keyword)) return [[keyword, inner(value)]]
    if (ofSchemas.includes(keyword) && Array.isArray(value)) return [[keyword, value.map(inner)]]
    if (ofNamed.includes(keyword) && isObject(value)) {
      const named = Object.entries(value).map(([key, one]) => [key, inner(one)])
      return [[keyword, Object.fromEntries(named)]]
    }
    return [[keyword, value]]
  })
  return Object.fromEntries(entries)
}

/** A reference that leads nowhere, or out of the schema, is left out: then anything is described there. */
function refOf(ref: unknown, { root, name, names }: Place): [string, unknown][] {
  if (typeof ref !== 'string' || !ref.startsWith('#')) return []
  const keys = pointerKeys(decoded(ref.slice(1)))
  if (ref !== '#' && !ref.startsWith('#/')) return []
  if (!isSchema(valueAt(root, keys))) return []
  const [first = '', second = '', ...rest] = keys
  const definition = names.get(jsonPointer([first, second]))
  const target = definition === undefined ? [name, ...keys] : [definition, ...rest]
  return [['$ref', `#${encodedPointer(['components', 'schemas', ...target])}`]]
}

function encodedPointer(keys: readonly string[]): string {
  return jsonPointer(keys).split('/').map(encodeURIComponent).join('/')
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    // No percent-encoding: it is meant as it stands.
    return text
  }
}

function valueAt(root: unknown, keys: readonly string[]): unknown {
  let value: unknown = root
  for (const key of keys) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined
    value = (value as Record<string, unknown>)[key]
  }
  return value
}

function keysOf(root: unknown, keyword: string): readonly string[] {
  const value = isObject(root) && Object.hasOwn(root, keyword) ? root[keyword] : undefined
  return isObject(value) ? Object.keys(value) : []
}

/** A name that components may have, and none has yet. */
function nameIn(components: Components, wanted: string): string {
  const clean = wanted.replaceAll(/[^A-Za-z0-9_.-]/g, '_')
  let name = clean
  for (let n = 2; components.has(name); n++) name = `${clean}_${n}`
  // Its place is taken from now on.
  components.set(name, {})
  return name
}

function isSchema(value: unknown): boolean {
  return typeof value === 'boolean' || isObject(value)
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
