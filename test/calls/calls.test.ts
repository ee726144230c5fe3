/** The short form of `npm run calls`. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { prove } from './proof.ts'

test('sqlite: workers are killed between any two calls, every call is made once, every parent completes', async () => {
  const result = await prove({
    store: 'sqlite:',
    parents: 8,
    children: 4,
    slots: 4,
    losses: 3,
    kills: 1,
    calls: ['record', 'get', 'settle'],
  })
  assert.deepEqual(result.wrong, [])
  assert.deepEqual([result.kills, result.calls], [6, 32])
})
