import assert from 'node:assert/strict'
import test from 'node:test'
import { createErrand, Discard, task, type BatchEnd, type Entry, type Errand } from '../../index.ts'
import { memory, MemoryDatabase } from '../../stores/memory/index.ts'
import { drain } from '../../testing/drain.ts'
import { App } from '../../app/app.ts'
import { Client } from '../../client/client.ts'
import { batchJobs, mostBatchJobs } from './batch.ts'

const told: unknown[] = []
const ran: number[] = []
const member = task({
  name: 'member',
  retry: 'never',
  run(n: number) {
    ran.push(n)
    if (n % 10 === 1) throw new Error('no')
    if (n % 10 === 2) throw new Discard('nothing to do')
    return n
  },
})
const report = task({ name: 'report', run: (ended: BatchEnd) => void told.push(ended) })
const tell = task({ name: 'tell', run: (input: unknown) => void told.push(input) })
const once = task({ name: 'once', unique: true, run: (n: number) => n })

/** An app with a worker, unless nothing is to run. */
async function app(
  t: { after: (end: () => Promise<void>) => void },
  worker: 'worker' | 'none' = 'worker',
): Promise<Errand> {
  told.length = 0
  ran.length = 0
  const store = memory({ database: new MemoryDatabase() })
  const errand = createErrand({ store, tasks: [member, report, tell, once] })
  t.after(() => errand.close())
  if (worker === 'worker') await errand.worker().start()
  return errand
}

function entries(count: number): readonly (readonly [typeof member, number])[] {
  return Array.from({ length: count }, (_, n) => [member, n] as const)
}

async function ended(errand: Errand, batch: string, name: string): Promise<void> {
  const { jobs } = await errand.jobs.list({ group: batch, task: name })
  assert.equal(jobs.length, 1)
  await errand.jobs.result(jobs[0]?.id ?? '')
}

async function left(errand: Errand): Promise<number> {
  const counts = await errand.store.counts()
  return counts.reduce((sum, { count }) => sum + count, 0)
}

test('a callback runs once when all jobs have ended, and is told how', async (t) => {
  for (const count of [0, 1, 100, 101, 350]) {
    const errand = await app(t)
    const run = await errand.batch(entries(count), { onEnd: report, name: 'mails' })
    const summary: BatchEnd = await run.result()
    await ended(errand, run.id, 'report')
    const failed = Math.ceil((count - 1) / 10)
    const discarded = Math.ceil((count - 2) / 10)
    const expected = {
      id: run.id,
      total: count,
      completed: count - Math.max(0, failed) - Math.max(0, discarded),
      failed: Math.max(0, failed),
      cancelled: 0,
      discarded: Math.max(0, discarded),
    }
    assert.deepEqual(told, [expected])
    assert.deepEqual(summary, expected)
    assert.equal(ran.length, count)
    const status = await run.status()
    assert.deepEqual(
      [status?.workflow, status?.state, status?.total],
      ['mails', 'completed', count],
    )
    const { runs } = await errand.workflows.list()
    assert.deepEqual(
      runs.map(({ id }) => id),
      [run.id],
    )
  }
})

test('the input of a callback may refer to how the batch ended', async (t) => {
  const errand = await app(t)
  const run = await errand.batch(entries(3), {
    onEnd: [tell, (batch) => ({ month: 'May', of: batch.total, failed: batch.failed })],
  })
  await run.result()
  await ended(errand, run.id, 'tell')
  assert.deepEqual(told, [{ month: 'May', of: 3, failed: 1 }])
})

test('the input of a callback may be its own', async (t) => {
  const errand = await app(t)
  const run = await errand.batch(entries(3), {
    onEnd: [tell, { month: 'May' }, { queue: 'default' }],
  })
  await run.result()
  await ended(errand, run.id, 'tell')
  assert.deepEqual(told, [{ month: 'May' }])
})

test('a batch that is cancelled ends when its jobs have, and its callback is told', async (t) => {
  const errand = await app(t, 'none')
  const run = await errand.batch(entries(250), { onEnd: report })
  assert.equal((await run.status())?.total, 250)
  assert.equal(await run.cancel('not any more'), 250)
  await errand.worker().start()
  assert.deepEqual(await run.result(), {
    id: run.id,
    total: 250,
    completed: 0,
    failed: 0,
    cancelled: 250,
    discarded: 0,
  })
  await ended(errand, run.id, 'report')
  assert.equal(told.length, 1)
  assert.equal(ran.length, 0)
})

test('the status of a large batch counts what parts of it have counted, and looks at few of its jobs', async (t) => {
  const errand = await app(t, 'none')
  const run = await errand.batch(entries(1_500))
  // Those of the last step wait for no gate.
  assert.deepEqual((await run.status())?.counts, { ready: 100, blocked: 900 })
  await errand.worker().start()
  await run.result()
  const { counts } = (await run.status()) ?? {}
  assert.deepEqual(counts, { completed: 1_200, failed: 150, discarded: 150 })
})

test('more than the most jobs are refused, of a list before anything is stored', async (t) => {
  const errand = await app(t, 'none')
  const tooMany = { code: 'too-large', message: /at most 100000 jobs/ }
  const one = [member, 0] as const
  const many = Array.from({ length: mostBatchJobs + 1 }, () => one)
  await assert.rejects(errand.batch(many), tooMany)
  assert.equal(await left(errand), 0)
  // Of those that come one by one, fewer are the most here.
  const client = new Client(new App({ store: errand.store, tasks: [member] }, process.cwd()))
  let made = 0
  const making = async (): Promise<void> => {
    const group = '0198c5d4-0000-7000-8000-00000000ba7c'
    for await (const { task: name } of batchJobs(client, many.values(), {}, { group }, 150))
      if (name === 'member') made += 1
  }
  await assert.rejects(making(), tooMany)
  assert.equal(made, 150)
})

test('how jobs ended is told whatever their retention says', async (t) => {
  told.length = 0
  const store = memory({ database: new MemoryDatabase() })
  const errand = createErrand({ store, tasks: [member, report], retention: 'none' })
  t.after(() => errand.close())
  const run = await errand.batch(entries(350), { onEnd: report })
  await drain(errand)
  const expected = { completed: 280, failed: 35, cancelled: 0, discarded: 35 }
  assert.deepEqual(told, [{ id: run.id, total: 350, ...expected }])
})

test('an iterable that fails, or gives a bad entry, leaves nothing behind', async (t) => {
  const errand = await app(t)
  async function* failing(): AsyncGenerator<Entry> {
    for (let n = 0; n < 1_000; n += 1) yield [member, n]
    throw new Error('the cursor was closed')
  }
  await assert.rejects(errand.batch(failing(), { onEnd: report }), /the cursor was closed/)
  function* bad(): Generator<Entry> {
    for (let n = 0; n < 700; n += 1) yield [member, n]
    yield [once, 1]
  }
  await assert.rejects(errand.batch(bad()), {
    code: 'invalid-option',
    message: /batch\(\), entry 700: once is unique/,
    details: { index: 700 },
  })
  assert.equal(await left(errand), 0)
  assert.deepEqual(ran, [])
})

test('entries of an async iterable are asked for as they are stored, not all at once', async (t) => {
  const errand = await app(t, 'none')
  let given = 0
  let most = 0
  const insert = errand.store.insert.bind(errand.store)
  let stored = 0
  errand.store.insert = (jobs, options) => {
    most = Math.max(most, given - stored)
    stored += jobs.filter((job) => job.task === 'member').length
    return insert(jobs, options)
  }
  async function* counted(): AsyncGenerator<Entry> {
    for (; given < 3_000; given += 1) yield [member, given]
  }
  await errand.batch(counted())
  assert.equal(stored, 3_000)
  assert.ok(most < 500, `${most} jobs were held at once`)
})

test('a repeated start of one id adds nothing', async (t) => {
  const errand = await app(t)
  const id = '0198c5d4-0000-7000-8000-00000000ba7c'
  const run = await errand.batch(entries(120), { id, onEnd: report })
  await run.result()
  await ended(errand, id, 'report')
  const again = await errand.batch(entries(120), { id, onEnd: report })
  assert.equal((await again.result()).total, 120)
  assert.deepEqual([told.length, ran.length], [1, 120])
})

test('mistakes are refused in one line', async (t) => {
  const errand = await app(t, 'none')
  const refused = (promise: Promise<unknown>, message: RegExp): Promise<void> =>
    assert.rejects(promise, { code: 'invalid-option', message })
  await refused(errand.batch(5 as never), /batch\(\) takes entries/)
  await refused(
    errand.batch([], { onEnds: report } as never),
    /no option onEnds. Did you mean onEnd/,
  )
  await refused(errand.batch([[member, 1, { group: 'x' }]]), /entry 0 takes no group/)
  await refused(
    errand.batch([], { onEnd: [tell, 1, { inline: true } as never] }),
    /onEnd takes no inline/,
  )
  await refused(errand.batch([], { id: 'x' }), /is no id of a run/)
  await refused(errand.batch([5 as never]), /entry 0 must be a list of a task/)
  assert.equal(await left(errand), 0)
})
