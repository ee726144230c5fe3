import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sleep } from '../../src/core/clock.ts'
import { ErrandError } from '../../src/core/errors.ts'
import { task } from '../../src/core/task.ts'
import type { Store } from '../../src/store/store.ts'
import { memory, MemoryDatabase } from '../../src/stores/memory/index.ts'
import { VirtualClock } from '../../src/testing/virtual-clock.ts'
import { handedBytes } from '../../src/core/job.ts'
import { settlerBound } from '../../src/worker/settle-batches.ts'
import { faulty, noFault } from './faulty.ts'
import { appOn, inMemory } from './harness.ts'

test('a stop without a grace of its own is bounded all the same when the store takes no settlement', async (t) => {
  const one = faulty(memory({ clock: new VirtualClock(), database: new MemoryDatabase() }))
  const quick = task({ name: 'quick', run: () => 'done' })
  const { client, work, pass, store, told } = appOn(t, one.store, { tasks: [quick] })
  const worker = await work()
  one.fault = (call) => (call === 'settle' ? 'hang' : null)
  await client.enqueue(quick, undefined)
  await pass(1_000)
  const from = store.clock.now()
  let isOver = false
  void worker.stop({ grace: 'none' }).then(() => (isOver = true))
  await pass(32_000)
  assert.equal(isOver, true, `still stopping after ${store.clock.now() - from} ms`)
  assert.equal(told.stopped[0]?.clean, false)
})

test('a call that the store never answers is given up, and its part tries again', async (t) => {
  for (const name of ['claim', 'settle', 'tend']) {
    const one = faulty(memory({ clock: new VirtualClock(), database: new MemoryDatabase() }))
    const quick = task({ name: 'quick', run: () => 'done' })
    const { client, work, pass, jobs, store } = appOn(t, one.store, { tasks: [quick] })
    await work()
    await pass(1_000)
    let hung = 0
    one.fault = (call) => (call === name && hung++ === 0 ? 'hang' : null)
    const { id } = await client.enqueue(quick, undefined)
    await pass(45_000)
    assert.ok(hung > 1, `${name} was called ${hung} times`)
    assert.equal((await jobs.get(id))?.state, 'completed')
    const [worker] = await store.workers()
    assert.ok(store.clock.now() - (worker?.lastSeenAt ?? 0) <= 10_000, name)
  }
})

test('while settlements cannot be written, slots wait before too many of them gather', async (t) => {
  const one = faulty(memory({ clock: new VirtualClock(), database: new MemoryDatabase() }))
  let runs = 0
  const quick = task({ name: 'quick', run: () => void runs++ })
  const { client, work, pass, until, store } = appOn(t, one.store, { tasks: [quick], slots: 50 })
  const away = new ErrandError('store-unavailable', 'away')
  one.fault = (call) => (call === 'settle' ? away : null)
  const count = settlerBound.most * 3
  await client.enqueueMany(Array.from({ length: count }, () => [quick, undefined] as const))
  await work()
  await pass(10_000)
  assert.ok(runs > 50, `${runs} runs`)
  assert.ok(runs <= settlerBound.most + 50, `${runs} runs`)
  one.fault = noFault
  await until('all to be completed', async () => {
    return (await store.counts()).every(({ state }) => state === 'completed')
  })
  assert.equal(runs, count)
})

test('what was claimed runs while the next claim waits for its answer', async (t) => {
  const inner = memory({ clock: new VirtualClock(), database: new MemoryDatabase() })
  let claimed = 0
  let runs = 0
  const enough = 3_000
  const waiting: Store = new Proxy(inner, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name)
      if (name !== 'claim') return member
      return async (request: Parameters<Store['claim']>[0]) => {
        // A claim takes a while, so that the worker's buffer grows.
        await sleep(target.clock, 5, new AbortController().signal)
        if (claimed >= enough) return new Promise(() => {})
        const answer = await target.claim(request)
        claimed += answer.jobs.length
        return answer
      }
    },
  })
  const quick = task({ name: 'quick', run: () => void (runs += 1) })
  const { client, work, until, pass } = appOn(t, waiting, { tasks: [quick] })
  await client.enqueueMany(Array.from({ length: 9_000 }, () => [quick, undefined] as const))
  await work()
  await until('enough to be claimed', async () => claimed >= enough, 5)
  await pass(50)
  assert.equal(runs, claimed)
})

test('slots that waited for settlements go on as soon as these are written', async (t) => {
  const clock = new VirtualClock()
  const inner = memory({ clock, database: new MemoryDatabase() })
  const slow: Store = new Proxy(inner, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name)
      if (name !== 'settle') return member
      return async (...args: Parameters<Store['settle']>) => {
        await sleep(clock, 40, new AbortController().signal)
        return target.settle(...args)
      }
    },
  })
  const quick = task({ name: 'quick', run: () => 'done' })
  const { client, work, until, store } = appOn(t, slow, {
    tasks: [quick],
    slots: settlerBound.most / 2,
  })
  const count = settlerBound.most * 5
  await client.enqueueMany(Array.from({ length: count }, () => [quick, undefined] as const))
  await work()
  const from = store.clock.now()
  await until(
    'all to be completed',
    async () => {
      return (await store.counts()).every(({ state }) => state === 'completed')
    },
    10,
  )
  assert.ok(store.clock.now() - from <= 3_000, `it took ${store.clock.now() - from} ms`)
})

test('workers remove finished jobs that have outlived their retention, and those beyond the cap', async (t) => {
  const quick = task({ name: 'quick', run: () => 'done' })
  const { client, work, pass, reach, jobs, store } = inMemory(t, {
    tasks: [quick],
    retention: '10m',
    keepAtMost: 3,
  })
  await work()
  const { id: first } = await client.enqueue(quick, undefined)
  await reach(first, 'completed')
  await pass(9 * 60_000)
  assert.notEqual(await jobs.get(first), null)
  await pass(61_000 + 5_000)
  assert.equal(await jobs.get(first), null)
  await client.enqueueMany(Array.from({ length: 8 }, () => [quick, undefined] as const))
  await pass(65_000)
  assert.deepEqual(await store.counts(), [{ queue: 'default', state: 'completed', count: 3 }])
})

test('what a worker holds in its buffers is bounded in bytes, and all jobs run', async (t) => {
  const inner = memory({ clock: new VirtualClock(), database: new MemoryDatabase() })
  let held = 0
  let most = 0
  const input = 'x'.repeat(1_000_000)
  const watched: Store = new Proxy(inner, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name)
      if (name !== 'claim') return member
      return async (request: Parameters<Store['claim']>[0]) => {
        const answer = await target.claim(request)
        for (const job of answer.jobs) held += job.input.length
        most = Math.max(most, held)
        return answer
      }
    },
  })
  const quick = task({
    name: 'quick',
    run: (text: string) => void (held -= JSON.stringify(text).length),
  })
  const { client, work, until } = appOn(t, watched, { tasks: [quick], slots: 10 })
  // Quick small ones let the buffer grow before the large ones come.
  await client.enqueueMany(Array.from({ length: 5_000 }, () => [quick, ''] as const))
  for (let n = 0; n < 60; n++) await client.enqueue(quick, input)
  await work()
  await until(
    'all to be completed',
    async () => (await inner.counts()).every(({ state }) => state === 'completed'),
    5,
  )
  assert.ok(most < 3 * handedBytes, `${most} bytes held`)
})
