import assert from 'node:assert/strict'
import { test } from 'node:test'
import { restartAfter } from './restart-pace.ts'

test('a process that has ended is started at once, then ever later, by chance and at most after 30 s', () => {
  assert.equal(restartAfter(1, Math.random), 0)
  const longest = [2, 3, 4, 5, 9, 1_000].map((ends) => restartAfter(ends, () => 1))
  assert.deepEqual(longest, [500, 1_000, 2_000, 4_000, 30_000, 30_000])
  const shortest = [2, 3, 1_000].map((ends) => restartAfter(ends, () => 0))
  assert.deepEqual(shortest, [250, 500, 15_000])
})
