import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import * as z from 'zod'
import { isErrandError } from '../core/errors.ts'
import { compileSchema, isJsonSchema } from './json-schema.ts'
import { watchedPattern } from './watched-pattern.ts'

describe('a check by a JSON Schema', () => {
  it('ends soon when a pattern would try all ways through a text', async () => {
    const check = await compileSchema('{"type":"string","pattern":"^(a+)+$"}')
    check('a'.repeat(40))
    assert.throws(() => check(`${'a'.repeat(40)}!`), {
      code: 'invalid-input',
      message: /takes too long to check/,
    })
  })

  it('tells several patterns of a schema apart', async () => {
    const properties = { a: { pattern: '^a' }, b: { pattern: '^b' } }
    const check = await compileSchema(JSON.stringify({ properties }))
    check({ a: 'a', b: 'b' })
    assert.throws(() => check({ a: 'a', b: 'a' }), {
      code: 'invalid-input',
      message: /b: must match/,
    })
  })

  it('ends soon when a schema that refers to itself tries all ways', async () => {
    const schema = {
      $defs: {
        node: {
          anyOf: [
            { type: 'object', properties: { next: { $ref: '#/$defs/node' }, a: { const: 1 } } },
            { type: 'object', properties: { next: { $ref: '#/$defs/node' }, a: { const: 2 } } },
          ],
        },
      },
      $ref: '#/$defs/node',
    }
    const check = await compileSchema(JSON.stringify(schema))
    let deep: unknown = { a: 3 }
    for (let level = 0; level < 60; level++) deep = { a: 3, next: deep }
    assert.throws(() => check(deep), { code: 'invalid-input', message: /takes too long/ })
  })

  it('ends soon when a large list may hold nothing twice', async () => {
    const check = await compileSchema('{"type":"array","uniqueItems":true}')
    const items = Array.from({ length: 60_000 }, (_, n) => ({ a: { b: n } }))
    assert.throws(() => check(items), { code: 'invalid-input', message: /takes too long/ })
  })

  it('tells a few issues of a small input and one of a large one', async () => {
    const check = await compileSchema('{"type":"array","items":{"type":"string"}}')
    const issuesOf = (length: number): number => {
      try {
        check(Array.from({ length }, () => 1))
      } catch (error) {
        assert.ok(isErrandError(error, 'invalid-input'))
        assert.ok(error.message.length < 2_000)
        return (error.details['issues'] as unknown[]).length
      }
      throw new Error('It fits.')
    }
    assert.equal(issuesOf(3), 3)
    assert.equal(issuesOf(100), 20)
    assert.equal(issuesOf(100_000), 1)
  })

  it('refuses what nests too deep for it, as a misfit', async () => {
    const check = await compileSchema(
      '{"$defs":{"l":{"items":{"$ref":"#/$defs/l"}}},"$ref":"#/$defs/l"}',
    )
    let deep: unknown[] = []
    for (let level = 0; level < 20_000; level++) deep = [deep]
    assert.throws(() => check(deep), { code: 'invalid-input' })
  })
})

describe('a value', () => {
  it('is a JSON Schema only by the rules of draft 2020-12', async () => {
    assert.equal(await isJsonSchema({ type: 'object', properties: { a: {} } }), true)
    assert.equal(await isJsonSchema({ type: 'nonsense' }), false)
    assert.equal(await isJsonSchema({ $schema: 'https://example.org/own' }), false)
    for (const value of [null, [], 'text', 5, true]) assert.equal(await isJsonSchema(value), false)
    let deep: object = {}
    for (let level = 0; level < 20_000; level++) deep = { not: deep }
    assert.equal(await isJsonSchema(deep), false)
  })
})

describe('a watched pattern', () => {
  const evil: readonly (readonly [pattern: string, text: string])[] = [
    ['^(a+)+$', `${'a'.repeat(40)}!`],
    ['^(a|a)*$', `${'a'.repeat(60)}!`],
    ['^(a|b|ab)*c', 'ab'.repeat(40)],
    ['(x+x+)+y', 'x'.repeat(100)],
    ['^(?:a?){60}a{60}$', `${'a'.repeat(59)}!`],
    [String.raw`^(\w+\s?)*$`, `${'word '.repeat(12)}!`],
    [String.raw`^(.*)\1(.*)\2$`, 'ab'.repeat(40)],
    [String.raw`\s+$`, `${' '.repeat(60_000)}x`],
    ['^a*a*a*a*a*$', `${'a'.repeat(3_000)}b`],
  ]
  for (const [pattern, text] of evil) {
    it(`${pattern} is given up in time`, () => {
      const { test } = watchedPattern(pattern, 'u', 100)
      const from = process.cpuUsage().user
      try {
        test(text)
      } catch (error) {
        assert.ok(isErrandError(error, 'timeout'))
      }
      assert.ok(process.cpuUsage().user - from < 10_000_000)
    })
  }

  it('answers as the regular expression does, for those of schema libraries', () => {
    const samples: readonly (readonly [schema: z.ZodType, text: string])[] = [
      [z.email(), 'some.body@mail.example.com'],
      [z.uuid(), '01234567-89ab-7def-8123-456789abcdef'],
      [z.iso.datetime(), '2020-01-01T00:00:00Z'],
      [z.ipv4(), '127.0.0.1'],
      [z.hostname(), 'www.example.com'],
      [z.base64(), 'aGVsbG8gd29ybGQ='],
    ]
    for (const [schema, text] of samples) {
      const { pattern = '' } = z.toJSONSchema(schema) as { readonly pattern?: string }
      const { test } = watchedPattern(pattern, 'u', 1_000)
      assert.equal(test(text), true, pattern)
      assert.equal(test(`${text} !`), false, pattern)
    }
  })
})
