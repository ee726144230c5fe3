/** What Errand does with the messages of a source, whatever becomes of the store and the connection. */
import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { test, type TestContext } from 'node:test'
import * as z from 'zod'
import {
  createErrand,
  ErrandError,
  task,
  type Errand,
  type JobRecord,
  type SourceOptions,
} from '../../src/index.ts'
import { memory } from '../../src/stores/memory/index.ts'
import type { Store } from '../../src/store/index.ts'
import { eventually } from './eventually.ts'
import { Shelf } from './shelf.ts'

const add = task({
  name: 'add',
  input: z.object({ a: z.number(), b: z.number() }),
  run: ({ a, b }) => a + b,
})
const single = task({ name: 'single', unique: true, retention: 'none', run: () => 1 })
const last = task({ name: 'last', before: 'first', retention: 'none', run: () => 1 })
const first = task({ name: 'first', retention: 'none', run: () => 1 })
const brief = task({ name: 'brief', retention: 'none', run: () => 1 })
const tasks = [add, single, last, first, brief]

/** A store whose inserts a test may meddle with. */
function meddled(
  insert: (store: Store, ...args: Parameters<Store['insert']>) => ReturnType<Store['insert']>,
): Store {
  const store = memory()
  return new Proxy(store, {
    get(target, name) {
      if (name === 'insert') return (...args: Parameters<Store['insert']>) => insert(store, ...args)
      const value: unknown = Reflect.get(target, name)
      return typeof value === 'function' ? (value.bind(target) as unknown) : value
    },
  })
}

function started(
  context: TestContext,
  shelf: Shelf,
  options: SourceOptions = {},
  store = memory(),
): Errand {
  const errand = createErrand({ store, tasks, sources: [shelf.source(options)] })
  context.after(() => errand.close())
  errand.sources.start()
  return errand
}

const body = (name: string, input: unknown = {}): string => JSON.stringify({ name, input })
const jobsOf = async (
  errand: Errand,
): Promise<Awaited<ReturnType<Errand['jobs']['list']>>['jobs']> =>
  (await errand.jobs.list({ limit: 1_000 })).jobs

function wordsOf(job: JobRecord | undefined): string {
  return job?.runs.at(-1)?.error?.message ?? ''
}

test('a message is acknowledged after its job is stored, and not before', async (context) => {
  const shelf = new Shelf()
  const { promise: stored, resolve: store } = Promise.withResolvers<void>()
  let isAsked = false
  const slow = meddled(async (inner, jobs, options) => {
    if (jobs.length > 0) {
      isAsked = true
      await stored
    }
    return inner.insert(jobs, options)
  })
  shelf.put(body('brief'))
  started(context, shelf, {}, slow)
  await eventually(() => assert.ok(isAsked))
  await sleep(50)
  assert.deepEqual(shelf.acknowledged, [])
  store()
  await eventually(() => assert.equal(shelf.acknowledged.length, 1))
})

test('an insert whose outcome is unknown is repeated under the same id while the message is held', async (context) => {
  const shelf = new Shelf()
  const ids: string[] = []
  const losing = meddled(async (inner, jobs, options) => {
    const answers = await inner.insert(jobs, options)
    ids.push(...jobs.map(({ id }) => id))
    if (ids.length < 4) throw new ErrandError('unknown-outcome', 'the answer was lost')
    return answers
  })
  shelf.put(body('add', { a: 1, b: 2 }))
  const errand = started(context, shelf, {}, losing)
  await eventually(() => assert.equal(shelf.acknowledged.length, 1))
  assert.equal(new Set(ids).size, 1)
  assert.ok(ids.length >= 4)
  assert.deepEqual(shelf.givenBack, [])
  assert.equal((await jobsOf(errand)).length, 1)
})

test('what no job can be made of is parked once, told, and validated again by a retry', async (context) => {
  const shelf = new Shelf()
  for (const bad of ['nope', '{"name":"add","args":[1,2,3]}', body('add', { a: 'x', b: 1 })])
    shelf.put(bad, `id of ${bad}`, { 'correlation-id': 'c1' })
  const errand = started(context, shelf)
  const told: string[] = []
  errand.on('message-parked', ({ source, queue }) => told.push(`${source} ${queue}`))
  await eventually(() => assert.equal(shelf.acknowledged.length, 3))
  assert.deepEqual(told, Array(3).fill('shelf etl'))
  const parked = await jobsOf(errand)
  for (const { state, reason, task: name, headers } of parked) {
    assert.deepEqual([state, reason, name], ['failed', 'invalid-message', 'errand.message'])
    assert.deepEqual(headers, { 'correlation-id': 'c1' })
  }
  const [mistyped, surplus, nonsense] = parked
  assert.match(wordsOf(mistyped), /\ba\b/)
  assert.match(wordsOf(surplus), /2 positional args, not 3/)
  assert.match(wordsOf(nonsense), /not JSON/)
  // Delivered again after a crash, they are known.
  for (const bad of ['nope', body('add', { a: 'x', b: 1 })]) shelf.put(bad, `id of ${bad}`)
  await eventually(() => assert.equal(shelf.acknowledged.length, 5))
  assert.equal((await jobsOf(errand)).length, 3)
  // A retry reads the message again: it fits where the task has changed.
  const looser = task({
    name: 'add',
    input: z.object({ a: z.any(), b: z.any() }),
    run: ({ a }) => a,
  })
  const later = createErrand({ store: errand.store, tasks: [looser] })
  context.after(() => later.close())
  await later.worker().start()
  await later.jobs.retry([mistyped?.id ?? '', nonsense?.id ?? ''])
  await eventually(async () => {
    const jobs = await jobsOf(later)
    const made = jobs.find(({ task: name }) => name === 'add')
    assert.deepEqual([made?.state, made?.input], ['completed', { a: 'x', b: 1 }])
    assert.equal(jobs.find(({ id }) => id === nonsense?.id)?.state, 'failed')
  })
})

test('a message of a task that nobody knows is a ready job that waits', async (context) => {
  const shelf = new Shelf()
  shelf.put(body('unheard', { n: 1 }))
  const errand = started(context, shelf)
  await eventually(() => assert.equal(shelf.acknowledged.length, 1))
  const [job] = await jobsOf(errand)
  assert.deepEqual([job?.task, job?.state, job?.input], ['unheard', 'ready', { n: 1 }])
})

test('a message of 1 MiB is a job, whole; one byte more is too long', async (context) => {
  const shelf = new Shelf()
  const full = (bytes: number): string =>
    body('brief', 'x'.repeat(bytes - body('brief', '').length))
  const most = 1_024 * 1_024
  for (const bytes of [most, most + 1]) shelf.put(full(bytes), `${bytes} bytes`)
  const errand = started(context, shelf)
  await eventually(() => assert.equal(shelf.acknowledged.length, 2))
  assert.deepEqual(shelf.aside, [`${most + 1} bytes`])
  const ready = (await jobsOf(errand)).filter(({ state }) => state === 'ready')
  assert.deepEqual(
    ready.map(({ input }) => body('brief', input)),
    [full(most)],
  )
})

test('a message that is too long is set aside, and its job keeps the beginning', async (context) => {
  const shelf = new Shelf()
  shelf.put(body('add', { a: 'x'.repeat(1_200_000) }), 'long')
  const errand = started(context, shelf)
  await eventually(() => assert.equal(shelf.acknowledged.length, 1))
  assert.deepEqual(shelf.aside, ['long'])
  const [job] = await jobsOf(errand)
  assert.ok(job !== undefined)
  const { rest, size, body: kept } = job.input as { rest: string; size: number; body: string }
  assert.deepEqual([rest, size, kept.length], ['on the upper shelf', 1_200_000 + 31, 65_536])
  assert.match(wordsOf(job), /at most 1048576/)
})

test('with an id a message is one job, also after that has ended and is kept no more', async (context) => {
  const shelf = new Shelf()
  const names = ['brief', 'single', 'last']
  for (const name of names) shelf.put(body(name), name)
  const errand = started(context, shelf)
  const runs = new Map<string, number>()
  errand.on('run-ended', ({ task: name }) => runs.set(name, (runs.get(name) ?? 0) + 1))
  await errand.worker().start()
  await eventually(() =>
    assert.deepEqual([...runs.keys()].toSorted(), ['brief', 'first', 'last', 'single']),
  )
  for (const name of names) shelf.put(body(name), name)
  await eventually(() => assert.equal(shelf.acknowledged.length, 6))
  await sleep(300)
  assert.deepEqual([...runs.values()], [1, 1, 1, 1])
})

test('without an id, equal bodies are repeats for those who say so, and only for them', async (context) => {
  const [hashing, plain] = [new Shelf(), new Shelf()]
  for (const shelf of [hashing, plain])
    for (let n = 0; n < 3; n++) shelf.put(body('add', { a: 1, b: 1 }))
  const counts: number[] = []
  for (const [shelf, identity] of [
    [hashing, 'hash'],
    [plain, 'message'],
  ] as const) {
    const errand = started(context, shelf, { identity })
    await eventually(() => assert.equal(shelf.acknowledged.length, 3))
    counts.push((await jobsOf(errand)).length)
  }
  assert.deepEqual(counts, [1, 3])
})

test('while the store is away no more is held than prefetch says, and then all is stored once', async (context) => {
  const shelf = new Shelf()
  let isAway = true
  const failing = meddled(async (inner, ...args) => {
    if (isAway) throw new ErrandError('store-unavailable', 'away')
    return inner.insert(...args)
  })
  for (let n = 0; n < 100; n++) shelf.put(body('add', { a: n, b: n }), `m${n}`)
  const errand = started(context, shelf, { prefetch: { messages: 10 } }, failing)
  await eventually(() => assert.ok((errand.sources.status[0]?.storeFailures ?? 0) > 1))
  assert.deepEqual([shelf.mostHeld, shelf.connects], [10, 1])
  // What a lost connection held comes again.
  shelf.cut()
  await eventually(() => assert.equal(shelf.connects, 2))
  assert.ok(shelf.mostHeld <= 10)
  isAway = false
  await eventually(() => assert.equal(shelf.acknowledged.length, 100))
  assert.equal((await jobsOf(errand)).length, 100)
  assert.equal(errand.sources.status[0]?.storeFailures, 0)
})

test('a source whose acknowledgements fail is not asked at full speed', async (context) => {
  const shelf = new Shelf()
  shelf.deaf = new Error('it does not hear')
  for (let n = 0; n < 5; n++) shelf.put(body('add', { a: n, b: n }), `m${n}`)
  const errand = started(context, shelf)
  await sleep(1_500)
  assert.ok(shelf.connects <= 12, `${shelf.connects} connections`)
  assert.match(errand.sources.status[0]?.lastError ?? '', /does not hear/)
  shelf.deaf = null
  await eventually(() => assert.equal(shelf.acknowledged.length, 5))
  assert.equal((await jobsOf(errand)).length, 5)
})

test('a stop stores what it can and gives the rest back', async (context) => {
  const shelf = new Shelf()
  const stuck = meddled(async (inner, jobs, options) => {
    if (jobs.some(({ input }) => input.includes('7'))) throw new ErrandError('store-busy', 'held')
    return inner.insert(jobs, options)
  })
  const errand = started(context, shelf, {}, stuck)
  await eventually(() => assert.equal(errand.sources.status[0]?.state, 'connected'))
  shelf.put(body('add', { a: 7, b: 7 }))
  await eventually(() => assert.equal(errand.sources.status[0]?.held.messages, 1))
  await errand.sources.stop()
  assert.deepEqual(shelf.givenBack, [body('add', { a: 7, b: 7 })])
  assert.equal(errand.sources.status[0]?.state, 'stopped')
  assert.deepEqual(await jobsOf(errand), [])
})

test('what cannot work is refused when the app is made', () => {
  const make = (...sources: unknown[]): unknown =>
    createErrand({ store: memory(), sources: sources as never })
  const shelf = new Shelf()
  assert.throws(() => make(7), /must be a source/)
  assert.throws(() => make(shelf.source(), shelf.source()), /two sources called shelf/)
  assert.throws(() => make(shelf.source({ prefetch: { messages: 0 } })), /prefetch.messages/)
  assert.throws(() => make(shelf.source({ identity: 'body' as never })), /identity/)
  assert.throws(() => make(shelf.source({ dedupe: 'a day' as never })), /dedupe/)
})
