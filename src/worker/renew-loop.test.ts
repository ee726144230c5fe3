import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ErrandError } from '../core/errors.ts'
import type { LeaseRef, Note, RenewAnswer } from '../store/worker-calls.ts'
import { VirtualClock } from '../testing/virtual-clock.ts'
import { LeaseTable } from './lease-table.ts'
import { RenewLoop, type RenewReport } from './renew-loop.ts'

/** A loop with leases of 30 s, on a store that only takes note of its calls. */
function made(more: { readonly firstLeaseMs?: number } = {}) {
  const clock = new VirtualClock()
  const table = new LeaseTable()
  const renewed: { at: number; ids: readonly string[] }[] = []
  const noted: { at: number; notes: readonly Note[] }[] = []
  const reports: RenewReport[] = []
  const from = clock.now()
  const store = {
    answer: (_: LeaseRef): RenewAnswer => 'renewed',
    failing: null as Error | null,
    async renew(leases: readonly LeaseRef[]): Promise<readonly RenewAnswer[]> {
      renewed.push({ at: clock.now() - from, ids: leases.map(({ id }) => id) })
      if (store.failing !== null) throw store.failing
      return leases.map((lease) => store.answer(lease))
    },
    async note(notes: readonly Note[]) {
      noted.push({ at: clock.now() - from, notes })
      if (store.failing !== null) throw store.failing
      return notes.map(() => 'noted' as const)
    },
  }
  const ticks = (): number => clock.now()
  const loop = new RenewLoop({
    store,
    clock,
    ticks,
    shared: table.shared,
    leaseMs: 30_000,
    ...more,
    report: (report) => reports.push(report),
  })
  return { clock, table, renewed, noted, reports, store, loop, from }
}

test('a store whose first lease is shorter has its leases renewed each third of that', async () => {
  const { clock, table, renewed, loop } = made({ firstLeaseMs: 9_000 })
  table.start(table.hold('a', 1, false, Infinity), clock.now(), Infinity)
  loop.wake()
  await clock.advance(3_200)
  assert.equal(renewed.length, 1)
  assert.ok(renewed[0]!.at >= 3_000)
  await loop.stop()
})

test('leases are renewed each third of their time, and no more once they are let go', async () => {
  const { clock, table, renewed, loop, from } = made()
  const a = table.hold('a', 1, false, Infinity)
  const b = table.hold('b', 1, false, Infinity)
  table.start(a, clock.now(), Infinity)
  table.start(b, clock.now(), Infinity)
  loop.wake()
  await clock.advance(21_000)
  table.drop(a)
  await clock.advance(10_000)
  table.drop(b)
  await clock.advance(60_000)
  assert.deepEqual(
    renewed.map(({ ids }) => ids),
    [['a', 'b'], ['a', 'b'], ['b']],
  )
  for (const [i, { at }] of renewed.entries()) {
    assert.ok(at >= (i + 1) * 10_000 && at <= (i + 1) * 10_200, `${at}`)
  }
  assert.equal(clock.pending, 0, `nothing waits at ${clock.now() - from}`)
})

test('renewal ends at the given time, and of a lease that was never started after one lease', async () => {
  const { clock, table, renewed, loop } = made()
  const now = clock.now()
  const running = table.hold('running', 1, false, now + 30_000)
  table.hold('held', 1, false, now + 30_000)
  table.start(running, now, now + 65_000)
  loop.wake()
  await clock.advance(120_000)
  const last = (id: string): number =>
    Math.max(...renewed.filter(({ ids }) => ids.includes(id)).map(({ at }) => at))
  assert.ok(last('held') >= 20_000 && last('held') < 30_000)
  assert.ok(last('running') >= 60_000 && last('running') < 65_000)
})

test('the start of a run is written once, when it has lasted for a while, with its age', async () => {
  const { clock, table, noted, loop } = made()
  const [short, long, known] = ['short', 'long', 'known'].map((id) =>
    table.hold(id, 7, id === 'known', Infinity),
  )
  assert.ok(short !== undefined && long !== undefined && known !== undefined)
  await clock.advance(1_000)
  for (const index of [short, long, known]) table.start(index, clock.now(), Infinity)
  loop.wake()
  await clock.advance(30)
  table.drop(short)
  await clock.advance(5_000)
  assert.equal(noted.length, 1)
  const [note] = noted[0]?.notes ?? []
  assert.deepEqual(
    [noted[0]?.notes.length, note?.id, note?.token, note?.kind],
    [1, 'long', 7, 'start'],
  )
  assert.ok(note?.kind === 'start' && note.agoMs >= 50 && note.agoMs <= 150)
})

test('lost leases and cancels are reported with their tokens', async () => {
  const { clock, table, reports, store, loop } = made()
  const entries = ['kept', 'lost', 'unwanted'].map((id, i) => table.hold(id, i, true, Infinity))
  for (const index of entries) table.start(index, clock.now(), Infinity)
  store.answer = ({ id }) => (id === 'lost' ? 'stale' : id === 'kept' ? 'renewed' : 'cancel-asked')
  loop.wake()
  loop.check()
  await clock.advance(0)
  assert.deepEqual(reports, [
    { kind: 'lost', leases: [{ id: 'lost', token: 1 }] },
    { kind: 'cancel', leases: [{ id: 'unwanted', token: 2 }] },
    { kind: 'worked' },
  ])
})

test('a store that fails is asked again soon, never without a pause, and the recovery is reported', async () => {
  const { clock, table, renewed, noted, reports, store, loop } = made()
  const entry = table.hold('a', 1, false, Infinity)
  table.start(entry, clock.now(), Infinity)
  loop.wake()
  store.failing = new Error('away')
  await clock.advance(60_000)
  const calls = renewed.length + noted.length
  assert.ok(calls >= 15 && calls <= 60, `${calls} calls in a minute`)
  store.failing = null
  await clock.advance(4_000)
  assert.deepEqual(reports.at(-1), { kind: 'worked' })
  assert.ok(renewed.length >= 1)
})

test('a store that was replaced has lost every lease, and the loop goes on', async () => {
  const { clock, table, renewed, reports, store, loop } = made()
  table.hold('held', 1, false, Infinity)
  table.start(table.hold('running', 2, false, Infinity), clock.now(), Infinity)
  table.end(table.hold('ended', 3, false, Infinity), Infinity)
  store.failing = new ErrandError('store-replaced', 'another lies in its place')
  loop.wake()
  await clock.advance(10_100)
  const lost = reports.find(({ kind }) => kind === 'lost')
  assert.deepEqual(lost, {
    kind: 'lost',
    leases: [
      { id: 'held', token: 1 },
      { id: 'running', token: 2 },
      { id: 'ended', token: 3 },
    ],
  })
  const calls = renewed.length
  store.failing = null
  await clock.advance(30_000)
  assert.ok(renewed.length > calls)
  assert.equal(reports.at(-1)?.kind, 'worked')
})

test('a start that cannot be written delays no renewal', async () => {
  const { clock, table, renewed, noted, store, loop } = made()
  const entry = table.hold('a', 1, false, Infinity)
  table.start(entry, clock.now(), Infinity)
  store.note = () => Promise.reject(new Error('no notes'))
  loop.wake()
  await clock.advance(60_000)
  assert.deepEqual(noted, [])
  const gaps = renewed.map(({ at }, i) => at - (renewed[i - 1]?.at ?? 0))
  assert.ok(renewed.length >= 5 && Math.max(...gaps) <= 10_200, gaps.join())
})

test('after a failure a renewal is tried though no lease is left, until one succeeds; then it rests', async () => {
  const { clock, table, renewed, reports, store, loop } = made()
  const entry = table.hold('a', 1, true, Infinity)
  table.start(entry, clock.now(), Infinity)
  store.failing = new Error('away')
  loop.wake()
  await clock.advance(11_000)
  table.drop(entry)
  assert.ok(!reports.some(({ kind }) => kind === 'worked'))
  const before = renewed.length
  await clock.advance(60_000)
  const tries = renewed.length - before
  assert.ok(tries >= 15 && tries <= 60, `${tries} tries in a minute`)
  assert.ok(renewed.slice(before).every(({ ids }) => ids.length === 1 && ids[0] !== 'a'))
  assert.ok(!reports.some(({ kind }) => kind === 'worked'))
  store.failing = null
  await clock.advance(4_000)
  assert.deepEqual(reports.at(-1), { kind: 'worked' })
  await clock.advance(1_000)
  assert.equal(clock.pending, 0)
})
