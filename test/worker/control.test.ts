/** What operators tell workers: stored, seen by those that run, and obeyed by those that start later. */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { createControl, type Control } from '../../src/client/control.ts'
import { createQueues } from '../../src/client/queues.ts'
import { listWorkers } from '../../src/client/workers.ts'
import { controlKey, type ControlVerb } from '../../src/core/control.ts'
import { isErrandError } from '../../src/core/errors.ts'
import { task } from '../../src/core/task.ts'
import type { Events } from '../../src/observe/events.ts'
import type { Store } from '../../src/store/store.ts'
import { memory, MemoryDatabase } from '../../src/stores/memory/index.ts'
import { VirtualClock } from '../../src/testing/virtual-clock.ts'
import { appOn, gate, inMemory, type Bench, type Config } from './harness.ts'

const plain = task({ name: 'plain', run: () => 1 })

interface Scene extends Bench {
  readonly control: Control
  readonly endings: Events['worker-ending'][]
  readonly paused: Events['worker-paused'][]
  readonly resumed: Events['worker-resumed'][]
}

function scene(t: TestContext, config: Config = { tasks: [plain] }): Scene {
  const bench = inMemory(t, config)
  const { app, client, jobs } = bench
  const endings: Events['worker-ending'][] = []
  const paused: Events['worker-paused'][] = []
  const resumed: Events['worker-resumed'][] = []
  app.events.on('worker-ending', (event) => endings.push(event))
  app.events.on('worker-paused', (event) => paused.push(event))
  app.events.on('worker-resumed', (event) => resumed.push(event))
  const control = createControl(client, createQueues(client, jobs))
  return { ...bench, control, endings, paused, resumed }
}

test('a paused group claims nothing, its running jobs go on, and others work', async (t) => {
  const held = gate()
  const long = task({ name: 'long', run: () => held.promise })
  const { client, control, work, pass, reach, paused, resumed } = scene(t, {
    tasks: [plain, long],
    queues: { mail: {} },
  })
  const api = await work({ group: 'api', queues: ['default'] })
  await work({ queues: ['mail'] })
  const running = await client.enqueue(long, undefined)
  await reach(running.id, 'running')
  await control.pause({ group: 'api' }, { note: 'upgrade', by: 'me' })
  await pass(2_000)
  assert.deepEqual(api.status.paused, ['control'])
  const waits = await client.enqueue(plain, undefined)
  const elsewhere = await client.enqueue(plain, undefined, { queue: 'mail' })
  await reach(elsewhere.id, 'completed')
  held.resolve()
  await reach(running.id, 'completed')
  await pass(60_000)
  await reach(waits.id, 'ready')
  const [order] = await control.list()
  assert.deepEqual(
    [order?.verb, order?.target, order?.by, order?.note],
    ['pause', { group: 'api' }, 'me', 'upgrade'],
  )
  await control.resume({ group: 'api' })
  await reach(waits.id, 'completed')
  assert.deepEqual(await control.list(), [])
  assert.deepEqual(paused, [{ worker: api.id, reasons: ['control'] }])
  assert.deepEqual(resumed, [{ worker: api.id }])
})

test('a worker that starts later obeys: paused it claims nothing', async (t) => {
  const { client, control, work, pass, reach } = scene(t)
  await control.pause({ all: true })
  const { id } = await client.enqueue(plain, undefined)
  const late = await work()
  assert.deepEqual(late.status.paused, ['control'])
  await pass(60_000)
  await reach(id, 'ready')
  await control.resume({ all: true })
  await reach(id, 'completed')
})

for (const [verb, name] of [
  ['stop', 'a worker of a group told to stop that starts later stops at once, until resumed'],
  ['drain', 'a worker of a group told to drain that starts later stops at once, until resumed'],
] as const) {
  test(name, async (t) => {
    const { client, control, work, until, reach, endings } = scene(t)
    await control[verb]({ group: 'api' }, { by: 'me' })
    const { id } = await client.enqueue(plain, undefined)
    const late = await work({ group: 'api' })
    await until('the worker to stop', () => late.status.state === 'stopped')
    assert.deepEqual(endings, [{ worker: late.id, why: verb, by: 'me', note: null }])
    await reach(id, 'ready')
    await control.resume({ group: 'api' })
    await work({ group: 'api' })
    await reach(id, 'completed')
  })
}

test('a drain stops a worker only when nothing runs, however long that takes', async (t) => {
  const held = gate()
  const long = task({ name: 'long', timeout: 'none', run: () => held.promise })
  const { client, control, work, pass, until, reach, endings } = scene(t, { tasks: [plain, long] })
  const worker = await work()
  const running = await client.enqueue(long, undefined)
  await reach(running.id, 'running')
  await control.drain({ worker: worker.id })
  await pass(600_000)
  assert.equal(worker.status.state, 'running')
  const waits = await client.enqueue(plain, undefined)
  await pass(60_000)
  await reach(waits.id, 'ready')
  held.resolve()
  await until('the worker to stop', () => worker.status.state === 'stopped')
  const done = await reach(running.id, 'completed')
  assert.equal(done.interruptions, 0)
  assert.deepEqual(
    endings.map(({ why }) => why),
    ['drain'],
  )
})

test('a drain that is resumed in time stops nothing', async (t) => {
  const held = gate()
  const long = task({ name: 'long', run: () => held.promise })
  const { client, control, work, pass, reach } = scene(t, { tasks: [plain, long] })
  const worker = await work()
  const running = await client.enqueue(long, undefined)
  await reach(running.id, 'running')
  await control.drain({ all: true })
  await pass(3_000)
  await control.resume({ all: true })
  await pass(3_000)
  held.resolve()
  const { id } = await client.enqueue(plain, undefined)
  await reach(id, 'completed')
  assert.equal(worker.status.state, 'running')
})

test('a stop is one as by a signal: what outlives the grace runs again, with no attempt burnt', async (t) => {
  const hang = task({
    name: 'hang',
    run: (_: undefined, job) =>
      new Promise((_resolve, reject) =>
        job.signal.addEventListener('abort', () => reject(job.signal.reason)),
      ),
  })
  const { client, control, work, until, reach } = scene(t, { tasks: [hang] })
  const worker = await work()
  const { id } = await client.enqueue(hang, undefined)
  await reach(id, 'running')
  await control.stop({ worker: worker.id })
  await until('the worker to stop', () => worker.status.state === 'stopped')
  const job = await reach(id, 'ready')
  assert.deepEqual([job.attempts, job.interruptions], [0, 1])
})

test('jobs of a paused task are put aside without a count, and others of its queue run', async (t) => {
  const old = task({ name: 'resize', aliases: ['shrink'], run: () => 1 })
  const { client, control, work, pass, reach } = scene(t, { tasks: [plain, old] })
  await work()
  await control.pause({ task: 'resize' })
  await pass(2_000)
  const waits = await client.enqueue(old, undefined)
  const other = await client.enqueue(plain, undefined)
  await reach(other.id, 'completed')
  await pass(30_000)
  const aside = await reach(waits.id, 'scheduled')
  assert.deepEqual([aside.attempts, aside.deferrals, aside.interruptions], [0, 0, 0])
  await control.resume({ task: 'resize' })
  await pass(35_000)
  assert.equal((await reach(waits.id, 'completed', 'scheduled')).state, 'completed')
})

test('workers restart one after another, each after the one before was replaced', async (t) => {
  const { control, work, until, endings, app } = scene(t)
  const first = await Promise.all([0, 1, 2].map(() => work({ group: 'api' })))
  const replaced: string[] = []
  let most = 0
  app.events.on('worker-ending', () => {
    const ending = first.filter(({ status }) => status.state !== 'running').length
    most = Math.max(most, ending - replaced.length)
  })
  app.events.on('worker-stopped', ({ worker }) => {
    if (!first.some(({ id }) => id === worker)) return
    void work({ group: 'api' }).then(({ id }) => replaced.push(id))
  })
  await control.restart({ group: 'api' })
  await until('all to be replaced', () => replaced.length === 3)
  assert.equal(endings.length, 3)
  assert.ok(endings.every(({ why }) => why === 'restart'))
  assert.equal(most, 0, 'one began before the one before it was replaced')
  const now = await listWorkers(clientOf(app))
  assert.equal(now.filter(({ state }) => state === 'running').length, 3)
})

test('the queue of an order is the pause of the queue, and it is listed', async (t) => {
  const { client, control, work, pass, reach, store } = scene(t)
  await work()
  await control.pause({ queue: 'default' })
  assert.deepEqual(await store.getRecords([controlKey]), [null])
  const { id } = await client.enqueue(plain, undefined)
  await pass(10_000)
  await reach(id, 'ready')
  assert.deepEqual(await control.list(), [
    { verb: 'pause', target: { queue: 'default' }, at: null, by: null, note: null },
  ])
  await control.resume({ queue: 'default' })
  await reach(id, 'completed')
})

test('orders that this version cannot read, or that cannot be read now, leave in force what was known', async (t) => {
  const { client, control, work, pass, reach, store, told } = scene(t)
  const worker = await work()
  await control.pause({ all: true })
  await pass(2_000)
  await store.putRecords([{ key: controlKey, text: '{"form":99}' }])
  await pass(30_000)
  assert.deepEqual(worker.status.paused, ['control'])
  assert.deepEqual(
    told.warnings.map(({ code }) => code),
    ['control-unreadable'],
  )
  await assert.rejects(control.pause({ all: true }), (error) =>
    isErrandError(error, 'store-too-new'),
  )
  await store.putRecords([{ key: controlKey, text: null }])
  const { id } = await client.enqueue(plain, undefined)
  await reach(id, 'completed')
})

test('while no order is given and nothing changes, a worker looks for one no more often than its poll', async (t) => {
  const inner = memory({ clock: new VirtualClock(), database: new MemoryDatabase() })
  let reads = 0
  const store: Store = {
    ...inner,
    getRecords(keys) {
      if (keys.includes(controlKey)) reads++
      return inner.getRecords(keys)
    },
  }
  const bench = appOn(t, store, { tasks: [plain] })
  await bench.work({ poll: '2m' })
  await bench.pass(230_000)
  assert.equal(reads, 3)
})

test('what cannot be obeyed is refused with one line', async (t) => {
  const { control, work } = scene(t)
  const worker = await work()
  const refused = async (call: Promise<void>, text: RegExp): Promise<void> => {
    await assert.rejects(call, (error) => {
      assert.ok(isErrandError(error), String(error))
      assert.match(error.message, text)
      return !error.message.includes('\n')
    })
  }
  const any = control as unknown as Record<ControlVerb, (...given: unknown[]) => Promise<void>>
  await refused(any.stop({ queue: 'default' }), /pause it/)
  await refused(any.pause({}), /one of queue, task, worker, group or all/)
  await refused(any.pause({ group: 'a', worker: 'b' }), /not worker and group/)
  await refused(any.pause({ grop: 'a' }), /Did you mean group/)
  await refused(any.pause({ group: 'half \ud83d' }), /half an emoji/)
  await refused(any.pause({ all: false }), /true/)
  await refused(control.pause({ all: true }, { note: 'x'.repeat(501) }), /500 characters/)
  await refused(control.stop({ worker: 'nobody' }), /No worker "nobody" runs/)
  for (let n = 0; n < 99; n++) await control.pause({ group: `g${n}` })
  await control.pause({ worker: worker.id })
  await control.pause({ group: 'g5' })
  await refused(control.pause({ group: 'one more' }), /100 orders/)
})

test('orders to a worker that has gone make room for others', async (t) => {
  const { control, work, until } = scene(t)
  const worker = await work()
  await control.pause({ worker: worker.id })
  const stopped = worker.stop()
  await until('the worker to stop', () => worker.status.state === 'stopped')
  await stopped
  await control.pause({ group: 'api' })
  assert.deepEqual(
    (await control.list()).map(({ target }) => target),
    [{ group: 'api' }],
  )
})

test('an order whose hint is lost is obeyed at the next poll', async (t) => {
  const inner = memory({ clock: new VirtualClock(), database: new MemoryDatabase() })
  const deaf: Store = { ...inner, watch: () => () => undefined }
  const bench = appOn(t, deaf, { tasks: [plain] })
  const worker = await bench.work()
  const control = createControl(bench.client, createQueues(bench.client, bench.jobs))
  await bench.pass(1_000)
  await control.pause({ all: true })
  await bench.pass(30_000)
  assert.deepEqual(worker.status.paused, ['control'])
  await control.resume({ all: true })
  await bench.pass(5_000)
  assert.deepEqual(worker.status.paused, [])
})

test('a worker is paused and resumed by its own program, before its start as well', async (t) => {
  const { client, worker, pass, reach, paused, resumed, app } = scene(t)
  const own = worker()
  own.pause()
  await own.start()
  const { id } = await client.enqueue(plain, undefined)
  await pass(60_000)
  await reach(id, 'ready')
  const [shown] = await listWorkers(clientOf(app))
  assert.deepEqual(shown?.paused, ['code'])
  own.resume()
  await reach(id, 'completed')
  assert.deepEqual([paused.length, resumed.length], [1, 1])
  assert.deepEqual(own.status.paused, [])
})

/** As much of a client as lists workers. */
function clientOf(app: Bench['app']): Bench['client'] {
  return { app, call: (make: (store: Bench['store']) => unknown) => make(app.store) } as never
}
