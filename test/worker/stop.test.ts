import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sleep } from '../../src/core/clock.ts'
import { isErrandError } from '../../src/core/errors.ts'
import { task } from '../../src/core/task.ts'
import { MemoryDatabase, memory } from '../../src/stores/memory/index.ts'
import { spying } from '../../src/testing/by-hand.ts'
import { VirtualClock } from '../../src/testing/virtual-clock.ts'
import { stopWorkerToExit } from '../../src/worker/stop-to-exit.ts'
import type { ErrandWorker } from '../../src/worker/worker.ts'
import { appOn, gate, inMemory, type Bench } from './harness.ts'
import { faulty, noFault } from './faulty.ts'

/** A task that runs until its gate opens, or, if it listens, until it is aborted. */
function holding(listens: boolean, losses = 3) {
  const open = gate<string>()
  const reasons: unknown[] = []
  const made = task({
    name: 'hold',
    timeout: 'none',
    losses,
    run: (_: undefined, { signal }) => {
      const aborted = new Promise<never>((_resolve, reject) => {
        signal.addEventListener('abort', () => {
          reasons.push(signal.reason)
          if (listens) reject(new Error('aborted'))
        })
      })
      return Promise.race([open.promise, aborted])
    },
  })
  return { task: made, open, reasons }
}

/** Lets time pass until a stop is over; answers how long it took. */
async function took(bench: Bench, stopped: Promise<void>): Promise<number> {
  const from = bench.store.clock.now()
  let isOver = false
  void stopped.then(() => (isOver = true))
  await bench.until('the stop', () => isOver, 10)
  return bench.store.clock.now() - from
}

async function withOneRunning(bench: Bench): Promise<{ id: string; worker: ErrandWorker }> {
  const worker = await bench.work()
  const { id } = await bench.client.enqueue('hold', undefined)
  await bench.until('it to run', () => worker.status.running === 1, 10)
  return { id, worker }
}

test('an idle worker stops at once', async (t) => {
  const bench = inMemory(t)
  const worker = await bench.work()
  await bench.pass(1_000)
  assert.ok((await took(bench, worker.stop())) < 100)
  assert.deepEqual(bench.told.stopped, [{ worker: worker.id, clean: true }])
  assert.equal(worker.status.state, 'stopped')
})

test('a stop lets running jobs end within the grace, claims nothing more, and is clean', async (t) => {
  const { task: hold, open, reasons } = holding(true)
  const bench = inMemory(t, { tasks: [hold] })
  const { id, worker } = await withOneRunning(bench)
  const stopped = worker.stop()
  const { id: second } = await bench.client.enqueue('hold', undefined)
  await bench.pass(20_000)
  assert.deepEqual([worker.status.state, reasons], ['stopping', []])
  open.resolve('done')
  assert.ok((await took(bench, stopped)) < 200)
  assert.equal((await bench.jobs.get(id))?.state, 'completed')
  assert.equal((await bench.jobs.get(second))?.state, 'ready')
  assert.equal(bench.told.stopped[0]?.clean, true)
})

test('after the grace handlers are aborted, and run again elsewhere without a burnt attempt', async (t) => {
  const { task: hold, reasons } = holding(true)
  const bench = inMemory(t, { tasks: [hold] })
  const { id, worker } = await withOneRunning(bench)
  const ms = await took(bench, worker.stop())
  assert.ok(ms >= 25_000 && ms < 25_500, `${ms} ms`)
  assert.ok(isErrandError(reasons[0], 'interrupted'))
  const job = await bench.jobs.get(id)
  assert.deepEqual(
    [job?.state, job?.interruptions, job?.attempts, job?.failures],
    ['ready', 1, 0, 0],
  )
  assert.deepEqual(
    bench.told.ended.map(({ outcome }) => outcome),
    ['interrupted'],
  )
})

test('a handler that ignores its abort keeps its lease in a stop that is not the end of the process', async (t) => {
  const { task: hold } = holding(false)
  const bench = inMemory(t, { tasks: [hold] })
  const { id, worker } = await withOneRunning(bench)
  const ms = await took(bench, worker.stop())
  assert.ok(ms >= 30_000 && ms < 31_000, `${ms} ms`)
  assert.equal(bench.told.stopped[0]?.clean, false)
  const job = await bench.jobs.get(id)
  assert.deepEqual([job?.state, job?.interruptions], ['running', 0])
})

test('a handler that ignores its abort is given up as interrupted just before the process exits', async (t) => {
  const { task: hold } = holding(false)
  const bench = inMemory(t, { tasks: [hold] })
  const { id, worker } = await withOneRunning(bench)
  await took(bench, stopWorkerToExit(worker, { grace: '1s', abortGrace: '1s' }))
  const job = await bench.jobs.get(id)
  assert.deepEqual([job?.state, job?.interruptions, job?.attempts], ['ready', 1, 0])
})

test('a job that may begin only once fails as lost when its handler is given up', async (t) => {
  const { task: hold } = holding(false, 0)
  const bench = inMemory(t, { tasks: [hold] })
  const { id, worker } = await withOneRunning(bench)
  await took(bench, stopWorkerToExit(worker, { grace: '1s', abortGrace: '1s' }))
  const job = await bench.jobs.get(id)
  assert.deepEqual([job?.state, job?.reason, job?.attempts], ['failed', 'lost', 1])
})

test('a handler that ends after it was given up settles nothing', async (t) => {
  const { task: hold, open } = holding(false)
  const store = memory({ clock: new VirtualClock(), database: new MemoryDatabase() })
  const settling = spying(store, (call) => {
    if (call === 'settle') open.resolve('too late')
  })
  const bench = appOn(t, settling, { tasks: [hold] })
  const { id, worker } = await withOneRunning(bench)
  await took(bench, stopWorkerToExit(worker, { grace: '1s', abortGrace: '1s' }))
  assert.equal((await bench.jobs.get(id))?.state, 'ready')
  assert.deepEqual(
    bench.told.ended.map(({ outcome }) => outcome),
    ['interrupted'],
  )
})

test('a stop with grace none waits for as long as it takes', async (t) => {
  const { task: hold, open, reasons } = holding(true)
  const bench = inMemory(t, { tasks: [hold] })
  const { id, worker } = await withOneRunning(bench)
  const stopped = worker.stop({ grace: 'none' })
  await bench.pass(120_000)
  assert.deepEqual([worker.status.state, reasons], ['stopping', []])
  open.resolve('done')
  await took(bench, stopped)
  assert.equal((await bench.jobs.get(id))?.state, 'completed')
})

test('a second stop shortens the first one, and cannot lengthen it', async (t) => {
  const { task: hold } = holding(true)
  const bench = inMemory(t, { tasks: [hold] })
  const { worker } = await withOneRunning(bench)
  const first = worker.stop({ grace: 'none' })
  await bench.pass(60_000)
  const second = worker.stop({ grace: '1s' })
  const third = worker.stop({ grace: '1h' })
  const ms = await took(
    bench,
    Promise.all([first, second, third]).then(() => undefined),
  )
  assert.ok(ms >= 1_000 && ms < 1_500, `${ms} ms`)
})

test('a clean-up that heeds its signal has all of abortGrace, and its job runs nowhere else meanwhile', async (t) => {
  let runs = 0
  const careful = task({
    name: 'careful',
    timeout: '10s',
    run: async (_: undefined, { signal }) => {
      runs++
      await new Promise((resolve) => signal.addEventListener('abort', resolve))
      await sleep(bench.store.clock, 40_000)
      return 'cleaned up'
    },
  })
  const bench = inMemory(t, { tasks: [careful], lease: '3s' })
  const worker = await bench.work()
  const { id } = await bench.client.enqueue(careful, undefined)
  await bench.until('it to run', () => worker.status.running === 1, 10)
  await bench.work()
  const ms = await took(bench, worker.stop({ grace: '2s', abortGrace: '1m' }))
  assert.ok(ms >= 42_000 && ms < 43_000, `${ms} ms`)
  const job = await bench.jobs.get(id)
  assert.deepEqual([job?.state, job?.output, runs], ['completed', 'cleaned up', 1])
  assert.deepEqual([bench.told.stuck, bench.told.rescued], [[], []])
  assert.equal(bench.told.stopped[0]?.clean, true)
})

test('a handler that ignores its abort in a stop is stuck once abortGrace is over', async (t) => {
  const { task: hold } = holding(false)
  const bench = inMemory(t, { tasks: [hold] })
  const { id, worker } = await withOneRunning(bench)
  const ms = await took(bench, worker.stop({ grace: 0, abortGrace: '1m' }))
  assert.ok(ms >= 60_000 && ms < 61_000, `${ms} ms`)
  assert.equal(bench.told.stopped[0]?.clean, false)
  assert.equal((await bench.jobs.get(id))?.state, 'running')
})

test('a job that was aborted before a stop has its abortGrace too', async (t) => {
  const careful = task({
    name: 'careful',
    run: async (_: undefined, { signal }) => {
      await new Promise((resolve) => signal.addEventListener('abort', resolve))
      await sleep(bench.store.clock, 20_000)
      throw new Error('cleaned up')
    },
  })
  const bench = inMemory(t, { tasks: [careful], lease: '3s' })
  const worker = await bench.work()
  const { id } = await bench.client.enqueue(careful, undefined)
  await bench.until('it to run', () => worker.status.running === 1, 10)
  await bench.jobs.cancel(id)
  await bench.pass(4_000)
  await took(bench, worker.stop({ grace: 0, abortGrace: '30s' }))
  assert.equal((await bench.jobs.get(id))?.state, 'cancelled')
  assert.deepEqual(bench.told.stuck, [])
})

test('a stop waits for settlements and for the context as long as its options say', async (t) => {
  const { task: hold, open } = holding(true)
  const broken = faulty(memory({ clock: new VirtualClock(), database: new MemoryDatabase() }))
  const disposed: string[] = []
  const bench = appOn(t, broken.store, {
    tasks: [hold],
    context: () => ({
      [Symbol.asyncDispose]: async () => {
        await sleep(bench.store.clock, 40_000)
        disposed.push('context')
      },
    }),
  })
  const { id, worker } = await withOneRunning(bench)
  broken.fault = (call) => (call === 'settle' ? new Error('broken') : null)
  const stopped = worker.stop({ grace: '5m' })
  open.resolve('done')
  await bench.pass(60_000)
  broken.fault = noFault
  await took(bench, stopped)
  assert.equal((await bench.jobs.get(id))?.state, 'completed')
  assert.deepEqual([disposed, bench.told.warnings], [['context'], []])
  assert.equal(bench.told.stopped[0]?.clean, true)
})

test('a stop gives buffered jobs back, and what is claimed while it begins', async (t) => {
  const open = gate()
  const job = task({
    name: 'job',
    run: async (n: number) => (n === 0 ? open.promise : undefined),
  })
  const bench = inMemory(t, { tasks: [job], slots: 1 })
  const worker = await bench.work()
  await bench.client.enqueue(job, 9)
  await bench.pass(10)
  await bench.client.enqueueMany([0, 1, 2, 3].map((n) => [job, n] as const))
  await bench.pass(5)
  assert.ok(worker.status.buffered > 0)
  const stopped = worker.stop()
  await bench.pass(50)
  const ready = (await bench.store.counts()).find(({ state }) => state === 'ready')
  assert.equal(ready?.count, 3)
  open.resolve()
  await took(bench, stopped)
})

for (const how of ['hang', 'fail'] as const) {
  test(`a stop ends within its bounds when the store does nothing but ${how}`, async (t) => {
    const { task: hold, open } = holding(true)
    const clock = new VirtualClock()
    const broken = faulty(memory({ clock, database: new MemoryDatabase() }))
    const disposed: string[] = []
    const bench = appOn(t, broken.store, {
      tasks: [hold],
      context: () => ({ [Symbol.dispose]: () => disposed.push('context') }),
    })
    const { worker } = await withOneRunning(bench)
    await bench.pass(7_000)
    broken.fault = () => (how === 'hang' ? 'hang' : new Error('broken'))
    await bench.pass(10_000)
    open.resolve('done')
    await bench.pass(1_000)
    const ms = await took(bench, worker.stop())
    assert.ok(ms <= 31_000, `${ms} ms`)
    assert.deepEqual(disposed, ['context'])
    assert.equal(bench.told.stopped[0]?.clean, false)

    const patient = bench.worker()
    broken.fault = () => null
    await patient.start()
    broken.fault = () => (how === 'hang' ? 'hang' : new Error('broken'))
    await bench.pass(10_000)
    assert.ok((await took(bench, patient.stop({ grace: 'none' }))) <= 31_000)
    broken.fault = () => null
  })
}

test('a worker that is stopped while it starts runs nothing and lets go of its context', async (t) => {
  const made = gate()
  const disposed: string[] = []
  const bench = inMemory(t, {
    tasks: [task({ name: 'job', run: () => 1 })],
    context: async () => {
      await made.promise
      return { [Symbol.dispose]: () => disposed.push('context') }
    },
  })
  const { id } = await bench.client.enqueue('job', undefined)
  const worker = bench.worker()
  const started = assert.rejects(worker.start(), { code: 'closed' })
  const stopped = worker.stop()
  await bench.pass(100)
  made.resolve()
  await bench.pass(100)
  await Promise.all([started, stopped])
  await bench.pass(60_000)
  assert.equal((await bench.jobs.get(id))?.state, 'ready')
  assert.deepEqual([disposed, worker.status.state], [['context'], 'stopped'])
})

test('the record of a worker tells what it runs, when it was seen and that it stopped, and goes after a day', async (t) => {
  const { task: hold, open } = holding(true)
  const bench = inMemory(t, { tasks: [hold], queues: { a: {} }, slots: 3 })
  const { id, worker } = await withOneRunning(bench)
  await bench.pass(6_000)
  const [record] = await bench.store.workers()
  assert.deepEqual(
    [record?.id, record?.pid, record?.slots, record?.queues.toSorted(), record?.running],
    [worker.id, process.pid, 3, ['a', 'default'], [id]],
  )
  assert.ok(bench.store.clock.now() - (record?.lastSeenAt ?? 0) <= 5_000)
  open.resolve('done')
  await bench.pass(100)
  await took(bench, worker.stop())
  const [stopped] = await bench.store.workers()
  assert.deepEqual([stopped?.stopped, stopped?.running], [true, []])
  await bench.pass(25 * 3_600_000)
  const other = await bench.work()
  await bench.until('it to be forgotten', async () => {
    return (await bench.store.workers()).every((one) => one.id === other.id)
  })
})
