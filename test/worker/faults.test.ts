import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ErrandError, isErrandError } from '../../src/core/errors.ts'
import { task } from '../../src/core/task.ts'
import type { Settlement } from '../../src/store/worker-calls.ts'
import { MemoryDatabase, memory } from '../../src/stores/memory/index.ts'
import { VirtualClock } from '../../src/testing/virtual-clock.ts'
import { appOn, gate, type Config } from './harness.ts'
import { faulty, noFault, type Fault } from './faulty.ts'

/** Two apps, each with a faulty way to the same data. */
function pair(t: Parameters<typeof appOn>[0], config: Config) {
  const clock = new VirtualClock()
  const database = new MemoryDatabase()
  const one = faulty(memory({ clock, database }))
  const two = faulty(memory({ clock, database }))
  const raw = memory({ clock, database })
  return { clock, raw, one, two, a: appOn(t, one.store, config), b: appOn(t, two.store, config) }
}

const outages: readonly (readonly [string, Fault])[] = [
  ['rejects as unavailable', new ErrandError('store-unavailable', 'away')],
  ['rejects with errors of its own', new Error('ECONNREFUSED')],
  ['hangs', 'hang'],
]

for (const [how, fault] of outages) {
  test(`a store that ${how} for ten minutes: no loop runs hot, nothing is lost, nobody is rescued or aborted`, async (t) => {
    const open = gate()
    const runs: number[] = []
    const aborts: unknown[] = []
    const job = task({
      name: 'job',
      timeout: '1h',
      run: async (n: number, { signal }) => {
        runs.push(n)
        signal.addEventListener('abort', () => aborts.push(signal.reason))
        if (n < 10) await open.promise
        return n
      },
    })
    const { a, b, one, two, raw } = pair(t, { tasks: [job], slots: 5 })
    await a.work()
    await b.work()
    await a.client.enqueueMany(Array.from({ length: 30 }, (_, n) => [job, n] as const))
    await a.pass(20_000)
    assert.deepEqual(
      runs.toSorted((x, y) => x - y),
      [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
    )

    one.fault = two.fault = () => fault
    await a.pass(60_000)
    const settled = [one.total, two.total]
    await a.pass(5 * 60_000)
    open.resolve()
    await a.pass(5 * 60_000)
    const calls = [one.total, two.total].map((total, i) => total - (settled[i] ?? 0))
    assert.ok(
      calls.every((count) => count < 10 * 60 * 3),
      `${calls.join(' and ')} calls in 600 s`,
    )
    assert.ok(
      calls.every((count) => count > 10),
      'it goes on trying',
    )

    one.fault = two.fault = noFault
    await a.until('all to be completed', async () => {
      return (await raw.counts()).every(({ state }) => state === 'completed')
    })
    assert.deepEqual(
      runs.toSorted((x, y) => x - y),
      Array.from({ length: 30 }, (_, n) => n),
    )
    assert.deepEqual(aborts, [])
    assert.deepEqual([...a.told.rescued, ...b.told.rescued], [])
    await a.pass(60_000)
    assert.deepEqual(
      [...a.told.recovered]
        .map(({ part }) => part)
        .toSorted()
        .includes('renewer'),
      true,
    )
  })
}

test('after an outage a dead worker is rescued only after one renew interval of unbroken contact', async (t) => {
  const { a, one, raw, clock } = pair(t, { tasks: [task({ name: 'job', run: () => 'done' })] })
  const { id } = await a.client.enqueue('job', undefined)
  const claimed = await raw.claim({
    worker: 'dead',
    queues: [{ name: 'default', limit: 1 }],
    others: 0,
    limit: 1,
    leaseMs: 30_000,
    maxLosses: null,
    id: null,
  })
  assert.equal(claimed.jobs[0]?.id, id)
  await raw.note([{ kind: 'start', id, token: claimed.jobs[0]?.token ?? 0, agoMs: 0 }])
  await a.work()
  one.fault = () => new ErrandError('store-unavailable', 'away')
  await a.pass(60_000)
  one.fault = noFault
  await a.until('contact', () => a.told.recovered.length > 0, 50)
  const back = clock.now()
  await a.until('the rescue', () => a.told.rescued.length > 0, 50)
  assert.ok(clock.now() - back >= 9_000, `rescued ${clock.now() - back} ms after the contact`)
  assert.ok(clock.now() - back <= 20_000, `rescued ${clock.now() - back} ms after the contact`)
  assert.equal((await a.reach(id, 'completed')).losses, 1)
})

test('a batch with a settlement that the store can never take is halved, and only that job fails', async (t) => {
  for (const refusal of [new ErrandError('too-large', 'no'), new RangeError('bug in the store')]) {
    const job = task({ name: 'job', retry: 'never', run: (n: number) => `out ${n}` })
    const { a, one } = pair(t, { tasks: [job], slots: 100 })
    let largest = 0
    one.fault = (call, args) => {
      if (call !== 'settle') return null
      const settlements = args[0] as readonly Settlement[]
      largest = Math.max(largest, settlements.length)
      const isPoisoned = settlements.some((s) => s.kind === 'finish' && s.output === '"out 37"')
      return isPoisoned ? refusal : null
    }
    const jobs = await a.client.enqueueMany(
      Array.from({ length: 100 }, (_, n) => [job, n] as const),
    )
    await a.work()
    for (const [n, { id }] of jobs.entries()) {
      const record = await a.reach(id, n === 37 ? 'failed' : 'completed')
      assert.equal(record.attempts, 1)
      if (n === 37) assert.equal(record.errors[0]?.message, refusal.message)
    }
    assert.ok(largest > 10, 'settlements travel in batches')
  }
})

test('a settlement whose follow-up is refused fails its job without the follow-up', async (t) => {
  const job = task({
    name: 'job',
    onSuccess: ['next'],
    onFailure: ['alert'],
    run: (n: number) => n,
  })
  const { a, one } = pair(t, { tasks: [job] })
  one.fault = (call, args) => {
    if (call !== 'settle') return null
    const [first] = args[0] as readonly Settlement[]
    return first?.followUps.some((one) => one.task === 'next')
      ? new ErrandError('too-large', 'no')
      : null
  }
  await a.work()
  const record = await a.reach((await a.client.enqueue(job, 1)).id, 'failed')
  assert.equal(record.reason, 'error')
  assert.deepEqual((await a.jobs.list({ task: 'alert' })).jobs.length, 1)
})

test('a follow-up that must be read from a store that is away waits for it, and the stop waits too', async (t) => {
  const job = task({ name: 'job', onSuccess: ['registered elsewhere'], run: () => 1 })
  const { a, one } = pair(t, { tasks: [job] })
  const worker = await a.work()
  one.fault = (call) => (call === 'tasks' ? new ErrandError('store-unavailable', 'away') : null)
  const { id } = await a.client.enqueue(job, undefined)
  await a.pass(3_000)
  assert.equal((await a.jobs.get(id))?.state, 'running')
  const stopped = worker.stop()
  await a.pass(3_000)
  assert.equal(worker.status.state, 'stopping')
  one.fault = noFault
  await a.pass(10_000)
  await stopped
  assert.equal((await a.jobs.get(id))?.state, 'completed')
  assert.equal((await a.jobs.list({ parent: id })).jobs.length, 1)
})

test('a stale settlement is refused, told, and changes nothing; its handler hears lease-lost', async (t) => {
  const open = gate()
  const reasons: unknown[] = []
  const job = task({
    name: 'job',
    timeout: '1h',
    run: async (_: undefined, { signal }) => {
      signal.addEventListener('abort', () => reasons.push(signal.reason))
      await open.promise
      return 'first'
    },
  })
  const { a, one, raw } = pair(t, { tasks: [job] })
  await a.work()
  const { id } = await a.client.enqueue(job, undefined)
  await a.pass(1_000)
  one.fault = () => new ErrandError('store-unavailable', 'cut off')
  await a.pass(31_000)
  const taken = await raw.rescue({ worker: 'other', tasks: ['job'], limit: 9, leaseMs: 60_000 })
  assert.equal(taken.jobs[0]?.id, id)
  assert.deepEqual(reasons, [], 'silence aborts nobody')
  one.fault = noFault
  await a.pass(10_000)
  assert.ok(isErrandError(reasons[0], 'lease-lost'))
  open.resolve()
  await a.pass(1_000)
  assert.deepEqual(
    a.told.ended.map(({ outcome }) => outcome),
    ['stale'],
  )
  const [record] = await raw.get([id])
  assert.deepEqual([record?.state, record?.worker, record?.output], ['running', 'other', null])
})

test('a settlement that turns out stale before the handler was told is told as stale too', async (t) => {
  const open = gate()
  const job = task({ name: 'job', run: () => open.promise })
  const { a, one, raw } = pair(t, { tasks: [job] })
  await a.work()
  await a.client.enqueue(job, undefined)
  await a.pass(1_000)
  one.fault = (call) => (call === 'renew' ? new ErrandError('store-busy', 'no') : null)
  await raw.pause(['default'])
  await a.pass(30_500)
  const stolen = await raw.rescue({ worker: 'other', tasks: ['job'], limit: 9, leaseMs: 60_000 })
  open.resolve()
  await a.pass(100)
  // Either the other was first, or the sweeper of this very worker: both refuse the run that lost its lease.
  assert.ok(stolen.jobs.length + a.told.rescued.length >= 1)
  assert.deepEqual(
    a.told.ended.map(({ outcome }) => outcome),
    ['stale'],
  )
})

for (const hung of ['prune', 'rescue'] as const) {
  test(`heartbeats and all other chores go on while ${hung} hangs`, async (t) => {
    const brief = task({ name: 'brief', retention: '1s', run: () => 1 })
    const { raw, one, a } = pair(t, { tasks: [brief], queues: { default: {}, elsewhere: {} } })
    await a.work({ queues: ['default'] })
    one.fault = (call) => (call === hung ? 'hang' : null)
    const { id } = await a.client.enqueue(brief, undefined)
    await a.client.enqueue(brief, undefined, { queue: 'elsewhere' })
    const dead = { worker: 'dead', others: 0, limit: 1, leaseMs: 1_000, maxLosses: null, id: null }
    const { jobs } = await raw.claim({ ...dead, queues: [{ name: 'elsewhere', limit: 1 }] })
    await a.pass(35_000)
    const [record] = await raw.workers()
    const { now } = await raw.claim({ ...dead, limit: 0, queues: [] })
    assert.ok(now - (record?.lastSeenAt ?? 0) <= 5_000, `${now - (record?.lastSeenAt ?? 0)} ms`)
    assert.ok((one.calls.get(hung) ?? 0) > 0)
    const [pruned, lost] = await raw.get([id, jobs[0]?.id ?? ''])
    assert.equal(pruned === null, hung !== 'prune')
    assert.equal(lost?.state === 'running', hung === 'rescue')
  })
}

test('a claim whose answer comes after it was given up is given back', async (t) => {
  const { raw, one, a } = pair(t, { tasks: [task({ name: 'job', run: () => 1 })] })
  const claim = one.store.claim.bind(one.store)
  let late: (() => void) | null = null
  let isFirst = true
  Object.assign(one.store, {
    claim: async (request: never) => {
      const answer = await claim(request)
      if (isFirst && answer.jobs.length > 0) {
        isFirst = false
        await new Promise<void>((resolve) => (late = resolve))
      }
      return answer
    },
  })
  const { id } = await a.client.enqueue('job', undefined)
  await a.work()
  await a.pass(41_000)
  assert.notEqual(late, null)
  const state = (await raw.get([id]))[0]?.state
  ;(late as unknown as () => void)()
  const record = await a.reach(id, 'completed')
  assert.equal(record.losses, 0, `it was ${state}`)
})

test('an at-most-once task is not run when its start cannot be written', async (t) => {
  let runs = 0
  const once = task({ name: 'once', losses: 0, run: () => void runs++ })
  const { a, one } = pair(t, { tasks: [once] })
  await a.work()
  one.fault = (call) => (call === 'note' ? new ErrandError('store-busy', 'no') : null)
  const { id } = await a.client.enqueue(once, undefined)
  await a.pass(1_000)
  assert.equal(runs, 0)
  assert.deepEqual(
    a.told.warnings.map(({ code }) => code),
    ['start-not-written'],
  )
  one.fault = noFault
  // Its start was not written, so the lost lease counts for nothing and the job runs.
  const record = await a.reach(id, 'completed')
  assert.deepEqual([runs, record.losses], [1, 0])
})

test('an at-most-once job that was lost after its start was written fails as lost and is not run again', async (t) => {
  const begun = gate()
  let runs = 0
  const once = task({
    name: 'once',
    losses: 0,
    run: () => {
      runs++
      begun.resolve()
      return new Promise(() => undefined)
    },
  })
  const { a, b, one, raw } = pair(t, { tasks: [once] })
  await a.work()
  const { id } = await a.client.enqueue(once, undefined)
  await a.pass(0)
  await begun.promise
  assert.notEqual((await raw.get([id]))[0]?.startedAt, null, 'the start is written before the run')
  one.fault = () => 'hang'
  await b.work()
  const record = await b.reach(id, 'failed')
  assert.deepEqual([record.reason, record.losses, runs], ['lost', 1, 1])
})

test('notes that cannot be written do not hold up their job', async (t) => {
  const job = task({ name: 'job', run: (_: undefined, { log }) => log.info('hello') })
  const { a, one } = pair(t, { tasks: [job] })
  one.fault = (call) => (call === 'note' ? new Error('no notes today') : null)
  await a.work()
  await a.reach((await a.client.enqueue(job, undefined)).id, 'completed')
  one.fault = noFault
  await a.pass(10_000)
  const calls = one.calls.get('note') ?? 0
  await a.pass(60_000)
  assert.equal(one.calls.get('note') ?? 0, calls, 'notes of ended jobs are not tried for ever')
})
