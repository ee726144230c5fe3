import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fieldsOf, keyFor } from './key-value.ts'

test('a name stands in its key as it is, so that two names have two keys', () => {
  for (const name of ['reports', 'a$b', 'a$$b', '$&', '{name}']) {
    assert.equal(keyFor('errand/{name}/lock', name), `errand/${name}/lock`)
  }
})

test('a value that is no record has no fields', () => {
  const base64 = (text: string): string => Buffer.from(text).toString('base64')
  assert.deepEqual(fieldsOf(base64('{"host":"here"}')), { host: 'here' })
  for (const value of [null, undefined, '', base64('5'), base64('null'), base64('{"host":')]) {
    assert.deepEqual(fieldsOf(value), {})
  }
})
