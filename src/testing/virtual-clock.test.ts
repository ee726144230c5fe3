import assert from 'node:assert/strict'
import test from 'node:test'
import { sleep } from '../core/clock.ts'
import { systemClock } from '../stores/system-clock.ts'
import { VirtualClock, virtualStart } from './virtual-clock.ts'

test('a virtual clock stands still until it is moved', async () => {
  const clock = new VirtualClock()
  assert.equal(clock.now(), virtualStart)
  await clock.advance(5)
  assert.equal(clock.now(), virtualStart + 5)
})

test('timers fire in the order of their times, each at its own time', async () => {
  const clock = new VirtualClock(0)
  const fired: string[] = []
  for (const [name, ms] of [
    ['c', 30],
    ['a', 10],
    ['b', 20],
    ['b2', 20],
    ['late', 41],
  ] as const) {
    clock.after(ms, () => fired.push(`${name} ${clock.now()}`))
  }
  await clock.advance(40)
  assert.deepEqual(fired, ['a 10', 'b 20', 'b2 20', 'c 30'])
  assert.deepEqual([clock.now(), clock.pending], [40, 1])
})

test('what a timer starts may wait again within the same advance', async () => {
  const clock = new VirtualClock(0)
  const woken: number[] = []
  const loop = (async () => {
    for (let n = 0; n < 3; n += 1) {
      await sleep(clock, 10)
      await new Promise((resolve) => setImmediate(resolve))
      woken.push(clock.now())
    }
  })()
  await clock.advance(35)
  await loop
  assert.deepEqual(woken, [10, 20, 30])
})

test('a stopped timer does not fire', async () => {
  const clock = new VirtualClock()
  const stop = clock.after(10, () => assert.fail('fired'))
  stop()
  stop()
  await clock.advance(20)
})

test('advancing by nothing fires what is due now', async () => {
  const clock = new VirtualClock()
  let fired = false
  clock.after(0, () => (fired = true))
  await clock.advance(0)
  assert.ok(fired)
})

test('the system clock tells whole milliseconds, wakes once, and waits longer than setTimeout can', async () => {
  assert.ok(Number.isInteger(systemClock.now()))
  await new Promise<void>((resolve) => {
    // The clock's own timers keep no process alive.
    const keepAlive = setTimeout(() => {}, 10_000)
    systemClock.after(1, () => {
      clearTimeout(keepAlive)
      resolve()
    })
  })
  const stop = systemClock.after(2 ** 33, () => assert.fail('fired at once'))
  await new Promise((resolve) => setTimeout(resolve, 5))
  stop()
})
