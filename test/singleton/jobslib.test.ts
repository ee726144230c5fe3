/** The page for those who come from Jobslib names each of its capabilities. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'

const capabilities = 38

test('the page for Jobslib has a row for each of its capabilities, and each says what there is here', () => {
  const page = readFileSync(join(import.meta.dirname, '../../docs/from-jobslib.md'), 'utf8')
  const rows = [...page.matchAll(/^\| (J\d+) \|([^|]*)\|([^|]*)\|/gm)]
  assert.deepEqual(
    rows.map(([, row]) => row),
    Array.from({ length: capabilities }, (_, i) => `J${i + 1}`),
  )
  for (const [, row = '', there = '', here = ''] of rows) {
    assert.notEqual(there.trim(), '', row)
    assert.notEqual(here.trim(), '', row)
  }
})
