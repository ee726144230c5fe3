import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isErrandError } from '../../core/errors.ts'
import { ticksOfRule } from './own-rule.ts'
import type { TickRule } from './timing.ts'

const isRefused = (error: unknown): boolean => isErrandError(error, 'invalid-option')

test('a rule of the code gives ticks one after the other, until it gives none', () => {
  const times = [1_000, 5_000].map((ms) => new Date(ms))
  const ticks = ticksOfRule((after) => times.find((time) => time > after), 'mine')
  const first = ticks.after(0)
  assert.deepEqual(first, { at: 1_000, name: '1970-01-01T00:00:01.000Z' })
  const second = ticks.next(first)
  assert.equal(second?.at, 5_000)
  assert.equal(ticks.next(second), null)
})

test('a rule that goes back, stands still, gives no time or ticks too close together is refused', () => {
  const rules: readonly TickRule[] = [
    (after) => new Date(after.getTime() - 1),
    (after) => after,
    () => new Date(Number.NaN),
    () => Promise.resolve() as never,
    () => 'tomorrow' as never,
    () => new Date(8.64e15),
  ]
  for (const rule of rules) assert.throws(() => ticksOfRule(rule, 'mine').after(0), isRefused)
  assert.throws(() => ticksOfRule(() => new Date(-1), 'mine').after(0), /it returned 1969-12-31T23:59:59\.999Z\.$/)
  const close = ticksOfRule((after) => new Date(after.getTime() + 1), 'mine')
  assert.throws(() => close.next({ at: 0, name: '' }), /less than a second apart/)
})

test('what a rule throws is thrown on', () => {
  const rule = (): never => {
    throw new TypeError('no calendar')
  }
  assert.throws(() => ticksOfRule(rule, 'mine').after(0), /no calendar/)
})
