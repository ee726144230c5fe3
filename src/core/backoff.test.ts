import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { isMs, longestMs } from './duration.ts'
import {
  backoffMs,
  constant,
  defaultBackoff,
  exponential,
  isBackoff,
  linear,
  type Backoff,
} from './backoff.ts'

const waits = (backoff: Backoff, random = 0.5): readonly number[] =>
  [1, 2, 3, 4, 5].map((failures) => backoffMs(backoff, failures, () => random))

describe('backoff', () => {
  it('constant waits the same each time', () => {
    assert.deepEqual(waits(constant('3s')), [3_000, 3_000, 3_000, 3_000, 3_000])
  })

  it('linear adds a step each time, up to its maximum', () => {
    assert.deepEqual(
      waits(linear({ step: '10s', max: '25s' })),
      [10_000, 20_000, 25_000, 25_000, 25_000],
    )
    assert.equal(
      backoffMs(linear('1h'), 5, () => 0),
      3_600_000,
    )
  })

  it('exponential multiplies, up to its maximum', () => {
    const plain = exponential({ first: '1s', max: '10s', jitter: 'none' })
    assert.deepEqual(waits(plain), [1_000, 2_000, 4_000, 8_000, 10_000])
    assert.deepEqual(
      waits(exponential({ first: 100, factor: 3, jitter: 'none' })),
      [100, 300, 900, 2_700, 8_100],
    )
  })

  it('full jitter draws evenly between zero and that time', () => {
    const jittered = exponential({ first: '1s', max: '10s' })
    assert.deepEqual(waits(jittered, 0), [0, 0, 0, 0, 0])
    assert.deepEqual(waits(jittered, 0.5), [500, 1_000, 2_000, 4_000, 5_000])
  })

  it('the default starts at 5 s and never exceeds 1 h, however many failures there were', () => {
    assert.deepEqual(defaultBackoff, {
      kind: 'exponential',
      firstMs: 5_000,
      maxMs: 3_600_000,
      factor: 2,
      jitter: 'full',
    })
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 1_000_000 }),
        fc.double({ min: 0, max: 0.999_999, noNaN: true }),
        (failures, random) => {
          const ms = backoffMs(defaultBackoff, failures, () => random)
          assert.ok(Number.isInteger(ms) && ms >= 0 && ms <= 3_600_000, `${ms}`)
        },
      ),
    )
  })

  it('is never more than 100 years, nor no number, whatever a stored one says', () => {
    const stored: readonly Backoff[] = [
      { kind: 'constant', delayMs: 1e300 },
      { kind: 'constant', delayMs: -1 },
      { kind: 'linear', stepMs: longestMs, maxMs: 1e300 },
      { kind: 'exponential', firstMs: 0, maxMs: 1, factor: 1e300, jitter: 'none' },
      { kind: 'exponential', firstMs: 1, maxMs: Infinity, factor: 1e300, jitter: 'full' },
      { kind: 'exponential', maxMs: 5, factor: 2, jitter: 'none' } as unknown as Backoff,
    ]
    for (const backoff of stored)
      for (const ms of [...waits(backoff), backoffMs(backoff, 1e9, () => 0.99)])
        assert.ok(isMs(ms), `${JSON.stringify(backoff)} waits ${ms}`)
  })

  it('is known as one when its own functions made it, and not when it only looks like one', () => {
    for (const made of [constant('100y'), linear(1), exponential({ jitter: 'none' })])
      assert.ok(isBackoff(made))
    const others: readonly unknown[] = [
      null,
      'exponential',
      { kind: 'cubic' },
      { kind: 'constant' },
      { kind: 'constant', delayMs: longestMs + 1 },
      { kind: 'linear', stepMs: 1, maxMs: NaN },
      { kind: 'exponential', first: '50ms', max: '1s' },
      { ...exponential(), factor: Infinity },
      { ...exponential(), jitter: 'some' },
    ]
    for (const other of others) assert.ok(!isBackoff(other), JSON.stringify(other))
  })

  it('survives being stored as JSON', () => {
    for (const backoff of [constant('1s'), linear('2s'), exponential()]) {
      assert.deepEqual(JSON.parse(JSON.stringify(backoff)), backoff)
    }
  })

  it('refuses what cannot be', () => {
    for (const factor of [0.5, Number.NaN, Infinity])
      assert.throws(() => exponential({ factor }), { code: 'invalid-option' })
    assert.throws(() => exponential({ max: '101y' }), {
      code: 'invalid-option',
      message: /exponential\(\)\.max/,
    })
    assert.throws(() => constant(-1), { code: 'invalid-option', message: /constant\(\)/ })
    assert.throws(() => linear({ step: 'x' as never }), {
      code: 'invalid-option',
      message: /linear\(\)\.step/,
    })
  })
})
