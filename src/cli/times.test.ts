import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isErrandError } from '../core/errors.ts'
import { fromNow, readDate, readPast } from './times.ts'

test('times are told from now, in their largest whole unit', () => {
  const now = Date.parse('2026-01-31T12:00:00Z')
  const told = (ms: number): string => fromNow(new Date(now + ms), now)
  assert.equal(told(0), 'just now')
  assert.equal(told(-999), 'just now')
  assert.equal(told(-1_000), '1 s ago')
  assert.equal(told(-119_000), '1 min ago')
  assert.equal(told(-7_200_000), '2 h ago')
  assert.equal(told(-86_400_000 * 3), '3 d ago')
  assert.equal(told(12_000), 'in 12 s')
  assert.equal(told(1), 'in 1 s')
  assert.equal(told(90_000), 'in 2 min')
})

test('what is rounded up to a whole larger unit is told in that unit', () => {
  const now = Date.parse('2026-01-31T12:00:00Z')
  const told = (ms: number): string => fromNow(new Date(now + ms), now)
  assert.equal(told(59_001), 'in 1 min')
  assert.equal(told(3_540_000), 'in 59 min')
  assert.equal(told(3_540_001), 'in 1 h')
  assert.equal(told(3_600_000), 'in 1 h')
  assert.equal(told(82_800_001), 'in 1 d')
  assert.equal(told(-3_599_999), '59 min ago')
})

test('a time in the past is a date or so long ago', () => {
  assert.equal(
    readPast('2026-01-31T12:00:00Z', '--x').getTime(),
    Date.parse('2026-01-31T12:00:00Z'),
  )
  assert.equal(readPast('2026-01-31', '--x').getTime(), Date.parse('2026-01-31'))
  const twoHours = Date.now() - readPast('2h', '--x').getTime()
  assert.ok(twoHours >= 7_200_000 && twoHours < 7_205_000)
})

test('what is no time is refused by the name of its option', () => {
  for (const text of ['', 'soon', '2h ago', '2026-13-45', '31.1.2026']) {
    assert.throws(
      () => readDate(text, '--run-at'),
      (error) => isErrandError(error, 'invalid-option') && error.message.startsWith('--run-at'),
    )
    assert.throws(
      () => readPast(text, '--from'),
      (error) => isErrandError(error, 'invalid-option'),
    )
  }
})
