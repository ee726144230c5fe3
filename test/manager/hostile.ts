/** Requests with texts that have broken some program or other, in every place that a route has for one. */
import assert from 'node:assert/strict'
import { routes } from '../../src/manager/routes/index.ts'
import type { JsonSchema, Route } from '../../src/manager/route.ts'
import type { Answered, Api } from './harness.ts'

/** The id of no job. */
export const unknown = '01a22390-6fae-73e4-99d8-c1b669197fe5'

const hostile: readonly string[] = [
  '',
  "'",
  "' OR '1'='1",
  '}',
  '%',
  '\u0000',
  '\ud83d',
  '😀',
  'a/b',
  '\n\r\t',
  '1e309',
  '99999999999999999999999999',
  '__proto__',
  '$errand:ref',
  'x'.repeat(5_000),
  unknown,
]

/** Numbers as JSON may have them, some of which no double holds. */
const enormous: readonly string[] = [
  '1e308',
  '-1e308',
  '1e309',
  '-1e309',
  '1e-400',
  '-0',
  '0.1',
  '2147483648',
  '9007199254740993',
  '-9223372036854775809',
  '9'.repeat(400),
]

/** Stands in a body for a number that is written into its text. */
const placeholder = '@number@'

/** Sends them all: none is a fault of the manager, and none stores a job. */
export async function sweep(
  one: Api,
  texts: readonly string[] = hostile,
  of: readonly Route[] = routes,
): Promise<void> {
  let sent = 0
  for (const route of of) {
    if (route.tag === 'store' || route.id === 'getDoctor' || route.id === 'streamEvents') continue
    for (const [target, json] of requestsOf(route, texts)) {
      const answer = await one.send(route.method, target, { json })
      sent += 1
      const told = `${route.method} ${target.slice(0, 200)} ${JSON.stringify(json)?.slice(0, 200)}`
      assert.ok(answer.status < 500, `${told}: ${answer.status} ${JSON.stringify(answer.body)}`)
      if (answer.status >= 400) assertProblem(answer)
      else if (answer.status === 201) assert.deepEqual(answer.body, { jobs: [] }, told)
    }
  }
  sent += await sweepNumbers(one, of)
  assert.ok(sent > 10 * texts.length, `${sent} requests`)
  assert.deepEqual(await one.errand.jobs.counts(), [])
  assert.equal((await one.send('GET', '/v1/ready')).status, 200)
}

/** Sends each number in each field of each body. */
async function sweepNumbers(one: Api, of: readonly Route[]): Promise<number> {
  let sent = 0
  for (const { method, path, body, tag } of of) {
    if (tag === 'store') continue
    const target = path.replaceAll(/\{(\w+)\}/g, (_, name) => (name === 'id' ? unknown : 'none'))
    for (const json of bodiesOf(body, placeholder))
      for (const number of enormous) {
        const raw = JSON.stringify(json)?.replaceAll(JSON.stringify(placeholder), number)
        if (raw === undefined) continue
        const answer = await one.send(method, target, { raw })
        sent += 1
        const told = `${method} ${target} ${raw.slice(0, 200)}: ${JSON.stringify(answer.body)}`
        assert.ok(answer.status < 500, told)
        if (answer.status >= 400) assertProblem(answer)
        assert.notEqual(answer.status, 201, told)
      }
  }
  return sent
}

export function assertProblem({ status, headers, body }: Answered): void {
  assert.match(headers.get('content-type') ?? '', /^application\/problem\+json/)
  const problem = body as Record<string, unknown>
  assert.deepEqual(
    [problem['status'], typeof problem['title'], typeof problem['detail']],
    [status, 'string', 'string'],
  )
  assert.equal(problem['type'], `urn:errand:${String(problem['code'])}`)
}

/** Requests with one hostile text each: in the path, in the query, in the body. Their queues and tasks exist nowhere. */
function* requestsOf(
  route: Route,
  texts: readonly string[],
): Generator<readonly [string, unknown?]> {
  const fine = route.path.replaceAll(/\{(\w+)\}/g, (_, name) => (name === 'id' ? unknown : 'none'))
  const names = [...route.path.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => name)
  for (const text of texts) {
    const encoded = encodeURIComponent(text.toWellFormed())
    for (const name of names) {
      const filled = route.path
        .replace(`{${name}}`, encoded)
        .replaceAll(/\{(\w+)\}/g, (_, other) => (other === 'id' ? unknown : 'none'))
      yield [filled, exampleOf(route.body)]
    }
    for (const name of [...Object.keys(route.query ?? {}), 'other'])
      yield [`${fine}?${name}=${encoded}`, exampleOf(route.body)]
    for (const json of bodiesOf(route.body, text)) yield [fine, json]
  }
}

/** The smallest body that fits a schema, as far as these have it. */
function exampleOf(schema: JsonSchema | undefined): unknown {
  if (schema === undefined || Object.keys(schema).length === 0) return undefined
  const {
    type,
    properties = {},
    required = [],
    oneOf,
  } = schema as {
    readonly type?: unknown
    readonly properties?: Readonly<Record<string, JsonSchema>>
    readonly required?: readonly string[]
    readonly oneOf?: readonly JsonSchema[]
    readonly enum?: readonly unknown[]
  }
  if (oneOf !== undefined) return exampleOf(oneOf[0])
  if (type === 'array') return []
  if (type !== 'object') return 'none'
  return Object.fromEntries(required.map((name) => [name, exampleOf(properties[name])]))
}

function* bodiesOf(schema: JsonSchema | undefined, text: string): Generator {
  if (schema === undefined) return
  yield* [text, [text], { [text]: text }, Number(text), [{ task: text, input: text }]]
  const { oneOf = [schema] } = schema as { readonly oneOf?: readonly JsonSchema[] }
  for (const one of oneOf) {
    const { properties = {}, items } = one as {
      readonly properties?: Readonly<Record<string, JsonSchema>>
      readonly items?: { readonly properties?: Readonly<Record<string, JsonSchema>> }
    }
    for (const name of Object.keys(properties))
      yield { ...(exampleOf(one) as object), [name]: text }
    for (const name of Object.keys(items?.properties ?? {})) yield [{ task: 'none', [name]: text }]
  }
}
