import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ErrandError } from '../core/errors.ts'
import { EventHub } from '../observe/events.ts'
import type { SettleAnswer, Settlement } from '../store/worker-calls.ts'
import type { Store, StoreInfo } from '../store/store.ts'
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
  const hand = (count: number, name: string, output: string | null = null): void => {
    for (let n = 0; n < count; n++) {
      const id = `${name}${n}`
      const settlement = { kind: 'finish', id, output, attempt: null, followUps: [] }
      settler.settle(settlement as unknown as Settlement, () => done.push(id))
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

test('a batch is bounded in characters, and so is all that waits', async () => {
  const { clock, calls, settler, hand, done } = made()
  const output = 'x'.repeat(1_000_000)
  hand(40, 'a', output)
  assert.ok(settler.isFull)
  const ids: string[] = []
  for (let n = 0; n < calls.length || ids.length < 40; n++) {
    await clock.advance(0)
    const call = calls[n]
    assert.ok(call !== undefined && call.ids.length <= 4, `${call?.ids.length} of 1 MB at once`)
    ids.push(...call.ids)
    call.answer()
    await clock.advance(0)
  }
  assert.deepEqual(ids, done)
  assert.equal(done.length, 40)
  assert.equal(settler.isFull, false)
  hand(1, 'b', 'x'.repeat(5_000_000))
  hand(1, 'c')
  await clock.advance(0)
  assert.deepEqual(calls.at(-1)?.ids, ['b0'])
})
