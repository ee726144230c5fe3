/**
 * Every public function refuses what it cannot mean: called from JavaScript with values of every wrong kind, it throws an `ErrandError` of one
 * line, and no error of the language. What a value of the wrong kind may mean after all stands beside the function.
 */
import assert from 'node:assert/strict'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { after } from 'node:test'
import { inspect } from 'node:util'
import {
  constant,
  createErrand,
  exponential,
  isErrandError,
  linear,
  singleton,
  task,
  tasksWith,
} from '../src/index.ts'
import { consulLiveness, consulLocks } from '../src/singleton/consul.ts'
import { fileLiveness, httpLiveness } from '../src/singleton/liveness/index.ts'
import { etcdLocks } from '../src/singleton/locks/etcd.ts'
import { influxdb } from '../src/singleton/metrics/influxdb.ts'
import { memory } from '../src/stores/memory/index.ts'
import { postgres } from '../src/stores/postgres/index.ts'
import { redis } from '../src/stores/redis/index.ts'
import { sqlite } from '../src/stores/sqlite/index.ts'
import { drain, expectEnqueued, runTask, testErrand, VirtualClock } from '../src/testing/index.ts'

/** Values of every kind. Their names say in the tables below what a function takes. */
const kinds: Readonly<Record<string, unknown>> = {
  undefined: undefined,
  null: null,
  zero: 0,
  minus: -1,
  number: 5.5,
  nan: Number.NaN,
  bigint: 5n,
  text: 'x',
  empty: '',
  true: true,
  false: false,
  list: [],
  listOfNothing: [undefined],
  object: {},
  unknownName: { noSuchOption: 1 },
  function: () => 1,
  symbol: Symbol('s'),
  invalidDate: new Date(Number.NaN),
}

// Any value at all is handed in, as JavaScript lets you.
type Call = (value: never) => unknown
type Door = readonly [call: Call, takes: string]

const hello = task({ name: 'hello', run: () => 1 })
const loop = singleton({ name: 'loop', run: () => 1 })
const errand = createErrand({ store: memory(), tasks: [hello], singletons: [loop] })
const clock = new VirtualClock()
const file = join(tmpdir(), 'errand-doors.db')
const run = (): number => 1
after(() => errand.close())

/** A date and an empty object have no options that could be wrong: they are options with nothing in them. */
const noOptions = 'undefined object invalidDate'
const durations = 'zero number'

const doors: Readonly<Record<string, Door>> = {
  task: [(v) => task(v), ''],
  'task.name': [(name) => task({ name, run }), 'text'],
  'task.run': [(f) => task({ name: 'x', run: f }), 'undefined function'],
  'task().run': [(f) => task({ name: 'x' }).run(f), 'function'],
  'task.aliases': [(aliases) => task({ name: 'x', aliases, run }), 'undefined list'],
  'task.queue': [(queue) => task({ name: 'x', queue, run }), 'undefined text'],
  'task.codec': [(codec) => task({ name: 'x', codec, run }), 'undefined'],
  'task.input': [(input) => task({ name: 'x', input, run }), 'undefined'],
  'task.output': [(output) => task({ name: 'x', output, run }), 'undefined'],
  'task.priority': [(priority) => task({ name: 'x', priority, run }), 'undefined zero minus'],
  'task.retry': [(retry) => task({ name: 'x', retry, run }), `${noOptions} false`],
  'task.retry.limit': [(limit) => task({ name: 'x', retry: { limit }, run }), 'undefined zero'],
  'task.retry.backoff': [
    (backoff) => task({ name: 'x', retry: { backoff }, run }),
    'undefined function',
  ],
  'task.retry.when': [(when) => task({ name: 'x', retry: { when }, run }), 'undefined function'],
  'task.postpone': [(postpone) => task({ name: 'x', postpone, run }), noOptions],
  'task.unique': [(unique) => task({ name: 'x', unique, run }), `${noOptions} true false`],
  'task.unique.key': [
    (key) => task({ name: 'x', unique: { key }, run }),
    'undefined text function',
  ],
  'task.unique.during': [(during) => task({ name: 'x', unique: { during }, run }), 'undefined'],
  'task.unique.maxWait': [
    (maxWait) => task({ name: 'x', unique: { onConflict: 'replace', maxWait }, run }),
    `undefined ${durations}`,
  ],
  'task.unique.onConflict': [
    (onConflict) => task({ name: 'x', unique: { onConflict }, run }),
    'undefined',
  ],
  'task.timeout': [(timeout) => task({ name: 'x', timeout, run }), 'undefined number'],
  'task.losses': [(losses) => task({ name: 'x', losses, run }), 'undefined zero'],
  'task.retention': [
    (retention) => task({ name: 'x', retention, run }),
    `${noOptions} ${durations}`,
  ],
  'task.onSuccess': [(onSuccess) => task({ name: 'x', onSuccess, run }), 'undefined text list'],
  'task.onFailure': [(onFailure) => task({ name: 'x', onFailure, run }), 'undefined text list'],
  'tasksWith().task': [(v) => tasksWith<object>().task(v), ''],
  constant: [(v) => constant(v), durations],
  linear: [(v) => linear(v), durations],
  'linear.max': [(max) => linear({ step: 5, max }), `undefined ${durations}`],
  exponential: [(v) => exponential(v), noOptions],
  'exponential.factor': [(factor) => exponential({ factor }), 'undefined number'],
  'exponential.jitter': [(jitter) => exponential({ jitter }), 'undefined'],
  createErrand: [(v) => createErrand(v), ''],
  'createErrand.store': [(store) => createErrand({ store }), ''],
  'createErrand.tasks': [
    (tasks) => createErrand({ store: memory(), tasks }),
    'undefined text list object unknownName invalidDate',
  ],
  'createErrand.queues': [(queues) => createErrand({ store: memory(), queues }), noOptions],
  'createErrand.queues.a': [
    (a) => createErrand({ store: memory(), queues: { a } }),
    'object invalidDate',
  ],
  'createErrand.slots': [(slots) => createErrand({ store: memory(), slots }), 'undefined'],
  'createErrand.lease': [(lease) => createErrand({ store: memory(), lease }), 'undefined'],
  'createErrand.poll': [(poll) => createErrand({ store: memory(), poll }), 'undefined zero number'],
  'createErrand.context': [
    (context) => createErrand({ store: memory(), context }),
    'undefined function',
  ],
  'createErrand.codec': [(codec) => createErrand({ store: memory(), codec }), 'undefined'],
  'createErrand.codecs': [(codecs) => createErrand({ store: memory(), codecs }), 'undefined list'],
  'createErrand.log': [(log) => createErrand({ store: memory(), log }), 'undefined function'],
  'createErrand.singletons': [
    (singletons) => createErrand({ store: memory(), singletons }),
    'undefined list',
  ],
  'createErrand.noSuchName': [(v) => createErrand({ store: memory(), quues: v } as never), ''],
  withStore: [(v) => errand.withStore(v), ''],
  'enqueue task': [(v) => errand.enqueue(v), ''],
  'enqueue options': [(v) => errand.enqueue('hello', 1, v), noOptions],
  'enqueue.queue': [(queue) => errand.enqueue('hello', 1, { queue }), 'undefined'],
  'enqueue.runAt': [(runAt) => errand.enqueue('hello', 1, { runAt }), 'undefined'],
  'enqueue.delay': [(delay) => errand.enqueue('hello', 1, { delay }), `undefined ${durations}`],
  'enqueue.inline': [(inline) => errand.enqueue('hello', 1, { inline }), 'undefined true false'],
  'enqueue.onSuccess': [
    (onSuccess) => errand.enqueue('hello', 1, { onSuccess }),
    'undefined text list',
  ],
  'enqueue.unique': [(unique) => errand.enqueue('hello', 1, { unique }), `${noOptions} true false`],
  enqueueMany: [(v) => errand.enqueueMany(v), 'list'],
  'enqueueMany entry': [(v) => errand.enqueueMany([v] as never), ''],
  'enqueueMany options': [(v) => errand.enqueueMany([], v), noOptions],
  'jobs.get': [(v) => errand.jobs.get(v), 'text'],
  'jobs.logs': [(v) => errand.jobs.logs(v), 'text'],
  'jobs.take': [(v) => errand.jobs.take(v), 'text'],
  'jobs.result': [(v) => errand.jobs.result(v, { timeout: 1 }), ''],
  'jobs.result options': [(v) => errand.jobs.result('0198c5d4-0000-7000-8000-000000000000', v), ''],
  'jobs.list': [(v) => errand.jobs.list(v), noOptions],
  'jobs.list.limit': [(limit) => errand.jobs.list({ limit }), 'undefined'],
  'jobs.list.state': [(state) => errand.jobs.list({ state }), 'list'],
  'jobs.cancel': [(v) => errand.jobs.cancel(v), 'text list object invalidDate'],
  'jobs.cancel options': [(v) => errand.jobs.cancel([], v), noOptions],
  'jobs.cancel.reason': [
    (reason) => errand.jobs.cancel([], { reason }),
    'undefined null text empty',
  ],
  'jobs.retry': [(v) => errand.jobs.retry(v), 'text list object invalidDate'],
  'jobs.remove': [(v) => errand.jobs.remove(v), 'text list object invalidDate'],
  'jobs.remove.signal': [(signal) => errand.jobs.remove([], { signal }), 'undefined'],
  'jobs.remove.onProgress': [
    (onProgress) => errand.jobs.remove([], { onProgress }),
    'undefined function',
  ],
  'queues.pause': [(v) => errand.queues.pause(v), 'text'],
  'queues.resume': [(v) => errand.queues.resume(v), 'text'],
  'queues.purge': [(v) => errand.queues.purge(v), 'text'],
  worker: [(v) => errand.worker(v), noOptions],
  'worker.queues': [(queues) => errand.worker({ queues }), 'undefined'],
  'worker.slots': [(slots) => errand.worker({ slots }), 'undefined'],
  'worker.poll': [(poll) => errand.worker({ poll }), 'undefined'],
  'worker().stop': [(v) => errand.worker().stop(v), noOptions],
  on: [(v) => errand.on(v, run), ''],
  'on listener': [(v) => errand.on('warning', v), 'function'],
  singleton: [(v) => singleton(v), ''],
  'singleton.run': [(f) => singleton({ name: 'x', run: f }), 'function'],
  'singleton.keepLock': [
    (keepLock) => singleton({ name: 'x', keepLock, run }),
    'undefined true false',
  ],
  'singleton.lock': [(lock) => singleton({ name: 'x', lock, run }), 'undefined text empty'],
  'singleton.liveness': [(liveness) => singleton({ name: 'x', liveness, run }), 'undefined list'],
  'singleton.metrics': [(metrics) => singleton({ name: 'x', metrics, run }), 'undefined list'],
  'singleton.options': [
    (options) => singleton({ name: 'x', options, run }),
    'undefined object invalidDate list',
  ],
  'singletons.find': [(v) => errand.singletons.find(v), ''],
  'singletons.run': [(v) => errand.singletons.run('loop', v), ''],
  'singletons.run.signal': [(signal) => errand.singletons.run('loop', { signal }), ''],
  'singletons.check': [(v) => errand.singletons.check('loop', v), 'number'],
  'singletons.trigger': [(v) => errand.singletons.trigger(v), ''],
  memory: [(v) => memory(v), noOptions],
  'memory.clock': [(v) => memory({ clock: v }), 'undefined'],
  'memory.database': [(database) => memory({ database }), 'undefined'],
  sqlite: [(v) => sqlite(v), 'text'],
  'sqlite options': [(v) => sqlite(file, v), noOptions],
  'sqlite.durability': [(durability) => sqlite(file, { durability }), 'undefined'],
  'sqlite.clock': [(v) => sqlite(file, { clock: v }), 'undefined'],
  'sqlite.callDeadlineMs': [
    (callDeadlineMs) => sqlite(file, { callDeadlineMs }),
    'undefined number',
  ],
  postgres: [(v) => postgres(v), ''],
  'postgres options': [(v) => postgres('postgres://host/db', v), noOptions],
  'postgres.schema': [(schema) => postgres('postgres://host/db', { schema }), 'undefined text'],
  'postgres.prepare': [
    (prepare) => postgres('postgres://host/db', { prepare }),
    'undefined true false',
  ],
  'postgres.listen': [
    (listen) => postgres('postgres://host/db', { listen }),
    'undefined true false',
  ],
  'postgres.clock': [(v) => postgres('postgres://host/db', { clock: v }), 'undefined'],
  'postgres.callDeadlineMs': [
    (callDeadlineMs) => postgres('postgres://host/db', { callDeadlineMs }),
    'undefined number',
  ],
  redis: [(v) => redis(v), ''],
  'redis nodes': [(v) => redis([v]), ''],
  'redis options': [(v) => redis('redis://host', v), noOptions],
  'redis.prefix': [(prefix) => redis('redis://host', { prefix }), 'undefined text'],
  'redis.partitions': [(partitions) => redis('redis://host', { partitions }), 'undefined'],
  'redis.testClock': [(testClock) => redis('redis://host', { testClock }), 'undefined true false'],
  consulLocks: [(v) => consulLocks(v), noOptions],
  'consulLocks.url': [(url) => consulLocks({ url }), 'undefined'],
  'consulLocks.token': [(token) => consulLocks({ token }), 'undefined text empty'],
  'consulLocks.tls': [(tls) => consulLocks({ tls }), noOptions],
  'consulLocks.retries': [(retries) => consulLocks({ retries }), 'undefined zero'],
  consulLiveness: [(v) => consulLiveness(v), noOptions],
  etcdLocks: [(v) => etcdLocks(v), noOptions],
  'etcdLocks.password': [(password) => etcdLocks({ password }), 'undefined text empty'],
  influxdb: [(v) => influxdb(v), ''],
  'influxdb.database': [(database) => influxdb({ database }), 'text'],
  'influxdb.buffer': [(buffer) => influxdb({ database: 'd', buffer }), 'undefined'],
  'influxdb.onError': [(onError) => influxdb({ database: 'd', onError }), 'undefined function'],
  fileLiveness: [(v) => fileLiveness(v), ''],
  'fileLiveness.path': [(path) => fileLiveness({ path }), 'text'],
  httpLiveness: [(v) => httpLiveness(v), ''],
  'httpLiveness.host': [(host) => httpLiveness({ port: 1, host }), 'undefined text'],
  testErrand: [(v) => testErrand(v), `${noOptions} list`],
  'testErrand.clock': [(v) => testErrand({ clock: v }), 'undefined'],
  drain: [(v) => drain(v), ''],
  'drain options': [(v) => drain(testErrand(), v), noOptions],
  'drain.until': [(until) => drain(testErrand(), { until }), 'undefined'],
  expectEnqueued: [(v) => expectEnqueued(v, hello), ''],
  'expectEnqueued task': [(v) => expectEnqueued(errand, v).catch(unlessAsserted), 'text'],
  runTask: [(v) => runTask(v, undefined as never), ''],
  'runTask options': [(v) => runTask(hello, undefined, v), noOptions],
  'runTask.attempt': [(attempt) => runTask(hello, undefined, { attempt }), 'undefined'],
  'runTask.signal': [(signal) => runTask(hello, undefined, { signal }), 'undefined'],
  VirtualClock: [(v) => new VirtualClock(v), `undefined ${durations}`],
  'VirtualClock().advance': [(v) => clock.advance(v), durations],
}

for (const [name, [call, takes]] of Object.entries(doors)) {
  test(`${name} refuses what it cannot mean with one line`, async () => {
    for (const [kind, value] of Object.entries(kinds)) {
      const taken = takes.split(' ').includes(kind)
      const refusal = await refusalOf(call, value)
      if (taken) assert.equal(refusal, null, `${kind} is taken: ${inspect(refusal)}`)
      else assertOneLine(refusal, kind)
    }
  })
}

function unlessAsserted(error: unknown): void {
  if (!(error instanceof assert.AssertionError)) throw error
}

async function refusalOf(call: Call, value: unknown): Promise<unknown> {
  try {
    await call(value as never)
    return null
  } catch (error) {
    return error
  }
}

function assertOneLine(refusal: unknown, kind: string): void {
  assert.ok(refusal !== null, `${kind} is taken`)
  assert.ok(isErrandError(refusal), `${kind}: ${inspect(refusal)}`)
  assert.doesNotMatch(refusal.message, /\n/, kind)
  assert.ok(refusal.message.length < 400, refusal.message)
}

test('retry: false never retries', async () => {
  const store = memory()
  const broken = task({ name: 'broken', retry: false, run: () => Promise.reject(new Error('no')) })
  const app = createErrand({ store, tasks: [broken] })
  await app.worker().start()
  const job = await app.enqueue(broken)
  await assert.rejects(job.result(), { code: 'job-failed' })
  assert.equal((await app.jobs.get(job.id))?.attempt, 1)
  await app.close()
})

test('an unknown name is told the nearest known one', () => {
  assert.throws(() => errand.on('run-endd' as never, run), /Did you mean run-ended\?/)
  assert.throws(() => memory({ clok: 1 } as never), /Did you mean clock\?/)
  assert.throws(() => errand.worker({ slot: 1 } as never), /Did you mean slots\?/)
})

test('no message shows a password that stands in the wrong place', () => {
  const url = 'redis://:secret@host'
  const calls: readonly (() => unknown)[] = [
    () => createErrand(url as never),
    () => createErrand({ store: url as never }),
    () => memory(url as never),
    () => sqlite(url),
    () => postgres(url),
    () => postgres('postgres://me:se/secret@host/db'),
    () => redis('redis://:12/secret@host'),
    () => redis('redis://host', url as never),
    () => redis([url, 'redis://:x/secret@host']),
    () => consulLocks({ url }),
    () => consulLocks(url as never),
    () => influxdb({ url, database: 'd' }),
    () => postgres('postgres://host/db', { listen: 'postgres://me:x/secret@host' }),
    () => etcdLocks({ password: ['secret'] as never }),
  ]
  for (const call of calls) {
    assert.throws(call, (error) => {
      assert.ok(isErrandError(error, 'invalid-option'), String(error))
      assert.doesNotMatch(`${error.message} ${JSON.stringify(error.details)}`, /secret/)
      return true
    })
  }
})
