import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isErrandError } from './errors.ts'
import { inputOf, readCall } from './message-call.ts'

const object = { type: 'object', properties: { path: {}, width: {}, height: {} } }

function call(value: unknown): ReturnType<typeof readCall> {
  return readCall(Buffer.from(JSON.stringify(value)))
}

function refusal(act: () => unknown): string {
  try {
    act()
  } catch (error) {
    assert.ok(isErrandError(error, 'invalid-input') || isErrandError(error, 'not-json'))
    return error.message
  }
  return assert.fail('it is taken')
}

test('both forms of EasyJobs are read, and what a queue says of itself means nothing', () => {
  const inner = { namespace: 'other', name: 'add', args: [1], kwargs: { b: 2 } }
  const expected = { task: 'add', given: { kind: 'arguments', args: [1], kwargs: { b: 2 } } }
  assert.deepEqual(call(inner), expected)
  assert.deepEqual(call({ job: inner }), expected)
  const bare = { task: 'add', given: { kind: 'arguments', args: [], kwargs: {} } }
  assert.deepEqual(call({ job: { name: 'add' } }), bare)
  assert.deepEqual(call({ name: 'add', args: null, kwargs: null }), bare)
})

test('an input of its own may be any JSON', () => {
  for (const input of [null, 7, 'text', [1], { a: 1 }])
    assert.deepEqual(call({ name: 'any', input }), { task: 'any', given: { kind: 'input', input } })
})

test('positional args fill the properties of an object in their order, and kwargs the rest', () => {
  const given = call({ name: 'resize', args: ['a.png', 200], kwargs: { height: 100 } })
  assert.deepEqual(inputOf(given, object), { path: 'a.png', width: 200, height: 100 })
})

test('a list takes them as they are', () => {
  const given = call({ name: 'sum', args: [1, 2, 3] })
  assert.deepEqual(inputOf(given, { type: 'array' }), [1, 2, 3])
  assert.deepEqual(inputOf(given, { prefixItems: [{}, {}] }), [1, 2, 3])
  assert.deepEqual(inputOf(call({ name: 'sum' }), { type: 'array' }), [])
  assert.match(
    refusal(() => inputOf(call({ name: 's', kwargs: { a: 1 } }), { type: 'array' })),
    /no kwargs/,
  )
})

test('what cannot be placed is refused: surplus args, args without a schema, and a property twice', () => {
  const four = call({ name: 'resize', args: [1, 2, 3, 4] })
  assert.match(
    refusal(() => inputOf(four, object)),
    /takes 3 positional args, not 4/,
  )
  assert.match(
    refusal(() => inputOf(four, null)),
    /no schema names its properties/,
  )
  assert.match(
    refusal(() => inputOf(four, { type: 'string' })),
    /no schema/,
  )
  const twice = call({ name: 'resize', args: ['a'], kwargs: { path: 'b' } })
  assert.match(
    refusal(() => inputOf(twice, object)),
    /path twice/,
  )
  assert.deepEqual(inputOf(call({ name: 'resize', kwargs: { a: 1 } }), null), { a: 1 })
})

test('a property that every object has is no argument that is given twice', () => {
  const schema = { type: 'object', properties: { toString: {}, constructor: {} } }
  const given = call({ name: 'odd', args: ['a'], kwargs: { constructor: 'b' } })
  assert.deepEqual(Object.entries(inputOf(given, schema) as object), [
    ['toString', 'a'],
    ['constructor', 'b'],
  ])
})

test('what is no call is refused in words', () => {
  const bad: readonly (readonly [string | Uint8Array, RegExp])[] = [
    ['', /not JSON/],
    ['{"name":"a","kwargs":{"n":NaN}}', /not JSON/],
    ['{"name":"a","kwargs":{"n":Infinity}}', /not JSON/],
    [Buffer.from([0x7b, 0xff]), /not UTF-8/],
    ['7', /must be an object/],
    ['[]', /must be an object/],
    ['{"job":[]}', /must be an object/],
    ['{}', /names no task/],
    ['{"name":""}', /name/],
    ['{"name":7}', /name/],
    ['{"name":"a\\u0000"}', /name/],
    ['{"name":"a","args":{}}', /must be a list/],
    ['{"name":"a","kwargs":[]}', /must be an object/],
    ['{"name":"a","input":1,"args":[]}', /input as well as/],
    ['{"name":"a","kwargs":{"n":9007199254740993}}', /9007199254740993/],
  ]
  for (const [body, words] of bad)
    assert.match(
      refusal(() => readCall(Buffer.from(body))),
      words,
    )
})
