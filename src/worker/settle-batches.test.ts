import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ErrandError, isErrandError } from '../core/errors.ts'
import { EventHub } from '../observe/events.ts'
import type { SettleAnswer, Settlement } from '../store/worker-calls.ts'
import type { Store, StoreInfo } from '../store/store.ts'
import { VirtualClock } from '../testing/virtual-clock.ts'
import { SettleBatches, type SettleBatchesOptions, type Verdict } from './settle-batches.ts'

interface Call {
  readonly ids: readonly string[]
  readonly answer: (answer?: SettleAnswer) => void
  readonly fail: (error: unknown) => void
}

/** Batches on a store whose calls are answered by hand. */
function made(
  info: Partial<StoreInfo> = {},
  patience: SettleBatchesOptions['patience'] = 'forever',
) {
  const clock = new VirtualClock()
  const events = new EventHub()
  const pauses: number[] = []
  events.on('part-failed', ({ againMs }) => pauses.push(againMs ?? 0))
  const calls: Call[] = []
  const settle = (settlements: readonly Settlement[]): Promise<readonly SettleAnswer[]> =>
    new Promise((resolve, reject) => {
      calls.push({
        ids: settlements.map(({ id }) => id),
        answer: (answer = 'settled') => resolve(settlements.map(() => answer)),
        fail: reject,
      })
    })
  const store = { clock, settle, info } as unknown as Store
  const settler = new SettleBatches({ store, events, patience })
  const done: string[] = []
  let handed = 0
  const pending = (): number => handed - done.length
  const verdicts: Verdict[] = []
  const hand = (count: number, name: string, output: string | null = null): void => {
    handed += count
    for (let n = 0; n < count; n++) {
      const id = `${name}${n}`
      const settlement = { kind: 'finish', id, output, attempt: null, followUps: [] }
      settler.write(settlement as unknown as Settlement, (verdict) => {
        done.push(id)
        verdicts.push(verdict)
      })
    }
  }
  return { clock, calls, pauses, settler, hand, done, pending, verdicts }
}

const away = new ErrandError('store-unavailable', 'away')

test('what is handed in together travels together, and the next batch gathers meanwhile', async () => {
  const { clock, calls, hand, done, pending } = made()
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
  assert.equal(pending(), 0)
})

test('a batch that has grown goes along with those under way, three at most, and none is larger than 500', async () => {
  const { clock, calls, hand, pending } = made()
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
  assert.equal(pending(), 0)
})

test('a store that carries out one call after another has one batch at a time', async () => {
  const { clock, calls, hand, pending } = made({ serial: true })
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
  assert.equal(pending(), 0)
})

test('batches that fail together share a pause, and one batch at a time tries again', async () => {
  const { clock, calls, pauses, hand, done, pending } = made()
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
  assert.equal(pending(), 1_200)
  calls[4]?.answer()
  await clock.advance(0)
  assert.equal(calls.length, 7)
  for (const call of calls.slice(5)) call.answer()
  await clock.advance(0)
  assert.equal(done.length, 1_200)
  assert.equal(pending(), 0)
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

test('without patience a store that is away ends the wait, and what a transaction holds is waited for only so long', async () => {
  const { clock, calls, hand, done, verdicts } = made({}, { heldMs: 5_000 })
  hand(2, 'a')
  await clock.advance(0)
  calls[0]?.fail(away)
  await clock.advance(0)
  assert.deepEqual(done, ['a0', 'a1'])
  assert.deepEqual(verdicts, [{ unwritten: away }, { unwritten: away }])
  hand(1, 'b')
  await clock.advance(0)
  for (let next = 1; !done.includes('b0'); next = calls.length) {
    calls[next]?.answer('held')
    calls[next - 1]?.answer('held')
    await clock.advance(1_500)
    assert.ok(calls.length < 100)
  }
  const held = verdicts[2]
  assert.ok(typeof held === 'object' && 'unwritten' in held)
  assert.ok(isErrandError(held.unwritten, 'store-busy'))
  assert.ok(clock.now() > 5_000 && calls.length > 5, `${calls.length} calls`)
})

test('a patient one waits for what a transaction holds, however long', async () => {
  const { clock, calls, hand, done } = made()
  hand(1, 'a')
  await clock.advance(0)
  for (let count = 0; count < 20; count++) {
    calls[count]?.answer('held')
    await clock.advance(1_500)
    assert.deepEqual(done, [])
  }
  calls[20]?.answer()
  await clock.advance(0)
  assert.deepEqual(done, ['a0'])
})
