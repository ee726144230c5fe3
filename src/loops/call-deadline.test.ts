import assert from 'node:assert/strict'
import { test } from 'node:test'
import { VirtualClock } from '../testing/virtual-clock.ts'
import { answered } from './call-deadline.ts'

test('a call that hangs is given up after a while, and its late answer is handed on', async () => {
  const clock = new VirtualClock()
  const call = Promise.withResolvers<string>()
  const late: string[] = []
  const outcome = assert.rejects(
    answered(clock, call.promise, { late: (answer) => late.push(answer) }),
    { code: 'timeout' },
  )
  await clock.advance(60_000)
  await outcome
  call.resolve('at last')
  await clock.advance(0)
  assert.deepEqual(late, ['at last'])
  assert.equal(await answered(clock, Promise.resolve('soon')), 'soon')
  assert.equal(clock.pending, 0)
})
