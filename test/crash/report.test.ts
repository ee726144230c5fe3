import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Figures } from './figures.ts'
import { histogram, shortfalls, table } from './report.ts'

const least = { kills: 30, rescues: 100, refusals: 20 }

const figures: Figures = {
  calls: 2_000,
  jobs: 4_000,
  kills: 50,
  stops: 30,
  retirements: 8,
  rescues: 400,
  rescueMs: [900, 1_200, 1_300, 6_000],
  rescuedFromLiving: 0,
  duplicates: 90,
  refusals: 80,
  givenUp: 10,
  drainMs: 4_000,
}

test('a run in which too little happened falls short', () => {
  assert.deepEqual(shortfalls(figures, least), [])
  assert.deepEqual(shortfalls({ ...figures, kills: 29, refusals: 0 }, least), [
    'only 29 kills; a run with fewer than 30 proves nothing',
    'only 0 refusals; a run with fewer than 20 proves nothing',
  ])
})

test('rescues lie in the bucket of their time', () => {
  const counts = histogram(figures.rescueMs).match(/ms +\d+/g)
  assert.deepEqual(
    counts?.map((text) => Number(text.slice(2))),
    [0, 1, 2, 0, 0, 0, 1],
  )
  assert.match(table(figures), /p99 +6000 ms/)
})
