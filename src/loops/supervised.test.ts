import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ErrandError } from '../core/errors.ts'
import { EventHub } from '../observe/events.ts'
import { VirtualClock } from '../testing/virtual-clock.ts'
import { Loop, mayPass } from './supervised.ts'

test('a pass that fails is repeated after growing pauses, and its recovery is told', async () => {
  const clock = new VirtualClock()
  const events = new EventHub()
  const pauses: number[] = []
  const recovered: number[] = []
  events.on('part-failed', ({ againMs }) => pauses.push(againMs ?? 0))
  events.on('part-recovered', ({ failures }) => recovered.push(failures))
  let isWell = false
  const loop = new Loop('part', events, clock, async () => {
    if (!isWell) throw new Error('away')
    return 1_000
  })
  loop.start()
  await clock.advance(60_000)
  assert.ok(pauses.length >= 15 && pauses.length <= 40, `${pauses.length} tries in a minute`)
  for (const [i, pause] of pauses.entries()) {
    const most = Math.min(100 * 2 ** i, 4_000)
    assert.ok(pause >= most / 2 && pause <= most)
  }
  isWell = true
  await clock.advance(4_000)
  assert.deepEqual(recovered, [pauses.length])
  await loop.stop()
})

test('a wake cuts a rest short, a back-off after a while, and one that comes during a pass is not lost', async () => {
  const clock = new VirtualClock()
  let passes = 0
  let duringPass = (): void => undefined
  const loop = new Loop('part', new EventHub(), clock, async () => {
    passes++
    duringPass()
    return 10_000
  })
  loop.start()
  await clock.advance(5_000)
  assert.equal(passes, 1)
  loop.wake()
  await clock.advance(1)
  assert.equal(passes, 2)
  duringPass = () => {
    duringPass = () => undefined
    loop.wake()
  }
  loop.wake()
  await clock.advance(1)
  assert.equal(passes, 4)
  await loop.stop()

  let tries = 0
  const failing = new Loop('part', new EventHub(), clock, async () => {
    tries++
    throw new Error('away')
  })
  failing.start()
  await clock.advance(1)
  for (let i = 0; i < 100; i++) failing.wake()
  await clock.advance(20)
  assert.equal(tries, 1)
  await clock.advance(20_000)
  const before = tries
  for (let i = 0; i < 100; i++) {
    failing.wake()
    await clock.advance(10)
  }
  assert.ok(tries - before >= 3 && tries - before <= 5, `${tries - before} tries in a second`)
  await failing.stop()
})

test('errors of the store pass, errors of what was handed to it do not, and others may', () => {
  assert.equal(mayPass(new ErrandError('store-busy', 'x')), 'yes')
  assert.equal(mayPass(new ErrandError('too-large', 'x')), 'no')
  assert.equal(mayPass(new Error('x')), 'maybe')
})
