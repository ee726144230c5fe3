import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { v7 as uuidv7 } from 'uuid'
import { isErrandError } from '../../src/core/errors.ts'
import { task } from '../../src/core/task.ts'
import { MemoryDatabase, memory } from '../../src/stores/memory/index.ts'
import { sqlite } from '../../src/stores/sqlite/index.ts'
import { VirtualClock } from '../../src/testing/virtual-clock.ts'
import { appOn, newFile, onSqlite, type Bench } from './harness.ts'
import { faulty } from './faulty.ts'
import { lateness } from '../lateness.ts'

test('10,000 jobs of an unknown task ahead of ten known ones: the known ones are reached in a few hundred calls, and nobody spins', async (t) => {
  let doneAt = 0
  let done = 0
  const known = task({
    name: 'known',
    run: () => {
      if (++done === 10) doneAt = performance.now()
    },
  })
  const counted = faulty(sqlite(newFile(t)))
  const bench = appOn(t, counted.store, { tasks: [known] })
  for (let from = 0; from < 10_000; from += 1_000) {
    await counted.store.insert(
      Array.from({ length: 1_000 }, () => ({
        id: uuidv7(),
        task: 'unknown',
        queue: 'default',
        priority: 0,
        input: 'null',
        codec: null,
        options: null,
        parent: null,
        group: null,
        tags: [],
        headers: {},
        delayMs: 0,
        runAt: null,
        startWithinMs: null,
        deadlineMs: null,
        keepCancelledMs: null,
        unique: null,
        needs: [],
        entry: null,
      })),
    )
  }
  await bench.client.enqueueMany(Array.from({ length: 10 }, () => [known] as const))
  const [from, callsBefore] = [performance.now(), counted.total]
  await bench.work()
  await bench.until('the known ones', () => done === 10)
  t.diagnostic(`done after ${Math.round(doneAt - from)} ms`)
  assert.ok(counted.total - callsBefore <= 500, `${counted.total - callsBefore} calls`)
  // They come back after seconds, later after minutes: each time in a few large claims, and nobody spins between.
  const before = counted.total
  await sleep(5_000)
  assert.ok(counted.total - before <= 250, `${counted.total - before} calls in 5 s`)
})

test('a worker that is alone with a job of an unknown task makes no more than a few calls a minute', async (t) => {
  const counted = faulty(memory({ clock: new VirtualClock(), database: new MemoryDatabase() }))
  const bench = appOn(t, counted.store, { queues: { named: {}, '*': {} } })
  for (const queue of ['named', 'other'])
    await bench.client.enqueue(task({ name: 'unknown' }), 1, { queue })
  await bench.work()
  await bench.pass(20_000)
  assert.ok(counted.total <= 100, `${counted.total} calls in the first 20 s`)
  await bench.pass(600_000)
  const before = counted.total
  await bench.pass(600_000)
  // Twelve of them are its heartbeat, two a look for orders, one its chart.
  assert.ok((counted.total - before) / 10 <= 23, `${(counted.total - before) / 10} calls a minute`)
})

test('ten parents on ten slots that each await a child in the same queue all end within their timeouts, with a clear error', async (t) => {
  const child = task({ name: 'child', run: (n: number) => n })
  const errors: unknown[] = []
  const parent = task({
    name: 'parent',
    timeout: '2s',
    retry: 'never',
    run: async (n: number): Promise<unknown> => {
      const job = await bench.client.enqueue(child, n)
      try {
        return await job.result()
      } catch (error) {
        errors.push(error)
        throw error
      }
    },
  })
  const bench: Bench = onSqlite(t, { tasks: [parent, child], slots: 10 })
  const jobs = await bench.client.enqueueMany(
    Array.from({ length: 10 }, (_, n) => [parent, n] as const),
  )
  const lateMs = lateness(t)
  const from = performance.now()
  await bench.work()
  const records = await Promise.all(jobs.map(({ id }) => bench.reach(id, 'completed', 'failed')))
  const ms = performance.now() - from
  assert.ok(ms < 8_000 + lateMs(), `${ms} ms`)
  assert.ok(
    records.some(({ state }) => state === 'failed'),
    'slots full of parents leave no room for children',
  )
  for (const error of errors) {
    assert.ok(
      isErrandError(error, 'result-timeout') || isErrandError(error, 'timeout'),
      String(error),
    )
  }
  const text = errors.map(String).join('\n')
  t.diagnostic(`${errors.length} of 10 failed after ${Math.round(ms)} ms: ${text.split('\n')[0]}`)
  await bench.until('the children', async () => {
    return (await bench.jobs.list({ task: 'child', state: 'completed' })).jobs.length === 10
  })
})

test('parents with a slot to spare for children get their results', async (t) => {
  const child = task({ name: 'child', run: (n: number) => n * 2 })
  const parent = task({
    name: 'parent',
    timeout: '10s',
    run: async (n: number): Promise<unknown> => (await bench.client.enqueue(child, n)).result(),
  })
  const bench: Bench = onSqlite(t, { tasks: [parent, child], slots: 5 })
  await bench.work()
  const jobs = await bench.client.enqueueMany([1, 2, 3, 4].map((n) => [parent, n] as const))
  const outputs = await Promise.all(jobs.map(({ id }) => bench.reach(id, 'completed', 'failed')))
  assert.deepEqual(
    outputs.map(({ output }) => output),
    [2, 4, 6, 8],
  )
})

test('idle workers leave the store alone but for a heartbeat each five seconds, many queues or few', async (t) => {
  const clock = new VirtualClock()
  const database = new MemoryDatabase()
  const queues = Object.fromEntries(Array.from({ length: 50 }, (_, i) => [`queue ${i}`, {}]))
  const stores = [1, 2].map(() => faulty(memory({ clock, database })))
  const benches = stores.map(({ store }) => appOn(t, store, { queues }))
  for (const bench of benches) await bench.work()
  await benches[0]?.pass(60_000)
  const before = stores.map(({ total }) => total)
  await benches[0]?.pass(600_000)
  for (const [i, { total, calls }] of stores.entries()) {
    const perMinute = (total - (before[i] ?? 0)) / 10
    assert.ok(perMinute <= 16, `${perMinute} calls a minute: ${JSON.stringify([...calls])}`)
  }
})

test('two idle workers on one file do not keep each other awake', async (t) => {
  const file = newFile(t)
  const stores = [1, 2].map(() => faulty(sqlite(file)))
  for (const { store } of stores) await appOn(t, store, {}).work()
  await sleep(2_000)
  const before = stores.map(({ total }) => total)
  await sleep(10_000)
  for (const [i, { total, calls }] of stores.entries()) {
    const made = total - (before[i] ?? 0)
    assert.ok(made <= 8, `${made} calls in ten seconds: ${JSON.stringify([...calls])}`)
  }
})
