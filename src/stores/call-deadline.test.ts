import assert from 'node:assert/strict'
import { test } from 'node:test'
import { postgres } from './postgres/index.ts'
import { sqlite } from './sqlite/index.ts'

test('a deadline of calls that workers would overrule is refused, by name', () => {
  for (const callDeadlineMs of [30_001, Infinity, 0, -1, NaN, '5s' as never]) {
    const refused = { code: 'invalid-option', message: /callDeadlineMs must be .* at most 30000/ }
    assert.throws(() => sqlite('/nowhere/errand.db', { callDeadlineMs }), refused)
    assert.throws(() => postgres('postgres://127.0.0.1/none', { callDeadlineMs }), refused)
  }
})
