import assert from 'node:assert/strict'
import { test } from 'node:test'
import { bucketBoundsMs, LogHistogram } from './log-histogram.ts'

function filled(...durations: readonly number[]): LogHistogram {
  const histogram = new LogHistogram()
  for (const ms of durations) histogram.add(ms)
  return histogram
}

/** The upper bounds of the buckets that hold something; null for the one without. */
function boundsOf({ buckets }: LogHistogram): readonly (number | null)[] {
  return buckets.flatMap((count, n) => Array(count).fill(bucketBoundsMs[n] ?? null))
}

test('a duration falls into the first bucket whose bound it does not exceed', () => {
  const durations = [0, 0.2, 1, 1.1, 2, 2.5, 4, 1_000, 1_024, 1_025, 2 ** 25, 2 ** 25 + 1, 1e12]
  const bounds = [1, 1, 1, 2, 2, 4, 4, 1_024, 1_024, 2_048, 2 ** 25, null, null]
  assert.deepEqual(boundsOf(filled(...durations)), bounds)
})

test('what a clock that was set back makes of a duration counts as 0', () => {
  const histogram = filled(-5_000, NaN)
  assert.deepEqual([histogram.count, histogram.sumMs, boundsOf(histogram)], [2, 0, [1, 1]])
})

test('two histograms merge into what one would have counted', () => {
  const merged = filled(3, 900)
  const other = filled(3, 2e9)
  merged.merge(other.buckets, other.sumMs)
  const one = filled(3, 900, 3, 2e9)
  assert.deepEqual([merged.buckets, merged.sumMs], [one.buckets, one.sumMs])
})
