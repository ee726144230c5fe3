import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ClaimedJob } from '../store/job.ts'
import { ServedQueues, type Room } from './served-queues.ts'
import type { Buffered, ServedQueue } from './served-queue.ts'

const roomy: Room = { now: 1e6, idleSlots: 10, buffered: 0, leases: 4_000, quarantined: false }

function linesOf(
  queues: readonly string[],
  limits: Record<string, number> = {},
  open = false,
): ServedQueues {
  return new ServedQueues({ slots: 10, queues, open, slotsOf: (queue) => limits[queue] ?? null })
}

function claimedOf(
  counts: Record<string, number>,
  cut = false,
): { readonly jobs: ClaimedJob[]; readonly cut: boolean } {
  const jobs = Object.entries(counts).flatMap(([queue, count]) =>
    Array.from({ length: count }, () => ({ queue, startedAt: null }) as ClaimedJob),
  )
  return { jobs, cut }
}

function askedOf(lines: ServedQueues, room: Partial<Room> = {}): Record<string, number> {
  const { queues = [] } = lines.ask({ ...roomy, ...room }) ?? {}
  return Object.fromEntries(queues.map(({ name, limit }) => [name, limit]))
}

test('one queue is asked for all that there is room for', () => {
  const lines = linesOf(['a'])
  assert.deepEqual(askedOf(lines), { a: 10 })
  assert.equal(lines.ask({ ...roomy, idleSlots: 0 }), null)
  assert.deepEqual(askedOf(lines, { idleSlots: 3 }), { a: 3 })
})

test('queues with work share a claim, and those without share one part of it', () => {
  const lines = linesOf(['a', 'b', 'c', 'd', 'e'])
  assert.deepEqual(Object.values(askedOf(lines)), [2, 2, 2, 2, 2])
  const ask = lines.ask(roomy)
  assert.ok(ask !== null)
  lines.learn(ask, claimedOf({ a: 2, b: 2 }), true)
  const asked = askedOf(lines)
  assert.deepEqual([asked['a'], asked['b'], asked['c']], [4, 4, 4])
})

test('the queue that was given something longest ago is asked first', () => {
  const lines = linesOf(['a', 'b', 'c'])
  const order: unknown[] = []
  for (let i = 0; i < 6; i++) {
    const ask = lines.ask({ ...roomy, idleSlots: 1 })
    assert.ok(ask !== null)
    const first = ask.queues[0]?.name ?? ''
    order.push(first)
    lines.learn(ask, claimedOf({ [first]: 1 }), true)
  }
  assert.deepEqual(order, ['a', 'b', 'c', 'a', 'b', 'c'])
})

test('a queue that gave less than it was asked for is asked again only after news', () => {
  const lines = linesOf(['a', 'b'])
  const ask = lines.ask(roomy)
  assert.ok(ask !== null)
  lines.learn(ask, claimedOf({ a: 5, b: 3 }), false)
  assert.deepEqual(Object.keys(askedOf(lines)), ['a'])
  lines.mayHaveWork(roomy.now)
  assert.deepEqual(Object.keys(askedOf(lines)).toSorted(), ['a', 'b'])
})

test('a queue of which a claim was cut for its size is asked again', () => {
  const lines = linesOf(['a', 'b'])
  const ask = lines.ask(roomy)
  assert.ok(ask !== null)
  lines.learn(ask, claimedOf({ a: 1 }, true), false)
  assert.deepEqual(Object.keys(askedOf(lines)).toSorted(), ['a', 'b'])
})

test('a queue that a full claim did not come to has not been found empty', () => {
  const lines = linesOf(['a', 'b'])
  const ask = {
    ...lines.ask(roomy),
    limit: 5,
    others: 0,
    maxLosses: null,
    queues: [
      { name: 'a', limit: 5 },
      { name: 'b', limit: 5 },
    ],
  }
  lines.learn(ask, claimedOf({ a: 5 }), false)
  assert.deepEqual(Object.keys(askedOf(lines)).toSorted(), ['a', 'b'])
})

test('a queue at its limit is not asked, but named where others are asked for', () => {
  const lines = linesOf(['a', 'b'], { a: 1 }, true)
  lines.of('a').running = 1
  const ask = lines.ask(roomy)
  assert.deepEqual(
    ask?.queues.find(({ name }) => name === 'a'),
    { name: 'a', limit: 0 },
  )
  assert.equal(ask?.others, 10)
})

test('paused queues are not asked', () => {
  const lines = linesOf(['a', 'b'])
  lines.pause(['a'])
  assert.deepEqual(Object.keys(askedOf(lines)), ['b'])
})

test('lost jobs are asked for only with an idle slot, at most twice lost ones beside none of their kind', () => {
  const lines = linesOf(['a'])
  lines.of('a').add([{ at: 0 } as Buffered], 0)
  assert.equal(lines.ask({ ...roomy, idleSlots: 1 })?.maxLosses, Number.MAX_SAFE_INTEGER)
  assert.equal(lines.ask({ ...roomy, quarantined: true })?.maxLosses, 1)
})

test('a line whose lost jobs were not asked for during a second keeps its next place for them', () => {
  const lines = linesOf(['a'])
  const line = lines.of('a')
  lines.ask({ ...roomy, now: 1_000 })
  line.running = 10
  lines.ask({ ...roomy, idleSlots: 0, now: 1_900 })
  assert.equal(line.turnDue, false)
  lines.ask({ ...roomy, idleSlots: 0, now: 2_000 })
  assert.deepEqual([line.turnDue, lines.haveTurn(2_000)], [true, false])
  line.running = 9
  line.add([{ at: 0 } as Buffered], 0)
  assert.equal(lines.haveTurn(2_000), true)
  assert.equal(line.next(), undefined, 'no other job takes it')
  const ask = lines.ask({ ...roomy, idleSlots: 1, buffered: 1, now: 2_001 })
  assert.deepEqual([ask?.limit, ask?.maxLosses], [1, Number.MAX_SAFE_INTEGER])
  assert.equal(line.turnDue, false)
  assert.notEqual(line.next(), undefined)
})

/** A job as it was claimed at some time, with an input of so many characters. */
function at(time: number, chars = 2): Buffered {
  return { at: time, job: { input: ' '.repeat(chars) } } as Buffered
}

function start(line: ServedQueue, count: number): void {
  for (let i = 0; i < count; i++) line.next()
}

test('a buffer holds what a line starts within 30 ms and two claims, 200 ms at most, and no more than 2,000 jobs', () => {
  for (const [started, ms, tookMs, target] of [
    [10, 10_000, 0, 0],
    [10, 100, 0, 3],
    [100, 10, 0, 300],
    [100, 10, 5, 400],
    [100, 10, 50, 1_300],
    [100, 20, 1_000, 1_000],
    [5_000, 10, 0, 2_000],
  ] as const) {
    const line = linesOf(['a']).of('a')
    line.add(
      Array.from({ length: started }, () => at(1_000)),
      0,
    )
    start(line, started)
    line.add([at(1_000 + ms)], tookMs)
    assert.equal(line.target, target, `${started} jobs in ${ms} ms`)
  }
})

test('a buffer holds fewer jobs when their inputs are large', () => {
  const line = linesOf(['a']).of('a')
  line.add(
    Array.from({ length: 1_000 }, () => at(1_000)),
    0,
  )
  start(line, 1_000)
  line.add([at(1_010, 1024 * 1024), at(1_010, 1024 * 1024)], 0)
  assert.equal(line.target, 8)
})

test('jobs leave a buffer in the order in which they came, however many started before', () => {
  const line = linesOf(['a']).of('a')
  const jobs = Array.from({ length: 250 }, (_, n) => at(n))
  line.add(jobs, 0)
  for (const [n, job] of jobs.slice(0, 120).entries()) {
    assert.equal(line.next(), job)
    assert.equal(line.buffered, 249 - n)
  }
  assert.deepEqual(line.drain(), jobs.slice(120))
  assert.deepEqual([line.buffered, line.next()], [0, undefined])
})

test('the speed of a line is measured over ten milliseconds at least', () => {
  const line = linesOf(['a']).of('a')
  line.add(
    Array.from({ length: 20 }, () => at(1_000)),
    0,
  )
  start(line, 10)
  line.add([at(1_009)], 0)
  assert.equal(line.target, 0)
  start(line, 10)
  line.add([at(1_010)], 0)
  assert.equal(line.target, 60)
})

test('a buffer whose first job has waited for 75 ms is emptied, and begins anew', () => {
  const line = linesOf(['a']).of('a')
  line.add(
    Array.from({ length: 20 }, () => at(1_000)),
    0,
  )
  start(line, 20)
  line.add([at(1_010)], 0)
  assert.equal(line.target, 60)
  assert.deepEqual([line.drainIfSlow(1_084).length, line.target], [0, 60])
  assert.deepEqual([line.drainIfSlow(1_085).length, line.target, line.buffered], [1, 0, 0])
})

test('where claims take long, jobs wait for a quarter longer than the buffer is to last', () => {
  const line = linesOf(['a']).of('a')
  line.add(
    Array.from({ length: 20 }, () => at(1_000)),
    0,
  )
  start(line, 20)
  line.add([at(1_010)], 45)
  assert.equal(line.target, 240)
  assert.deepEqual([line.drainIfSlow(1_159).length, line.target], [0, 240])
  assert.deepEqual([line.drainIfSlow(1_160).length, line.target], [1, 0])
})

test('lines that nobody named are forgotten when idle, and what comes later is found among the others', () => {
  const lines = linesOf(['a'], {}, true)
  const names = (): string[] => lines.all.map(({ name }) => name)
  lines.of('b').running = 1
  lines.of('c')
  lines.forgetIdle(1_000)
  lines.forgetIdle(4_999)
  assert.deepEqual(names(), ['a', 'b', 'c'])
  lines.forgetIdle(5_000)
  assert.deepEqual(names(), ['a', 'b'])
  lines.of('b').running = 0
  lines.forgetIdle(6_000)
  lines.of('b').running = 1
  lines.forgetIdle(9_000)
  lines.of('b').running = 0
  lines.forgetIdle(12_000)
  assert.deepEqual(names(), ['a', 'b'])
  lines.forgetIdle(16_000)
  assert.deepEqual(names(), ['a'])
  assert.equal(lines.ask(roomy)?.others, 10)
})

test('more idle lines than a worker should remember are forgotten at once', () => {
  const lines = linesOf(['a'], {}, true)
  for (let n = 0; n < 1_000; n += 1) lines.of(`customer ${n}`)
  lines.of('customer 7').running = 1
  const { queues = [], others } = lines.ask(roomy) ?? {}
  assert.deepEqual(
    queues.map(({ name }) => name),
    ['a', 'customer 7'],
  )
  assert.ok(others)
})
