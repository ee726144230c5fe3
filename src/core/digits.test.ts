import assert from 'node:assert/strict'
import test from 'node:test'
import {
  both,
  isLongNumber,
  longOf,
  parseDigits,
  plainOf,
  sameDigits,
  withDigits,
} from './digits.ts'
import { canonicalJson, toJson } from './json.ts'

const long = [
  '9007199254740993',
  '1e400',
  '-1E-400',
  '0.1000000000000000055',
  '2.00000000000000000001',
]
const short = [
  '0',
  '-0',
  '1.50',
  '1e3',
  '9007199254740992',
  '123456789012345680000',
  '0.1',
  '5e-324',
]

test('a number stays in its own text where a double would round it, and nowhere else', () => {
  for (const text of long) {
    assert.ok(isLongNumber(parseDigits(text)), text)
    assert.equal(JSON.stringify(parseDigits(text)), text)
    assert.equal(toJson(parseDigits(`{"a":[${text}]}`), 'it'), `{"a":[${text}]}`)
  }
  for (const text of short) assert.equal(parseDigits(text), Number(text))
})

test('digits in texts and keys are not looked at, whatever is escaped before them', () => {
  const texts = [`"${long.join()}"`, `{"1e400":"\\\\","b":"\\"1e400"}`, `["\\\\\\"",",1e400,"]`]
  for (const text of texts) {
    const value: unknown = JSON.parse(text)
    assert.equal(withDigits(text, value), value)
  }
  assert.equal(JSON.stringify(parseDigits('["\\\\",1e400]')), '["\\\\",1e400]')
  assert.equal(JSON.stringify(parseDigits('{"__proto__":1e400}')), '{"__proto__":1e400}')
})

test('equal numbers have one canonical text, and others another', () => {
  const canonical = (text: string): string => canonicalJson(parseDigits(text))
  for (const same of ['10e399', '0.1e401', '1.000E+400'])
    assert.equal(canonical(same), canonical('1e400'))
  const all = [
    ...long,
    '9007199254740994',
    '1e401',
    '1e-400',
    `1e${'9'.repeat(400)}`,
    `1e${'9'.repeat(401)}`,
  ]
  assert.equal(new Set(all.map(canonical)).size, all.length)
  const one = parseDigits('9007199254740993')
  assert.ok(isLongNumber(one) && isLongNumber(sameDigits(one)))
})

test('a megabyte of digits takes no longer than its length', () => {
  const zeros = '0'.repeat(1_000_000)
  for (const text of [
    `1${zeros}1`,
    `0.${zeros}1`,
    '9'.repeat(1_000_000),
    `1e${'9'.repeat(1_000_000)}`,
  ])
    assert.equal(JSON.stringify(parseDigits(text)), text)
})

test('a value is joined with its digits only where it differs from them', () => {
  assert.equal(both(1, 1), 1)
  const long = parseDigits('[1e400]')
  const joined = both([Infinity], long)
  assert.deepEqual([plainOf(joined), longOf(joined)], [[Infinity], long])
  assert.deepEqual([plainOf('a'), longOf(null)], ['a', null])
})
