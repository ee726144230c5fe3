import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Figures } from './figures.ts'
import { shortfalls } from './least.ts'
import { histogram, lateness, table } from './report.ts'

const least = {
  jobs: 3_000,
  kills: 30,
  restarts: 2,
  failOvers: 0,
  blackHoles: 2,
  silences: 0,
  terminated: 4,
  upheavals: 1,
  rescues: 100,
  refusals: 20,
}

const timelyMs = [900, 1_200, 1_300, 6_000]

const figures: Figures = {
  calls: 2_000,
  rejected: 5,
  unknown: 2,
  jobs: 4_000,
  kills: 50,
  producerKills: 10,
  stops: 30,
  retirements: 8,
  restarts: 3,
  failOvers: 0,
  blackHoles: 4,
  silences: 0,
  terminated: 12,
  upheavals: 2,
  rescues: 400,
  times: { timelyMs, hinderedMs: [], fromLiving: 0 },
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
  const counts = histogram(timelyMs).match(/ms +\d+/g)
  assert.deepEqual(
    counts?.map((text) => Number(text.slice(2))),
    [0, 1, 2, 0, 0, 0, 0, 1, 0, 0],
  )
  assert.match(table(figures), /p99 +6000 ms/)
})

test('rescues that a fit worker left lying fall short', () => {
  const pace = { leaseMs: 1_200, sweepMs: 200 }
  const quick = Array.from({ length: 200 }, () => 1_200)
  const late = (slow: readonly number[], hinderedMs: readonly number[]): readonly string[] =>
    lateness(
      { ...figures, times: { timelyMs: [...quick, ...slow], hinderedMs, fromLiving: 0 } },
      pace,
    )
  assert.deepEqual(late([6_000, 6_000, 6_000], []), [
    'timely rescues took 6000 ms at p99; the bound is 2400 ms',
  ])
  assert.deepEqual(late([6_000], [6_000, 6_000, 6_000]), [])
})
