import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { cutMs, formatMs, isMs, longestMs, toMs, type Duration } from './duration.ts'

describe('durations', () => {
  it('are text as people write it, or milliseconds', () => {
    const cases: readonly (readonly [Duration, number])[] = [
      ['250ms', 250],
      ['10s', 10_000],
      ['1.5m', 90_000],
      ['2 hours', 7_200_000],
      ['1h', 3_600_000],
      ['14d', 1_209_600_000],
      [0, 0],
      [12.6, 13],
      [-0, 0],
      ['100y', longestMs],
      [longestMs, longestMs],
    ]
    for (const [given, ms] of cases) assert.ok(Object.is(toMs(given, 'x'), ms), String(given))
  })

  it('that cannot be read are refused, with the name of the option', () => {
    for (const bad of [
      '',
      ' ',
      'soon',
      '5 parsecs',
      's',
      '-5s',
      -1,
      Number.NaN,
      Infinity,
      null,
      {},
      'x'.repeat(101),
      10n,
      Symbol('soon'),
    ]) {
      assert.throws(() => toMs(bad as Duration, 'task "a".timeout'), {
        code: 'invalid-option',
        message: /task "a"\.timeout must be a duration/,
      })
    }
  })

  it('longer than 100 years are refused, with the name of the option', () => {
    for (const bad of ['101y', '300000y', longestMs + 1, 2 ** 53, 1e300] as const) {
      assert.throws(() => toMs(bad, 'task "a".timeout'), {
        code: 'invalid-option',
        message: /task "a"\.timeout must be .* at most 100 years/,
      })
    }
  })

  it('that are computed are cut to whole milliseconds between nothing and 100 years', () => {
    const cases: readonly (readonly [number, number])[] = [
      [12.6, 13],
      [-1, 0],
      [-0, 0],
      [NaN, 0],
      [-Infinity, 0],
      [Infinity, longestMs],
      [1e300, longestMs],
    ]
    for (const [given, ms] of cases) {
      assert.ok(Object.is(cutMs(given), ms), String(given))
      assert.ok(isMs(cutMs(given)))
    }
  })

  it('are written for people in the largest unit that fits', () => {
    const cases: readonly (readonly [number, string])[] = [
      [0, '0 ms'],
      [850.4, '850 ms'],
      [4_200, '4.2 s'],
      [60_000, '1 min'],
      [12_600_000, '3.5 h'],
      [172_800_000, '2 d'],
      [999.7, '1 s'],
      [59_940, '59.9 s'],
      [59_960, '1 min'],
      [3_599_999, '1 h'],
      [86_399_000, '1 d'],
    ]
    for (const [ms, text] of cases) assert.equal(formatMs(ms), text)
  })
})
