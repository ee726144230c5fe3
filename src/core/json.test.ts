import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { runInNewContext } from 'node:vm'
import fc from 'fast-check'
import { isErrandError } from './errors.ts'
import { canonicalJson, fromJson, toJson } from './json.ts'

describe('JSON as it is stored', () => {
  it('reads back as what was written', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        assert.deepEqual(
          fromJson(toJson(value, 'input'), 'input'),
          JSON.parse(JSON.stringify(value)),
        )
      }),
    )
  })

  it('is null for undefined', () => {
    assert.equal(toJson(undefined, 'input'), 'null')
  })

  it('lets through what says itself how it is written, and objects without a prototype', () => {
    assert.equal(toJson({ at: new Date(0) }, 'input'), '{"at":"1970-01-01T00:00:00.000Z"}')
    assert.equal(toJson(Object.assign(Object.create(null) as object, { a: 1 }), 'input'), '{"a":1}')
    assert.equal(toJson({ a: undefined }, 'input'), '{}')
  })

  it('refuses what throws when it is read, in words of its own', () => {
    let deep: unknown = 1
    for (let depth = 0; depth < 100_000; depth += 1) deep = [deep]
    const broken = (): never => {
      throw new Error('boom')
    }
    const revocable = Proxy.revocable({}, {})
    revocable.revoke()
    const cases: readonly (readonly [unknown, RegExp])[] = [
      [deep, /^input nests deeper than 1000 levels\.$/],
      [{ a: { toJSON: broken } }, /^input cannot be read: boom\.$/],
      [Object.defineProperty({}, 'a', { enumerable: true, get: broken }), /boom/],
      [revocable.proxy, /^input cannot be read: .*revoked/],
    ]
    for (const [value, message] of cases)
      assert.throws(() => toJson(value, 'input'), { code: 'not-json', message })
  })

  it('writes null for what gives nothing', () => {
    assert.equal(toJson({ toJSON: () => undefined }, 'input'), 'null')
    assert.equal(toJson({ a: { toJSON: () => undefined } }, 'input'), '{}')
  })

  it('refuses what JSON would lose, with the path of the first such part', () => {
    class Money {
      readonly cents = 5
    }
    const circle: Record<string, unknown> = {}
    circle['self'] = { circle }
    const cases: readonly (readonly [unknown, string, RegExp])[] = [
      [1n, '', /a bigint/],
      [{ a: () => 1 }, '.a', /a function/],
      [{ a: [1, Symbol('s')] }, '.a[1]', /a symbol/],
      [{ a: { b: Number.NaN } }, '.a.b', /NaN/],
      [[Infinity], '[0]', /Infinity/],
      [{ m: new Map() }, '.m', /instance of Map/],
      [{ s: new Set([1]) }, '.s', /instance of Set/],
      [{ e: new Error('x') }, '.e', /instance of Error/],
      [{ list: [new Money()] }, '.list[0]', /instance of Money/],
      [{ bytes: new Uint8Array(2) }, '.bytes', /instance of Uint8Array/],
      [circle, '.self.circle', /circular/],
      [{ at: new Date(Number.NaN) }, '.at', /an invalid Date/],
      [new Date('soon'), '', /an invalid Date/],
      [[runInNewContext('new Date(NaN)')], '[0]', /an invalid Date/],
      [{ a: { toJSON: () => new Map() } }, '.a', /instance of Map/],
      [{ a: { toJSON: () => ({ n: Number.NaN }) } }, '.a.n', /NaN/],
      [{ a: { toJSON: () => 1n } }, '.a', /a bigint/],
    ]
    for (const [value, path, message] of cases) {
      assert.throws(
        () => toJson(value, 'input'),
        (error) => {
          assert.ok(isErrandError(error, 'not-json'))
          assert.equal(error.details['path'], path)
          assert.match(error.message, message)
          assert.ok(error.message.startsWith(`input${path} is `))
          return true
        },
      )
    }
  })

  it('takes the same object in two places for no circle', () => {
    const shared = { a: 1 }
    assert.equal(toJson([shared, { shared }], 'input'), '[{"a":1},{"shared":{"a":1}}]')
  })

  it('that is none is refused when it is read', () => {
    assert.throws(() => fromJson('{', 'output'), {
      code: 'not-json',
      message: 'output is not JSON.',
    })
  })
})

describe('canonical JSON', () => {
  it('is the same for equal values, whatever the order of their keys', () => {
    assert.equal(canonicalJson({ b: [{ d: 1, c: 2 }], a: null }), '{"a":null,"b":[{"c":2,"d":1}]}')
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (value) => {
        const turned = Object.fromEntries(Object.entries(value).toReversed())
        assert.equal(canonicalJson(turned), canonicalJson(value))
      }),
    )
  })

  it('differs for different values and keeps the order of lists', () => {
    assert.notEqual(canonicalJson([1, 2]), canonicalJson([2, 1]))
    assert.notEqual(canonicalJson({ a: 1 }), canonicalJson({ a: '1' }))
    assert.equal(canonicalJson(undefined), 'null')
  })
})
