/** What the pages about brokers promise to name. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'

const capabilities = 44

test('the page for EasyJobs has a row for each of its capabilities, and each says what there is here', () => {
  const text = readFileSync(join(import.meta.dirname, '../../docs/from-easyjobs.md'), 'utf8')
  const rows = [...text.matchAll(/^\| (E\d+) \|([^|]*)\|([^|]*)\|/gm)]
  assert.deepEqual(
    rows.map(([, row]) => row),
    Array.from({ length: capabilities }, (_, i) => `E${i + 1}`),
  )
  for (const [, row = '', there = '', here = ''] of rows) {
    assert.notEqual(there.trim(), '', row)
    assert.notEqual(here.trim(), '', row)
  }
})
