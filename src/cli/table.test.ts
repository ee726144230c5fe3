import assert from 'node:assert/strict'
import { test } from 'node:test'
import { table } from './table.ts'

const columns = [
  { title: 'id' },
  { title: 'name', shrinks: true },
  { title: 'count', align: 'right', optional: true },
] as const

test('columns are as wide as their widest cell, numbers stand on the right', () => {
  const text = table(
    columns,
    [
      ['1', 'a', '5'],
      ['22', 'long name', '1,000'],
    ],
    Infinity,
  )
  assert.equal(text, 'ID  NAME       COUNT\n1   a              5\n22  long name  1,000')
})

test('too wide a table has its shrinking columns cut', () => {
  const text = table(columns, [['1', 'a very long name indeed', '5']], 24)
  assert.equal(text.split('\n')[1], '1   a very long …      5')
  for (const line of text.split('\n')) assert.ok(line.length <= 24)
})

test('optional columns are left out when cutting is not enough', () => {
  assert.equal(table(columns, [['1', 'a very long name', '5']], 14), 'ID  NAME\n1   a very lo…')
})

test('a table is never cut beyond what can be read', () => {
  assert.equal(
    table(columns, [['1234567890', 'a very long name', '5']], 5).split('\n')[1],
    '1234567890  a very …',
  )
})
