import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ErrandError, isErrandError } from '../../src/core/errors.ts'
import { followUpId } from '../../src/core/id.ts'
import { task } from '../../src/core/task.ts'
import { memory, MemoryDatabase } from '../../src/stores/memory/index.ts'
import { VirtualClock } from '../../src/testing/virtual-clock.ts'
import { faulty, noFault } from './faulty.ts'
import { appOn, gate, inMemory } from './harness.ts'

test('the job of a dead worker is run elsewhere within its lease, a sweep and a short delay', async (t) => {
  const { client, store, work, pass, jobs, told } = inMemory(t, {
    tasks: [task({ name: 'job', run: () => 'done' })],
  })
  const { id } = await client.enqueue('job', undefined)
  const queues = [{ name: 'default', limit: 1 }]
  const request = {
    worker: 'dead',
    queues,
    others: 0,
    limit: 1,
    leaseMs: 30_000,
    maxLosses: null,
    id: null,
  }
  const [claimed] = (await store.claim(request)).jobs
  await store.note([{ kind: 'start', id, token: claimed?.token ?? 0, agoMs: 0 }])
  await work()
  await pass(29_000)
  assert.deepEqual(told.rescued, [])
  await pass(7_000)
  assert.deepEqual(
    told.rescued.map(({ why }) => why),
    ['lost'],
  )
  await pass(3_000)
  const job = await jobs.get(id)
  assert.deepEqual([job?.state, job?.losses, job?.output], ['completed', 1, 'done'])
})

test('a handler that hangs keeps its lease until its timeout and the abort grace have passed, and no longer', async (t) => {
  const open = gate<string>()
  let runs = 0
  const deaf = task({
    name: 'deaf',
    timeout: '1m',
    run: () => (++runs === 1 ? open.promise : 'second'),
  })
  const { client, work, pass, told, jobs } = inMemory(t, { tasks: [deaf] })
  await work()
  const { id } = await client.enqueue(deaf, undefined)
  await pass(60_000 + 5_000 + 15_000)
  assert.deepEqual(told.rescued, [])
  await pass(15_000 + 7_000)
  assert.deepEqual(
    told.rescued.map(({ why }) => why),
    ['lost'],
  )
  await pass(3_000)
  assert.equal((await jobs.get(id))?.output, 'second')
  open.resolve('first')
})

test('a signal that a handler looks at for the first time after its lease was lost is aborted already', async (t) => {
  const clock = new VirtualClock()
  const database = new MemoryDatabase()
  const one = faulty(memory({ clock, database }))
  const raw = memory({ clock, database })
  const open = gate()
  const reasons: unknown[] = []
  const late = task({
    name: 'late',
    timeout: '1h',
    run: async (_: undefined, job) => {
      await open.promise
      reasons.push(job.signal.aborted, job.signal.reason)
    },
  })
  const { client, work, pass } = appOn(t, one.store, { tasks: [late] })
  await work()
  await client.enqueue(late, undefined)
  await pass(1_000)
  one.fault = () => new ErrandError('store-unavailable', 'cut off')
  await pass(31_000)
  await raw.rescue({ worker: 'other', tasks: ['late'], limit: 9, leaseMs: 60_000 })
  one.fault = noFault
  await pass(15_000)
  open.resolve()
  await pass(100)
  assert.equal(reasons[0], true)
  assert.ok(isErrandError(reasons[1], 'lease-lost'))
})

test('the ids of follow-ups derive from the parent, its token and the edge', async (t) => {
  const parent = task({
    name: 'parent',
    retry: 'never',
    onSuccess: ['next'],
    onFailure: ['alert'],
    run: (fails: boolean) => {
      if (fails) throw new Error('no')
    },
  })
  const { client, work, reach, jobs } = inMemory(t, { tasks: [parent] })
  await work()
  for (const fails of [false, true]) {
    const options = fails ? { onFailure: ['b'] } : { onSuccess: ['a'] }
    const { id } = await client.enqueue(parent, fails, options)
    const { token } = await reach(id, 'completed', 'failed')
    const edges = fails
      ? ['failure-task-0', 'failure-call-0']
      : ['success-task-0', 'success-call-0']
    const made = (await jobs.list({ parent: id })).jobs.map((job) => job.id)
    assert.deepEqual(made.toSorted(), edges.map((edge) => followUpId(id, token, edge)).toSorted())
  }
})

test('a worker that cannot renew starts no job, says so, and goes on by itself once it can', async (t) => {
  const clock = new VirtualClock()
  const database = new MemoryDatabase()
  const one = faulty(memory({ clock, database }))
  const open = gate()
  const ran: number[] = []
  const long = task({ name: 'long', timeout: '1h', run: () => open.promise })
  const brief = task({ name: 'brief', run: (n: number) => void ran.push(n) })
  const tasks = [long, brief]
  const bench = appOn(t, one.store, { tasks, slots: 2 })
  const worker = await bench.work()
  await bench.client.enqueue(long, undefined)
  await bench.pass(5_000)

  one.fault = (call) => (call === 'renew' ? new ErrandError('store-unavailable', 'away') : null)
  await bench.pass(15_000)
  assert.ok((worker.status.parts['renewer'] ?? 0) > 0)
  assert.deepEqual(
    bench.told.warnings.map(({ code }) => code),
    ['cannot-renew'],
  )
  await bench.client.enqueueMany([1, 2, 3].map((n) => [brief, n] as const))
  // The one that runs comes to its end, and renewals are tried all the same.
  open.resolve()
  await bench.pass(60_000)
  assert.deepEqual([ran, worker.status.running, worker.status.buffered], [[], 0, 0])
  const elsewhere = appOn(t, memory({ clock, database }), { tasks })
  await elsewhere.client.enqueue(brief, 4)

  one.fault = noFault
  await bench.pass(4_000)
  assert.deepEqual(
    ran.toSorted((a, b) => a - b),
    [1, 2, 3, 4],
  )
  assert.equal(worker.status.parts['renewer'], 0)
})

test('what a worker has buffered is given back when it cannot renew', async (t) => {
  const clock = new VirtualClock()
  const one = faulty(memory({ clock, database: new MemoryDatabase() }))
  const open = gate()
  const ran: number[] = []
  const long = task({ name: 'long', timeout: '1h', run: () => open.promise })
  const brief = task({ name: 'brief', run: (n: number) => void ran.push(n) })
  const bench = appOn(t, one.store, { tasks: [long, brief], slots: 1 })
  const worker = await bench.work()
  await bench.client.enqueueMany([[long, undefined] as const])
  await bench.pass(1_000)
  await bench.client.enqueueMany([1, 2].map((n) => [brief, n] as const))
  await bench.pass(9_000)
  one.fault = (call) => (call === 'renew' ? new ErrandError('store-unavailable', 'away') : null)
  await bench.pass(15_000)
  open.resolve()
  await bench.pass(60_000)
  assert.deepEqual([ran, worker.status.buffered], [[], 0])
  const { jobs } = await bench.jobs.list({ task: 'brief' })
  const states = jobs.map(({ state, attempts }) => [state, attempts])
  assert.deepEqual(states, [
    ['ready', 0],
    ['ready', 0],
  ])
})
