/** Arbitraries of requests, made of the document: right ones, and ones that are wrong in any place. */
import * as fc from 'fast-check'
import { aimed, impatient } from './aim.ts'
import { anything, breaking, fitting, nasty, type Schema } from './values.ts'

/** A request as data, so that a failure can print it. */
export interface Draft {
  readonly method: string
  /** As the document writes it; null for a path that it does not have. */
  readonly template: string | null
  readonly path: string
  readonly query: readonly (readonly [name: string, value: string])[]
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | Uint8Array | null
  /** The name of the caller. */
  readonly who: string
}

/** What requests may name that is there. */
export interface Known {
  readonly callers: readonly string[]
  /** For a parameter of a name, such as `queue`, in a path as the document writes it. */
  readonly values: (name: string, template: string) => readonly string[]
  /** A job that runs, and the token of its lease; null for none. */
  readonly lease: (n: number) => { readonly id: string; readonly token: number } | null
}

interface Operation {
  readonly parameters?: readonly Parameter[]
  readonly requestBody?: { readonly content: Readonly<Record<string, Media>> }
  readonly 'x-errand-task'?: string
}

interface Media {
  readonly schema: Schema
  readonly examples?: Readonly<Record<string, { readonly value: unknown }>>
}

interface Parameter {
  readonly name: string
  readonly in: 'path' | 'query' | 'header'
  readonly required?: boolean
  readonly schema: Schema
}

export interface OpenApi {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>
}

/**
 * How a request is made. `right`: everything in it is as the document says, names what is there, and comes from the caller who may
 * do everything; only what no document tells can be wrong. `wild`: anything in it may be wrong.
 */
type Mood = 'right' | 'wild'

/** Any request to the API that a document describes. */
export function requestsOf(document: OpenApi, known: Known): fc.Arbitrary<Draft> {
  const places = Object.entries(document.paths).flatMap(([template, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({
      template,
      like: template,
      method: method.toUpperCase(),
      operation,
      document,
    })),
  )
  const tasks = places.filter(({ operation }) => operation['x-errand-task'] !== undefined)
  const operationsIn = (mood: Mood): fc.Arbitrary<Draft> =>
    fc.oneof(
      ...places.map((place) => {
        // What fits a task that is named by a parameter stands at the task's own path.
        const isOfAny = mood === 'right' && place.template.includes('{task}')
        const ways = isOfAny ? tasks.map((one) => ({ ...one, template: place.template })) : [place]
        return fc.oneof(...ways.map((way) => requestOf({ ...way, mood }, known)))
      }),
    )
  return fc.oneof(
    { weight: 2, arbitrary: operationsIn('right') },
    { weight: 2, arbitrary: operationsIn('wild') },
    { weight: 1, arbitrary: strangers(document, known) },
  )
}

interface Place {
  readonly template: string
  /** What its path is made of, which the template fits. */
  readonly like: string
  readonly method: string
  readonly operation: Operation
  readonly document: OpenApi
  readonly mood: Mood
}

function requestOf(place: Place, known: Known): fc.Arbitrary<Draft> {
  const { template, like, method, operation, mood } = place
  const isRight = mood === 'right'
  const parameters = operation.parameters ?? []
  const sendable = parameters.filter((one) => one.in !== 'path')
  const given = sendable.map((one) =>
    parameter(one, { known, template, absent: 2 + 2 * sendable.length, mood }),
  )
  const media = operation.requestBody?.content['application/json']
  return fc
    .record({
      path: pathOf(like, known, mood),
      given: fc.tuple(...given),
      strange: isRight ? fc.constant(null) : strangeParameter,
      body: media === undefined ? fc.constant(null) : bodyOf(media, place),
      type: isRight ? fc.constant('application/json') : contentType,
      who: isRight ? fc.constant(known.callers[0] ?? '') : callerOf(known),
      aim: isRight ? fc.nat() : fc.option(fc.nat()),
    })
    .map(({ path, given: values, strange, body, type, who, aim }) => {
      const sent = values.flat()
      const query = sent
        .filter((one) => one.in === 'query')
        .map(({ name, value }): [string, string] => [name, value])
      const headers = sent
        .filter((one) => one.in === 'header')
        .map(({ name, value }) => [name, headerText(value)])
      const draft: Draft = {
        method,
        template,
        path,
        query: strange === null ? query : [...query, strange],
        headers: Object.fromEntries([
          ...headers,
          ...(body === null ? [] : [['content-type', type]]),
        ]) as Record<string, string>,
        body,
        who,
      }
      return impatient(aim === null ? draft : aimed(draft, known, aim))
    })
}

const strangeParameter = fc.oneof(
  { weight: 12, arbitrary: fc.constant(null) },
  {
    weight: 1,
    arbitrary: fc.tuple(fc.constantFrom(...nasty, 'limit', 'wait'), fc.constantFrom(...nasty)),
  },
)

/** The first, who may do everything, gets as far as all others together. */
function callerOf({ callers }: Known): fc.Arbitrary<string> {
  const [first = '', ...others] = callers
  return fc.oneof(fc.constant(first), fc.constantFrom(...others))
}

/** Paths and methods that the document does not have. */
function strangers(document: OpenApi, known: Known): fc.Arbitrary<Draft> {
  const paths = Object.keys(document.paths)
  return fc.record({
    method: fc.constantFrom('GET', 'POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'HEAD'),
    template: fc.constant(null),
    path: fc.oneof(
      fc.constantFrom(...paths).chain((template) => pathOf(template, known, 'wild')),
      fc.constantFrom(
        '/',
        '//',
        '/v1',
        '/v1/',
        '/v2/jobs',
        '/v1/jobs/',
        '/%',
        '/v1/%2e%2e/jobs',
        '/v1/jobs/a/b/c',
      ),
      fc.array(wildSegment(known), { maxLength: 6 }).map((parts) => `/${parts.join('/')}`),
    ),
    query: fc.constant([]),
    headers: fc.constant({}),
    body: fc.constant(null),
    who: fc.constantFrom(...known.callers),
  })
}

const rawSegments = ['%', '%2F', '%00', '%zz', '%ED%A0%80', '%2e%2e', '..', ';', '*', ':id', '{id}']

function segment(known: Known, name: string, template: string): fc.Arbitrary<string> {
  return fc.nat().map((n) => {
    const values = known.values(name, template)
    return encodeURIComponent(values[n % values.length] ?? '')
  })
}

function wildSegment(known: Known, name = '', template = ''): fc.Arbitrary<string> {
  return fc.oneof(
    { weight: 5, arbitrary: segment(known, name, template) },
    { weight: 1, arbitrary: fc.constantFrom(...rawSegments) },
    {
      weight: 1,
      arbitrary: fc.constantFrom(...nasty).map((text) => encodeURIComponent(text.toWellFormed())),
    },
    { weight: 1, arbitrary: fc.uuid() },
  )
}

function pathOf(template: string, known: Known, mood: Mood): fc.Arbitrary<string> {
  const parts = template.split(/(\{\w+\})/)
  const made = parts.map((part) => {
    if (!part.startsWith('{')) return fc.constant(part)
    return (mood === 'right' ? segment : wildSegment)(known, part.slice(1, -1), template)
  })
  return fc.tuple(...made).map((texts) => texts.join(''))
}

interface Sent {
  readonly name: string
  readonly in: string
  readonly value: string
}

/** Waits are short here, whatever else they are. */
const waits = fc.constantFrom('1ms', '2ms', '0', '0s', '-1s', '31s', '5', '1x', '', '9'.repeat(30))

function parameter(
  one: Parameter,
  {
    known,
    template,
    absent,
    mood,
  }: {
    readonly known: Known
    readonly template: string
    readonly absent: number
    readonly mood: Mood
  },
): fc.Arbitrary<readonly Sent[]> {
  const { name, schema } = one
  const sent = (value: string): Sent => ({ name, in: one.in, value })
  const there = fc.nat().map((n) => {
    const values = known.values(name, template)
    return values[n % values.length] ?? ''
  })
  const isMany = schema['type'] === 'array'
  const right = fitting(isMany ? schema['items'] : schema, {}).map((value) =>
    typeof value === 'string' ? value : JSON.stringify(value),
  )
  const once = (value: fc.Arbitrary<string>) => value.map((text) => [sent(text)])
  const nothing = { weight: absent, arbitrary: fc.constant([]) }
  if (mood === 'right') {
    const isNamed = isText(isMany ? schema['items'] : schema)
    const value = name === 'wait' ? fc.constantFrom('1ms', '2ms') : isNamed ? there : right
    return fc.oneof(nothing, { weight: 4, arbitrary: once(value) })
  }
  const value =
    name === 'wait'
      ? waits
      : fc.oneof(
          { weight: 3, arbitrary: right },
          { weight: 4, arbitrary: there },
          { weight: 1, arbitrary: fc.constantFrom(...nasty) },
        )
  const values = fc.array(value, { maxLength: isMany ? 4 : 2, minLength: 1 })
  return fc.oneof(
    nothing,
    { weight: 4, arbitrary: once(value) },
    { weight: 1, arbitrary: values.map((texts) => texts.map(sent)) },
  )
}

/** Whether a schema says no more than that something is a text. */
function isText(schema: unknown): boolean {
  return JSON.stringify(schema) === '{"type":"string"}'
}

const contentType = fc.oneof(
  { weight: 24, arbitrary: fc.constant('application/json') },
  {
    weight: 2,
    arbitrary: fc.constantFrom(
      'application/json; charset=utf-8',
      'APPLICATION/JSON',
      'text/plain',
      'application/x-www-form-urlencoded',
      'application/json-patch+json',
      ';',
      'multipart/form-data; boundary=x',
    ),
  },
)

/** Over the bound that the fuzz gives its manager. */
export const maxBody = 64 * 1_024

function bodyOf(media: Media, { document, mood }: Place): fc.Arbitrary<string | Uint8Array | null> {
  const examples = Object.values(media.examples ?? {}).map(({ value }) => value)
  const schema = { ...media.schema, ...(examples.length === 0 ? {} : { examples }) }
  const right = fitting(schema, document).map((value) => JSON.stringify(value))
  if (mood === 'right') return right
  const deep = (n: number): string => `${'['.repeat(n)}${']'.repeat(n)}`
  return fc.oneof(
    { weight: 16, arbitrary: right },
    { weight: 6, arbitrary: breaking(schema, document).map((value) => JSON.stringify(value)) },
    { weight: 2, arbitrary: anything.map((value) => JSON.stringify(value)) },
    {
      weight: 2,
      arbitrary: fc.constantFrom<string | Uint8Array | null>(
        null,
        '',
        '{',
        '[1,',
        'NaN',
        '\ufeff{}',
        "{'a':1}",
        '{"a":1}{"a":1}',
        '{"__proto__":{"a":1}}',
        '"\\ud800"',
        '"\\u0000"',
        '1e999',
        deep(900),
        deep(1_050),
        deep(20_000),
        `"${'x'.repeat(maxBody)}"`,
        `[${'0,'.repeat(20_000)}0]`,
        `[${'{"task":1},'.repeat(3_000)}{}]`,
        new Uint8Array([0xff, 0xfe, 0x22]),
        new Uint8Array([0x22, 0xed, 0xa0, 0x80, 0x22]),
      ),
    },
  )
}

/** What a header can carry. */
function headerText(text: string): string {
  return text.replaceAll(/[^\x20-\x7e]/g, '?').trim()
}
