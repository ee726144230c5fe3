import assert from 'node:assert/strict'
import { test } from 'node:test'
import { task } from '../../src/core/task.ts'
import { MemoryDatabase, memory } from '../../src/stores/memory/index.ts'
import { sqlite } from '../../src/stores/sqlite/index.ts'
import { VirtualClock } from '../../src/testing/virtual-clock.ts'
import { appOn, gate, inMemory, newFile, onSqlite, type Bench } from './harness.ts'

/** A task that counts what runs at once, in all and by queue. */
function counting(ms: (queue: string) => number, bench: () => Bench) {
  const now = new Map<string, number>()
  const most = new Map<string, number>()
  const order: string[] = []
  const add = (key: string, change: number): void => {
    const count = (now.get(key) ?? 0) + change
    now.set(key, count)
    most.set(key, Math.max(most.get(key) ?? 0, count))
  }
  const made = task({
    name: 'count',
    run: async (label: string, job) => {
      order.push(label)
      for (const key of ['all', job.queue]) add(key, 1)
      const { clock } = bench().store
      await new Promise<void>((resolve) => void clock.after(ms(job.queue), resolve))
      for (const key of ['all', job.queue]) add(key, -1)
    },
  })
  return { task: made, most, order }
}

for (const [name, make] of [
  ['memory', inMemory],
  ['sqlite', onSqlite],
] as const) {
  test(`${name}: never more jobs run than there are slots, of a queue and in total`, async (t) => {
    const {
      task: count,
      most,
      order,
    } = counting(
      () => 1 + Math.random() * 10,
      () => bench,
    )
    const bench = make(t, {
      tasks: [count],
      slots: 6,
      queues: { a: { slots: 2 }, b: {}, c: { slots: 5 } },
    })
    await bench.work()
    const entries = Array.from({ length: 240 }, (_, i) => {
      const queue = ['a', 'b', 'c'][i % 3] ?? 'a'
      return [count, queue, { queue }] as const
    })
    await bench.client.enqueueMany(entries)
    await bench.until('all to run', () => order.length === 240, 1)
    assert.equal(most.get('all'), 6)
    assert.equal(most.get('a'), 2)
    assert.ok((most.get('b') ?? 9) <= 6 && (most.get('c') ?? 9) <= 5)
  })
}

test('within a queue lower priorities run first, and equal ones in the order in which they were due', async (t) => {
  const { task: count, order } = counting(
    () => 1,
    () => bench,
  )
  const bench = inMemory(t, { tasks: [count], slots: 1 })
  const { client } = bench
  await client.enqueue(count, 'later', { delay: 500 })
  for (const [label, priority] of [
    ['high 1', 1000],
    ['normal 1', 0],
    ['low', -1000],
    ['normal 2', 0],
    ['high 2', 1000],
  ] as const) {
    await client.enqueue(count, label, { priority })
  }
  await bench.pass(500)
  await client.enqueue(count, 'last', {})
  await bench.work()
  await bench.until('all to run', () => order.length === 7)
  assert.deepEqual(order, ['low', 'normal 1', 'normal 2', 'later', 'last', 'high 1', 'high 2'])
})

test('a long queue does not keep others from their share of the slots', async (t) => {
  const { task: count, order } = counting(
    () => 1_000,
    () => bench,
  )
  const bench = inMemory(t, { tasks: [count], slots: 10, queues: { flood: {}, trickle: {} } })
  await bench.client.enqueueMany(
    Array.from({ length: 1_000 }, () => [count, 'flood', { queue: 'flood' }] as const),
  )
  await bench.client.enqueueMany(
    Array.from({ length: 20 }, () => [count, 'trickle', { queue: 'trickle' }] as const),
  )
  await bench.work()
  await bench.pass(10_100)
  const first = order.slice(0, 60)
  const share = first.filter((label) => label === 'trickle').length
  assert.equal(share, 20, 'the short queue is through within the first few rounds')
})

test('of two equally long queues neither runs far ahead of the other', async (t) => {
  const { task: count, order } = counting(
    () => 5,
    () => bench,
  )
  const bench = inMemory(t, { tasks: [count], slots: 4, queues: { a: {}, b: {} } })
  for (const queue of ['a', 'b']) {
    await bench.client.enqueueMany(
      Array.from({ length: 300 }, () => [count, queue, { queue }] as const),
    )
  }
  await bench.work()
  await bench.until('all to run', () => order.length === 600, 5)
  let ahead = 0
  let most = 0
  for (const queue of order.slice(0, 500)) {
    ahead += queue === 'a' ? 1 : -1
    most = Math.max(most, Math.abs(ahead))
  }
  assert.ok(most < 150, `one ran ${most} ahead`)
})

test('an open app serves queues that nobody named, each within the slots of *', async (t) => {
  const {
    task: count,
    most,
    order,
  } = counting(
    () => 20,
    () => bench,
  )
  const bench = inMemory(t, {
    tasks: [count],
    slots: 8,
    queues: { '*': { slots: 2 }, named: { slots: 1 } },
  })
  await bench.work()
  const names = ['x', 'y', 'z', 'named']
  await bench.client.enqueueMany(
    Array.from({ length: 80 }, (_, i) => [count, 'job', { queue: names[i % 4] ?? 'x' }] as const),
  )
  await bench.until('all to run', () => order.length === 80, 5)
  assert.deepEqual(
    names.map((queue) => most.get(queue)),
    [2, 2, 2, 1],
  )
})

test('a queue at its limit is not claimed from: nothing of it is taken and given back in circles', async (t) => {
  const open = gate()
  const hold = task({ name: 'hold', run: () => open.promise })
  const bench = inMemory(t, { tasks: [hold], slots: 8, queues: { '*': {}, narrow: { slots: 1 } } })
  const worker = await bench.work()
  await bench.client.enqueueMany(
    Array.from({ length: 50 }, () => [hold, undefined, { queue: 'narrow' }] as const),
  )
  await bench.pass(5_000)
  let calls = 0
  const claim = bench.store.claim.bind(bench.store)
  Object.assign(bench.store, {
    claim: (request: never) => {
      calls++
      return claim(request)
    },
  })
  await bench.pass(60_000)
  assert.equal(worker.status.buffered, 0)
  assert.ok(calls <= 15, `${calls} claims in a minute`)
  assert.deepEqual(
    (await bench.store.counts()).map(({ state, count }) => `${count} ${state}`).toSorted(),
    ['1 running', '49 ready'],
  )
  open.resolve()
})

test('a worker with queues serves only these', async (t) => {
  const { task: count, order } = counting(
    () => 1,
    () => bench,
  )
  const bench = inMemory(t, { tasks: [count], queues: { a: {}, b: {}, '*': {} } })
  for (const queue of ['a', 'b', 'c']) await bench.client.enqueue(count, queue, { queue })
  const worker = await bench.work({ queues: ['b'] })
  await bench.pass(60_000)
  assert.deepEqual(order, ['b'])
  assert.deepEqual(worker.status.queues, ['b'])
})

test('jobs buffered behind long ones are given back within 200 ms, for another worker to run', async (t) => {
  const clock = new VirtualClock()
  const database = new MemoryDatabase()
  const open = gate()
  const ran: string[] = []
  const tasks = (who: string) => [
    task({
      name: 'job',
      run: async (label: string) => {
        ran.push(`${who} ${label}`)
        if (label === 'long') await open.promise
      },
    }),
  ]
  const [aTasks, bTasks] = [tasks('a'), tasks('b')]
  const a = appOn(t, memory({ clock, database }), { tasks: aTasks, slots: 2 })
  const b = appOn(t, memory({ clock, database }), { tasks: bTasks, slots: 2 })
  const first = await a.work()
  // Fast jobs make the buffer grow, then two long ones take the slots.
  await a.client.enqueueMany([
    ...Array.from({ length: 300 }, () => ['job', 'fast'] as const),
    ...Array.from({ length: 2 }, () => ['job', 'long'] as const),
    ...Array.from({ length: 20 }, (_, i) => ['job', `short ${i}`] as const),
  ])
  await a.until('the long ones to run', () => ran.filter((one) => one === 'a long').length === 2, 1)
  await b.work()
  const from = clock.now()
  await b.until(
    'the short ones to run',
    () => ran.filter((one) => one.includes('short')).length === 20,
    10,
  )
  assert.ok(clock.now() - from <= 250, `took ${clock.now() - from} ms`)
  assert.ok(ran.filter((one) => one.includes('short')).every((one) => one.startsWith('b')))
  assert.equal(first.status.running, 2)
  open.resolve()
})

test('long jobs are not claimed ahead: a worker whose slots are busy leaves the rest to others', async (t) => {
  const open = gate()
  let starts = 0
  const long = task({
    name: 'long',
    run: () => {
      starts++
      return open.promise
    },
  })
  const bench = inMemory(t, { tasks: [long], slots: 3 })
  let claimed = 0
  const claim = bench.store.claim.bind(bench.store)
  Object.assign(bench.store, {
    claim: async (request: never) => {
      const answer = await claim(request)
      claimed += answer.jobs.length
      return answer
    },
  })
  await bench.work()
  await bench.client.enqueueMany(Array.from({ length: 30 }, () => [long, undefined] as const))
  await bench.pass(60_000)
  assert.deepEqual([starts, claimed], [3, 3])
  open.resolve()
})

test('a paused queue is claimed from by nobody, not even by workers that start later, until it is resumed', async (t) => {
  const clock = new VirtualClock()
  const database = new MemoryDatabase()
  const ran: string[] = []
  const job = task({ name: 'job', run: (label: string) => void ran.push(label) })
  const config = { tasks: [job], queues: { other: {} } }
  const a = appOn(t, memory({ clock, database }), config)
  const b = appOn(t, memory({ clock, database }), config)
  await a.work()
  await b.store.pause(['default'])
  await a.pass(100)
  await a.client.enqueue(job, 'paused')
  await a.client.enqueue(job, 'other', { queue: 'other' })
  await a.pass(60_000)
  await b.work()
  await b.pass(60_000)
  assert.deepEqual(ran, ['other'])
  await a.store.resume(['default'])
  await a.pass(200)
  assert.deepEqual(ran, ['other', 'paused'])
})

test('a pause gives buffered jobs back at once, and running ones go on', async (t) => {
  const gates = [gate(), gate()]
  const ran: number[] = []
  const job = task({
    name: 'job',
    run: async (n: number) => {
      ran.push(n)
      await gates[n]?.promise
    },
  })
  const bench = inMemory(t, { tasks: [job], slots: 1 })
  const worker = await bench.work()
  await bench.client.enqueue(job, 9)
  await bench.pass(10)
  await bench.client.enqueueMany([0, 1, 2, 3].map((n) => [job, n] as const))
  await bench.pass(5)
  assert.ok(worker.status.buffered > 0)
  await bench.store.pause(['default'])
  await bench.pass(60)
  assert.equal(worker.status.buffered, 0)
  gates[0]?.resolve()
  await bench.pass(60_000)
  assert.deepEqual(ran, [9, 0])
  const counts = await bench.store.counts()
  assert.deepEqual(counts.find(({ state }) => state === 'ready')?.count, 3)
  gates[1]?.resolve()
  await bench.store.resume(['default'])
  await bench.until('the rest', () => ran.length === 5)
  assert.deepEqual(ran, [9, 0, 1, 2, 3])
})

test("two processes' worth of workers on one file share the work, each job run once", async (t) => {
  const file = newFile(t)
  const ran: number[] = []
  const job = task({ name: 'job', run: (n: number) => void ran.push(n) })
  const a = appOn(t, sqlite(file), { tasks: [job] })
  const b = appOn(t, sqlite(file), { tasks: [job] })
  await Promise.all([a.work(), b.work()])
  await a.client.enqueueMany(Array.from({ length: 2_000 }, (_, n) => [job, n] as const))
  await a.until('all to be settled', async () => {
    return (await a.store.counts()).every(({ state }) => state === 'completed')
  })
  assert.equal(ran.length, 2_000)
  assert.equal(new Set(ran).size, 2_000)
})
