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
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema: Schema }>> }
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

/** Any request to the API that a document describes. */
export function requestsOf(document: OpenApi, known: Known): fc.Arbitrary<Draft> {
  const operations = Object.entries(document.paths).flatMap(([template, methods]) =>
    Object.entries(methods).map(([method, operation]) =>
      requestOf({ template, method: method.toUpperCase(), operation, document }, known),
    ),
  )
  return fc.oneof(
    { weight: operations.length * 4, arbitrary: fc.oneof(...operations) },
    { weight: operations.length, arbitrary: strangers(document, known) },
  )
}

interface Place {
  readonly template: string
  readonly method: string
  readonly operation: Operation
  readonly document: OpenApi
}

function requestOf(place: Place, known: Known): fc.Arbitrary<Draft> {
  const { template, method, operation, document } = place
  const parameters = operation.parameters ?? []
  const sendable = parameters.filter((one) => one.in !== 'path')
  const given = sendable.map((one) =>
    parameter(one, { known, template, absent: 2 + 2 * sendable.length }),
  )
  const media = operation.requestBody?.content['application/json']
  return fc
    .record({
      path: pathOf(template, known),
      given: fc.tuple(...given),
      strange: fc.oneof(
        { weight: 12, arbitrary: fc.constant(null) },
        {
          weight: 1,
          arbitrary: fc.tuple(
            fc.constantFrom(...nasty, 'limit', 'wait'),
            fc.constantFrom(...nasty),
          ),
        },
      ),
      body: media === undefined ? fc.constant(null) : bodyOf(media.schema, document),
      type: contentType,
      who: callerOf(known),
      aim: fc.option(fc.nat()),
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
      fc.constantFrom(...paths).chain((template) => pathOf(template, known)),
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
      fc.array(segment(known), { maxLength: 6 }).map((parts) => `/${parts.join('/')}`),
    ),
    query: fc.constant([]),
    headers: fc.constant({}),
    body: fc.constant(null),
    who: fc.constantFrom(...known.callers),
  })
}

const rawSegments = ['%', '%2F', '%00', '%zz', '%ED%A0%80', '%2e%2e', '..', ';', '*', ':id', '{id}']

function segment(known: Known, name = '', template = ''): fc.Arbitrary<string> {
  const named = fc.nat().map((n) => {
    const values = known.values(name, template)
    return encodeURIComponent(values[n % values.length] ?? '')
  })
  return fc.oneof(
    { weight: 5, arbitrary: named },
    { weight: 1, arbitrary: fc.constantFrom(...rawSegments) },
    {
      weight: 1,
      arbitrary: fc.constantFrom(...nasty).map((text) => encodeURIComponent(text.toWellFormed())),
    },
    { weight: 1, arbitrary: fc.uuid() },
  )
}

function pathOf(template: string, known: Known): fc.Arbitrary<string> {
  const parts = template.split(/(\{\w+\})/)
  const made = parts.map((part) =>
    part.startsWith('{') ? segment(known, part.slice(1, -1), template) : fc.constant(part),
  )
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
  }: { readonly known: Known; readonly template: string; readonly absent: number },
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
    { weight: absent, arbitrary: fc.constant([]) },
    { weight: 4, arbitrary: value.map((text) => [sent(text)]) },
    { weight: 1, arbitrary: values.map((texts) => texts.map(sent)) },
  )
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

function bodyOf(schema: Schema, document: OpenApi): fc.Arbitrary<string | Uint8Array | null> {
  const deep = (n: number): string => `${'['.repeat(n)}${']'.repeat(n)}`
  return fc.oneof(
    { weight: 16, arbitrary: fitting(schema, document).map((value) => JSON.stringify(value)) },
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
