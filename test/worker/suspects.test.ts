import assert from 'node:assert/strict'
import { test } from 'node:test'
import { noCounters } from '../../src/core/job.ts'
import { task } from '../../src/core/task.ts'
import type { ClaimRequest } from '../../src/store/worker-calls.ts'
import type { Store } from '../../src/store/store.ts'
import { MemoryDatabase, memory } from '../../src/stores/memory/index.ts'
import { VirtualClock } from '../../src/testing/virtual-clock.ts'
import { appOn, gate, inMemory, onSqlite } from './harness.ts'

/** Makes waiting jobs look as if they had been lost: claims them by hand and puts them back. */
async function lose(store: Store, count: number, losses: number): Promise<void> {
  const { jobs } = await store.claim({
    worker: 'by hand',
    queues: [],
    others: count,
    limit: count,
    leaseMs: 30_000,
    maxLosses: null,
    id: null,
  })
  assert.equal(jobs.length, count)
  await store.settle(
    jobs.map(({ id, token }) => ({
      kind: 'requeue',
      id,
      token,
      yieldsToCancel: true,
      counters: { ...noCounters, losses, attempts: losses },
      attempt: null,
      followUps: [],
      delayMs: 0,
      place: 'keep',
      started: true,
      suspect: true,
    })),
  )
}

for (const [name, make] of [
  ['memory', inMemory],
  ['sqlite', onSqlite],
] as const) {
  test(`${name}: a job that was lost gets its turn within seconds while fast jobs keep all slots busy`, async (t) => {
    let ran = 0
    let lostAfter = -1
    const fast = task({
      name: 'fast',
      run: async (label: string) => {
        if (label === 'lost') lostAfter = ran
        ran++
        await new Promise<void>((resolve) => void bench.store.clock.after(2, resolve))
      },
    })
    const bench = make(t, { tasks: [fast], slots: 2 })
    await bench.client.enqueue(fast, 'lost')
    await lose(bench.store, 1, 1)
    await bench.client.enqueueMany(Array.from({ length: 3_000 }, () => [fast, 'other'] as const))
    await bench.work()
    const from = bench.store.clock.now()
    await bench.until('the lost one to run', () => lostAfter >= 0, 5)
    assert.ok(bench.store.clock.now() - from < 5_000)
    assert.ok(lostAfter < 2_500, `it ran after ${lostAfter} others`)
  })
}

test('a lost job has its turn in a queue that is always at its limit, beside idle slots', async (t) => {
  let lostAfter = -1
  let ran = 0
  const fast = task({
    name: 'fast',
    run: async (label: string) => {
      if (label === 'lost') lostAfter = ran
      ran++
      await new Promise<void>((resolve) => void bench.store.clock.after(2, resolve))
    },
  })
  const bench = inMemory(t, { tasks: [fast], slots: 10, queues: { narrow: { slots: 1 } } })
  await bench.client.enqueue(fast, 'lost', { queue: 'narrow' })
  await lose(bench.store, 1, 1)
  await bench.client.enqueueMany(
    Array.from({ length: 3_000 }, () => [fast, 'other', { queue: 'narrow' }] as const),
  )
  await bench.work()
  await bench.until('the lost one to run', () => lostAfter >= 0, 10)
  assert.ok(lostAfter < 1_500, `it ran after ${lostAfter} others`)
})

test('a lost job is claimed alone, with its start written, and starts at once', async (t) => {
  const alone: boolean[] = []
  const job = task({ name: 'job', run: () => undefined })
  const bench = inMemory(t, { tasks: [job], slots: 3 })
  const claim = bench.store.claim.bind(bench.store)
  Object.assign(bench.store, {
    claim: async (request: ClaimRequest) => {
      const answer = await claim(request)
      const lost = answer.jobs.find(({ counters }) => counters.losses > 0)
      if (lost !== undefined) alone.push(answer.jobs.length === 1 && lost.startedAt !== null)
      return answer
    },
  })
  await bench.client.enqueueMany(Array.from({ length: 5 }, () => [job, undefined] as const))
  await lose(bench.store, 5, 1)
  await bench.client.enqueueMany(Array.from({ length: 50 }, () => [job, undefined] as const))
  const worker = await bench.work()
  await bench.until('all to be completed', async () => {
    return (await bench.store.counts()).every(({ state }) => state === 'completed')
  })
  assert.deepEqual(alone, [true, true, true, true, true])
  assert.equal(worker.status.buffered, 0)
})

test('of jobs that were lost twice one runs at a time, beside others, and the next follows at once', async (t) => {
  const clock = new VirtualClock()
  let together = 0
  let most = 0
  let done = 0
  let others = 0
  const job = task({
    name: 'job',
    run: async (label: string) => {
      if (label === 'other') return void others++
      most = Math.max(most, ++together)
      await new Promise<void>((resolve) => void clock.after(100, resolve))
      together--
      done++
    },
  })
  const bench = appOn(t, memory({ clock, database: new MemoryDatabase() }), {
    tasks: [job],
    slots: 5,
  })
  await bench.client.enqueueMany(Array.from({ length: 20 }, () => [job, 'twice'] as const))
  await lose(bench.store, 20, 2)
  await bench.client.enqueueMany(Array.from({ length: 20 }, () => [job, 'other'] as const))
  await bench.work()
  await bench.pass(1_000)
  assert.equal(others, 20, 'others do not wait for them')
  const from = clock.now()
  await bench.until('all to be done', () => done === 20, 20)
  assert.equal(most, 1)
  assert.ok(clock.now() - from < 2_500, `${clock.now() - from} ms`)
})

test('a job that is lost again and again fails as poison beyond its limit, and its failure is followed', async (t) => {
  const clock = new VirtualClock()
  const database = new MemoryDatabase()
  const open = gate()
  const killer = task({
    name: 'killer',
    timeout: '2s',
    retry: 'never',
    onFailure: ['alert'],
    run: () => open.promise,
  })
  const bench = appOn(t, memory({ clock, database }), { tasks: [killer], slots: 20, lease: '3s' })
  await bench.work()
  const { id } = await bench.client.enqueue(killer, undefined)
  const job = await bench.reach(id, 'failed')
  assert.deepEqual([job.reason, job.losses, job.attempts], ['poison', 4, 4])
  const [report] = (await bench.jobs.list({ task: 'alert' })).jobs
  assert.equal(report?.parent, id)
  open.resolve()
})

test('a worker that dies before it has written a start loses nothing for its jobs', async (t) => {
  const clock = new VirtualClock()
  const database = new MemoryDatabase()
  const raw = memory({ clock, database })
  const job = task({ name: 'job', run: () => 'done' })
  const bench = appOn(t, memory({ clock, database }), { tasks: [job] })
  const { id } = await bench.client.enqueue(job, undefined)
  await raw.claim({
    worker: 'dead',
    queues: [],
    others: 9,
    limit: 9,
    leaseMs: 30_000,
    maxLosses: null,
    id: null,
  })
  await bench.work()
  const record = await bench.reach(id, 'completed')
  assert.deepEqual([record.losses, record.attempts], [0, 1])
  assert.deepEqual(
    bench.told.rescued.map(({ why, to }) => [why, to]),
    [['lost', 'ready']],
  )
})
