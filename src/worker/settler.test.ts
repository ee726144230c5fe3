import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ErrandError } from '../core/errors.ts'
import { EventHub } from '../observe/events.ts'
import type { SettleAnswer, Settlement, Store, StoreInfo } from '../store.ts'
import { VirtualClock } from '../testing/virtual-clock.ts'
import { Settler } from './settler.ts'

interface Call {
  readonly ids: readonly string[]
  readonly answer: () => void
  readonly fail: (error: unknown) => void
}

/** A settler on a store whose calls are answered by hand. */
function made(info: Partial<StoreInfo> = {}) {
  const clock = new VirtualClock()
  const events = new EventHub()
  const pauses: number[] = []
  events.on('part-failed', ({ againMs }) => pauses.push(againMs ?? 0))
  const calls: Call[] = []
  const settle = (settlements: readonly Settlement[]): Promise<readonly SettleAnswer[]> =>
    new Promise((resolve, reject) => {
      calls.push({
        ids: settlements.map(({ id }) => id),
        answer: () => resolve(settlements.map(() => 'settled')),
        fail: reject,
      })
    })
  const settler = new Settler({ clock, settle, info } as unknown as Store, events, () => undefined)
  const done: string[] = []
  const hand = (count: number, name: string, chars = 0): void => {
    const followUps = chars === 0 ? [] : [{ input: 'x'.repeat(chars) }]
    for (let n = 0; n < count; n++) {
      const id = `${name}${n}`
      settler.settle({ id, followUps } as unknown as Settlement, () => done.push(id))
    }
  }
  return { clock, calls, pauses, settler, hand, done }
}

const away = new ErrandError('store-unavailable', 'away')

test('what is handed in together travels together, and the next batch gathers meanwhile', async () => {
  const { clock, calls, settler, hand, done } = made()
  hand(3, 'a')
  await clock.advance(0)
  hand(2, 'b')
  await clock.advance(0)
  assert.deepEqual(
    calls.map(({ ids }) => ids),
    [['a0', 'a1', 'a2']],
  )
  calls[0]?.answer()
  await clock.advance(0)
  assert.deepEqual(calls[1]?.ids, ['b0', 'b1'])
  calls[1]?.answer()
  await clock.advance(0)
  assert.deepEqual(done, ['a0', 'a1', 'a2', 'b0', 'b1'])
  assert.equal(settler.pending, 0)
})

test('a batch that has grown goes along with those under way, three at most, and none is larger than 500', async () => {
  const { clock, calls, settler, hand } = made()
  hand(1, 'a')
  await clock.advance(0)
  hand(99, 'b')
  await clock.advance(0)
  assert.equal(calls.length, 1)
  hand(1_500, 'c')
  await clock.advance(0)
  assert.deepEqual(
    calls.map(({ ids }) => ids.length),
    [1, 500, 500],
  )
  calls[1]?.answer()
  await clock.advance(0)
  assert.equal(calls[3]?.ids.length, 500)
  for (let n = 0; n < 5; n++) {
    for (const call of calls) call.answer()
    await clock.advance(0)
  }
  assert.deepEqual(new Set(calls.flatMap(({ ids }) => ids)).size, 1_600)
  assert.equal(settler.pending, 0)
})

test('a store that carries out one call after another has one batch at a time', async () => {
  const { clock, calls, settler, hand } = made({ serial: true })
  hand(1_200, 'a')
  await clock.advance(0)
  assert.equal(calls.length, 1)
  for (const length of [500, 500, 200]) {
    const call = calls.at(-1)
    assert.equal(call?.ids.length, length)
    call?.answer()
    await clock.advance(0)
  }
  assert.equal(calls.length, 3)
  assert.equal(settler.pending, 0)
})

test('a batch ends where its texts would be too long for one call; one that is too long alone goes alone', async () => {
  const { clock, calls, hand } = made({ serial: true })
  hand(4, 'a', 7_000_000)
  hand(1, 'b', 20_000_000)
  hand(3, 'c')
  for (let n = 0; n < 4; n++) {
    await clock.advance(0)
    calls[n]?.answer()
  }
  assert.deepEqual(
    calls.map(({ ids }) => ids),
    [['a0', 'a1'], ['a2', 'a3'], ['b0'], ['c0', 'c1', 'c2']],
  )
})

test('batches that fail together share a pause, and one batch at a time tries again', async () => {
  const { clock, calls, pauses, settler, hand, done } = made()
  hand(1_200, 'a')
  await clock.advance(0)
  assert.equal(calls.length, 3)
  for (const call of calls) call.fail(away)
  await clock.advance(0)
  assert.equal(pauses.length, 1)
  await clock.advance(100)
  assert.equal(calls.length, 4)
  calls[3]?.fail(away)
  await clock.advance(200)
  assert.equal(calls.length, 5)
  assert.equal(settler.pending, 1_200)
  calls[4]?.answer()
  await clock.advance(0)
  assert.equal(calls.length, 7)
  for (const call of calls.slice(5)) call.answer()
  await clock.advance(0)
  assert.equal(done.length, 1_200)
  assert.equal(settler.pending, 0)
})

test('after giving up nothing is tried again', async () => {
  const { clock, calls, settler, hand } = made()
  hand(300, 'a')
  await clock.advance(0)
  settler.giveUp()
  for (const call of calls) call.fail(away)
  await clock.advance(60_000)
  assert.equal(calls.length, 1)
  assert.equal(clock.pending, 0)
})
