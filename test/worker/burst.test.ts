/** Bursts, buffers with bounds of their own, and workers that leave the store to others. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isErrandError } from '../../src/core/errors.ts'
import { task } from '../../src/core/task.ts'
import type { Events } from '../../src/observe/events.ts'
import type { Store } from '../../src/store/store.ts'
import type { ClaimRequest } from '../../src/store/worker-calls.ts'
import { memory, MemoryDatabase } from '../../src/stores/memory/index.ts'
import { VirtualClock } from '../../src/testing/virtual-clock.ts'
import { appOn, gate, inMemory, onSqlite, type Bench } from './harness.ts'

const plain = task({ name: 'plain', run: () => 1 })

function endingsOf({ app }: Bench): Events['worker-ending'][] {
  const endings: Events['worker-ending'][] = []
  app.events.on('worker-ending', (event) => endings.push(event))
  return endings
}

for (const [store, bench] of Object.entries({ memory: inMemory, sqlite: onSqlite })) {
  test(`${store}: a burst runs what is there and what follows from it, and stops`, async (t) => {
    const last = task({ name: 'last', run: () => 1 })
    const next = task({
      name: 'next',
      onSuccess: ['last'],
      run: async (_: undefined, job) => {
        await new Promise((resolve) => setImmediate(resolve))
        await job.enqueue(last)
      },
    })
    const own = bench(t, { tasks: [last, next], queues: { other: {} } })
    const { client, work, jobs, until, reach } = own
    const endings = endingsOf(own)
    for (let n = 0; n < 30; n++) await client.enqueue(next, undefined)
    const elsewhere = await client.enqueue(last, undefined, { queue: 'other' })
    const later = await client.enqueue(last, undefined, { delay: '1h' })
    const worker = await work({ burst: true, queues: ['default'] })
    await until('the burst to end', () => worker.status.state === 'stopped', 10)
    assert.deepEqual(
      endings.map(({ why }) => why),
      ['burst'],
    )
    const completed = await jobs.list({ state: 'completed', limit: 1_000 })
    assert.equal(completed.jobs.length, 90)
    await reach(elsewhere.id, 'ready')
    await reach(later.id, 'scheduled')
  })
}

test('a burst does not end while a job runs, nor while it is paused', async (t) => {
  const held = gate()
  const long = task({ name: 'long', timeout: 'none', run: () => held.promise })
  const { client, work, pass, until, reach } = inMemory(t, { tasks: [plain, long] })
  const { id } = await client.enqueue(long, undefined)
  const worker = await work({ burst: true })
  await reach(id, 'running')
  await pass(600_000)
  assert.equal(worker.status.state, 'running')
  worker.pause()
  held.resolve()
  await pass(60_000)
  assert.equal(worker.status.state, 'running')
  const waits = await client.enqueue(plain, undefined)
  worker.resume()
  await reach(waits.id, 'completed')
  await until('the burst to end', () => worker.status.state === 'stopped')
})

test('a burst leaves what lies in a paused queue', async (t) => {
  const { client, store, work, until, reach } = inMemory(t, { tasks: [plain] })
  await store.pause(['default'])
  const { id } = await client.enqueue(plain, undefined)
  const worker = await work({ burst: true })
  await until('the burst to end', () => worker.status.state === 'stopped')
  await reach(id, 'ready')
})

/** Notes what is claimed, with how many jobs ran then. */
function watched(): { readonly store: Store; readonly claims: ClaimRequest[] } {
  const store = memory({ clock: new VirtualClock(), database: new MemoryDatabase() })
  const claims: ClaimRequest[] = []
  const watching = {
    ...store,
    claim(request: ClaimRequest) {
      claims.push(request)
      return store.claim(request)
    },
  }
  return { store: watching, claims }
}

test('a buffer of at most 0 claims for free slots only, one of 10 no more than 10 ahead', async (t) => {
  for (const max of [0, 10]) {
    const { store } = watched()
    const watching = { ...store }
    let running = 0
    const one = task({
      name: 'one',
      queue: 'images',
      run: () => {
        running++
        setImmediate(() => running--)
      },
    })
    const own = appOn(t, watching, {
      tasks: [one],
      slots: 4,
      queues: { images: { buffer: { max } } },
    })
    let most = 0
    watching.claim = async (request) => {
      const answer = await store.claim(request)
      const worker = started?.status
      const held = answer.jobs.length + (worker?.running ?? 0) + (worker?.buffered ?? 0)
      most = Math.max(most, held)
      return answer
    }
    const started = own.worker()
    for (let n = 0; n < 400; n++) await own.client.enqueue(one, undefined)
    await started.start()
    await own.until('all to be run', async () => (await store.counts()).every(isOver), 5)
    assert.ok(most <= 4 + max, `${most} jobs at once with ${max} ahead`)
    assert.ok(most >= 4)
  }

  function isOver({ state, count }: { readonly state: string; readonly count: number }): boolean {
    return state === 'completed' || count === 0
  }
})

test('a queue whose buffer is bounded is asked for no more than there are idle slots, beside others', async (t) => {
  const held = gate()
  const long = task({ name: 'long', timeout: 'none', run: () => held.promise })
  const { store, claims } = watched()
  const own = appOn(t, store, {
    tasks: [long],
    slots: 4,
    queues: { images: { buffer: { max: 0 } } },
  })
  await own.work()
  for (let n = 0; n < 3; n++) await own.client.enqueue(long, undefined)
  await own.until('three to run', async () =>
    (await store.counts()).some(({ state, count }) => state === 'running' && count === 3),
  )
  claims.length = 0
  for (let n = 0; n < 3; n++) await own.client.enqueue(long, undefined, { queue: 'images' })
  await own.pass(2_000)
  const asked = claims.flatMap(({ queues }) => queues.filter(({ name }) => name === 'images'))
  assert.ok(asked.length > 0)
  for (const { limit } of asked) assert.equal(limit, 1)
  held.resolve()
})

test('settings of a buffer that cannot be meant are refused', (t) => {
  for (const buffer of [{ max: -1 }, { max: 1.5 }, { most: 3 }, 3])
    assert.throws(
      () => inMemory(t, { queues: { images: { buffer: buffer as never } } }),
      (error) => isErrandError(error, 'invalid-option'),
    )
})

/** Counts calls that only who looks after a store makes. */
function tended(): { readonly store: Store; readonly count: () => number } {
  const store = memory({ clock: new VirtualClock(), database: new MemoryDatabase() })
  let calls = 0
  return {
    store: {
      ...store,
      prune(request) {
        calls++
        return store.prune(request)
      },
      rescue(request) {
        calls++
        return store.rescue(request)
      },
    },
    count: () => calls,
  }
}

test('a worker without a keeper rescues nobody, prunes nothing and fires no schedule, but runs jobs', async (t) => {
  const { store, count } = tended()
  const own = appOn(t, store, { tasks: [plain] })
  const lost = await own.client.enqueue(plain, undefined)
  await store.claim({
    worker: 'dead',
    queues: [{ name: 'default', limit: 1 }],
    others: 0,
    limit: 1,
    leaseMs: 1_000,
    maxLosses: null,
    id: null,
  })
  const worker = await own.work({ keeper: false })
  const { id } = await own.client.enqueue(plain, undefined)
  await own.reach(id, 'completed')
  await own.pass(120_000)
  assert.equal(count(), 0)
  await own.reach(lost.id, 'running')
  assert.equal(Object.hasOwn(worker.status.parts, 'pruning'), false)
  await own.work()
  await own.reach(lost.id, 'completed')
  assert.ok(count() > 0)
})

test('who looks after the store may depend on the index of the process', async (t) => {
  const mark = Symbol.for('errand.process')
  t.after(() => Reflect.deleteProperty(globalThis, mark))
  const asked: number[] = []
  const keeper = (index: number): boolean => {
    asked.push(index)
    return index === 0
  }
  const { store, count } = tended()
  const own = appOn(t, store, { tasks: [plain], keeper })
  Reflect.set(globalThis, mark, { index: 3, of: 4 })
  await own.work()
  await own.pass(120_000)
  assert.equal(count(), 0)
  Reflect.deleteProperty(globalThis, mark)
  await own.work()
  await own.pass(120_000)
  assert.ok(count() > 0)
  assert.deepEqual(asked, [3, 0])
  assert.throws(
    () => own.worker({ keeper: 'no' as never }),
    (error) => isErrandError(error, 'invalid-option'),
  )
})
