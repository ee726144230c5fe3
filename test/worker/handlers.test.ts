import assert from 'node:assert/strict'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { Codec } from '../../src/core/codec.ts'
import { Postpone } from '../../src/core/instructions.ts'
import { task, tasksWith } from '../../src/core/task.ts'
import type { NewJob } from '../../src/store/job.ts'
import { MemoryDatabase, memory } from '../../src/stores/memory/index.ts'
import { sqlite } from '../../src/stores/sqlite/index.ts'
import { VirtualClock } from '../../src/testing/virtual-clock.ts'
import { appOn, gate, inMemory, newFile, onSqlite } from './harness.ts'

const backwards: Codec = {
  name: 'backwards',
  encode: (text) => text.split('').toReversed().join(''),
  decode: (text) => text.split('').toReversed().join(''),
}

/** A job as another program may have stored it. */
function foreign(given: Partial<NewJob>): NewJob {
  return {
    id: crypto.randomUUID(),
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
    ...given,
  }
}

for (const [name, bench] of [
  ['memory', inMemory],
  ['sqlite', onSqlite],
] as const) {
  test(`${name}: the last progress and the log lines stay with the job, at most 1,000 of them`, async (t) => {
    const chatty = task({
      name: 'chatty',
      run: (_: undefined, job) => {
        job.progress(0.5)
        job.log.info('begun', { of: 3 })
        job.log.warn('x'.repeat(20_000))
        const circle: { self?: object } = {}
        circle.self = circle
        job.log.error('round', circle)
        for (let i = 0; i < 1_500; i++) job.log.debug(`line ${i}`)
        job.progress({ done: 3, of: 3 })
      },
    })
    const { client, work, reach, jobs } = bench(t, { tasks: [chatty] })
    await work()
    const { id } = await client.enqueue(chatty, undefined)
    const job = await reach(id, 'completed')
    assert.deepEqual(job.progress, { done: 3, of: 3 })
    const lines = await jobs.logs(id)
    assert.equal(lines.length, 1_000)
    assert.deepEqual([lines[0]?.level, lines[0]?.text], ['info', 'begun {"of":3}'])
    assert.ok((lines[1]?.text.length ?? 0) < 10_100)
    assert.match(lines[2]?.text ?? '', /^round \(.*circular/)
  })

  test(`${name}: stored input that no longer fits, or no JSON, fails at once as invalid-input`, async (t) => {
    let runs = 0
    const input = {
      '~standard': {
        version: 1 as const,
        vendor: 'test',
        validate: (value: unknown) =>
          typeof value === 'number' ? { value: value + 1 } : { issues: [{ message: 'no number' }] },
      },
    }
    const strict = task({ name: 'strict', input, run: (n: unknown) => (runs++, n) })
    const { store, work, reach } = bench(t, { tasks: [strict] })
    const [text, broken, fits] = ['"text"', '{', '41'].map((one) =>
      foreign({ task: 'strict', input: one }),
    )
    assert.ok(text && broken && fits)
    await store.insert([text, broken, fits])
    await work()
    for (const { id } of [text, broken]) {
      const job = await reach(id, 'failed')
      assert.deepEqual([job.reason, job.failures, job.errors.length], ['invalid-input', 1, 1])
    }
    assert.equal((await reach(fits.id, 'completed')).output, 42)
    assert.equal(runs, 1)
  })

  test(`${name}: input, output and errors pass through the codec, per app and per task`, async (t) => {
    const upper: Codec = {
      name: 'hex',
      encode: (text) => Buffer.from(text).toString('hex'),
      decode: (text) => Buffer.from(text, 'hex').toString(),
    }
    const a = task({ name: 'a', run: (n: number) => n + 1 })
    const b = task({
      name: 'b',
      codec: upper,
      retry: 'never',
      run: (_: number) => {
        throw new Error('secret')
      },
    })
    const { client, store, work, reach } = bench(t, { tasks: [a, b], codec: backwards })
    await work()
    const done = await reach((await client.enqueue(a, 122)).id, 'completed')
    const bad = await reach((await client.enqueue(b, 7)).id, 'failed')
    assert.deepEqual([done.input, done.output, done.codec], [122, 123, 'backwards'])
    assert.deepEqual([bad.errors[0]?.message, bad.codec], ['secret', 'hex'])
    const [rawDone, rawBad] = await store.get([done.id, bad.id])
    assert.deepEqual([rawDone?.input, rawDone?.output], ['221', '321'])
    assert.ok(!JSON.stringify(rawBad).includes('secret'))
  })
}

test('a job shows its handler who it is', async (t) => {
  const seen: unknown[] = []
  let postponed = false
  const look = task({
    name: 'look',
    queue: 'eyes',
    run: (_: undefined, job) => {
      seen.push([job.task, job.queue, job.state, job.priority, job.attempt, job.parent])
      seen.push(job.token)
      if (!postponed) {
        postponed = true
        throw new Postpone('1s')
      }
      return [job.id, job.createdAt, job.dueAt]
    },
  })
  const { client, work, reach } = inMemory(t, { tasks: [look] })
  await work()
  const { id } = await client.enqueue(look, undefined, { priority: 5 })
  const job = await reach(id, 'completed')
  assert.deepEqual(seen[0], ['look', 'eyes', 'running', 5, 1, null])
  assert.deepEqual(seen[2], seen[0])
  assert.ok((seen[3] as number) > (seen[1] as number), 'a later run has a greater token')
  assert.equal((job.output as string[])[0], id)
})

test('a job stored under an alias is run by the task that took over its name', async (t) => {
  const current = task({ name: 'new', aliases: ['old', 'older'], run: (n: number) => n })
  const { store, work, reach } = inMemory(t, { tasks: [current] })
  const job = foreign({ task: 'older', input: '5' })
  await store.insert([job])
  await work()
  assert.equal((await reach(job.id, 'completed')).output, 5)
})

test('a job of an unknown task or codec is put aside for 1 s, growing to 5 min, and burns nothing', async (t) => {
  const { store, work, jobs, pass, told, until } = inMemory(t, {
    tasks: [task({ name: 'known', run: () => undefined })],
  })
  const strange = foreign({ task: 'strange' })
  const locked = foreign({ task: 'known', codec: 'lock' })
  await store.insert([strange, locked])
  await work()
  await pass(1_000)
  const dues: number[] = []
  for (const deferrals of [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]) {
    await until(`deferral ${deferrals}`, async () => {
      return (await jobs.get(strange.id))?.deferrals === deferrals
    })
    const job = await jobs.get(strange.id)
    dues.push(Math.ceil(((job?.dueAt.getTime() ?? 0) - store.clock.now()) / 1_000))
    assert.deepEqual(
      [job?.state, job?.attempts, job?.failures, job?.losses, job?.interruptions],
      ['scheduled', 0, 0, 0, 0],
    )
  }
  assert.deepEqual(dues, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300])
  assert.ok(((await jobs.get(locked.id))?.deferrals ?? 0) >= 5)
  assert.deepEqual(told.unknown.map(({ id }) => id).toSorted(), [strange.id, locked.id].toSorted())
})

test('a put-aside job runs at a worker that knows it, in its old place', async (t) => {
  const clock = new VirtualClock()
  const database = new MemoryDatabase()
  const order: number[] = []
  const here = appOn(t, memory({ clock, database }), { tasks: [] })
  const known = task({ name: 'known', run: (n: number) => void order.push(n) })
  const there = appOn(t, memory({ clock, database }), { tasks: [known] })
  await there.client.enqueue(known, 1)
  const ignorant = await here.work()
  await here.pass(100)
  const stopped = ignorant.stop()
  await here.pass(1_000)
  await stopped
  await here.pass(40_000)
  await there.client.enqueue(known, 2)
  await there.work({ slots: 1 })
  await there.until('both to run', () => order.length === 2)
  assert.deepEqual(order, [1, 2])
})

test('the context is made once for several workers, typed as job.context, and disposed when the last one stops', async (t) => {
  const events: string[] = []
  const member = (name: string): AsyncDisposable & { name: string } => ({
    name,
    [Symbol.asyncDispose]: async () => void events.push(`disposed ${name}`),
  })
  const { task: taskIn } = tasksWith<{ db: { name: string } }>()
  const use = taskIn({ name: 'use', run: (_: undefined, job) => job.context.db.name })
  const { client, work, reach, pass } = inMemory(t, {
    tasks: [use],
    context: async () => {
      events.push('made')
      return { db: member('db'), cache: member('cache') }
    },
  })
  const first = await work()
  const second = await work()
  assert.equal((await reach((await client.enqueue(use, undefined)).id, 'completed')).output, 'db')
  const stops = [first.stop()]
  await pass(1_000)
  assert.deepEqual(events, ['made'])
  stops.push(second.stop())
  await pass(1_000)
  await Promise.all(stops)
  assert.deepEqual(events, ['made', 'disposed cache', 'disposed db'])
})

test('a context that cannot be made stops the start with its own error, and a later worker tries again', async (t) => {
  let tries = 0
  const { worker, told } = inMemory(t, {
    context: () => {
      if (++tries === 1) throw new Error('no database')
      return {}
    },
  })
  await assert.rejects(worker().start(), { message: 'no database' })
  await worker().start()
  assert.deepEqual([tries, told.warnings], [2, []])
})

test('a task module that fails to load stops the start with its own error', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'errand-broken-'))
  const file = join(folder, 'broken.ts')
  writeFileSync(file, `import './not-there.ts'\n`)
  const { worker } = inMemory(t, { tasks: [file] })
  const start = worker().start()
  await assert.rejects(start, (error: Error) => {
    assert.match(error.message, /broken\.ts failed to load/)
    assert.match(String(error.cause), /not-there/)
    return true
  })
})

test('a worker starts once, refuses unknown queues and options, and one stopped before its start stays stopped', async (t) => {
  const { worker } = inMemory(t)
  const one = worker()
  await one.start()
  await assert.rejects(one.start(), { code: 'closed' })
  await assert.rejects(worker({ queues: ['nowhere'] }).start(), { code: 'unknown-queue' })
  assert.throws(() => worker({ slots: 0 }), { code: 'invalid-option' })
  assert.throws(() => worker({ queues: [] }), { code: 'invalid-option' })
  assert.throws(() => worker({ slotz: 1 } as object), { code: 'invalid-option' })
  const never = worker()
  await never.stop()
  await assert.rejects(never.start(), { code: 'closed' })
})

test("job.complete settles in the user's own transaction, and an uncommitted one fails the attempt as not-committed", async (t) => {
  const file = newFile(t)
  const { DatabaseSync } = await import('node:sqlite')
  const own = new DatabaseSync(file)
  t.after(() => own.close())
  const open = gate()
  const pay = task({
    name: 'pay',
    retry: 'never',
    run: async (how: string, job) => {
      own.exec('BEGIN IMMEDIATE')
      own.exec(`INSERT INTO paid VALUES ('${how}')`)
      await job.complete(own, how)
      own.exec(how === 'commit' ? 'COMMIT' : 'ROLLBACK')
      open.resolve()
    },
  })
  const { client, work, reach } = appOn(t, sqlite(file), { tasks: [pay] })
  own.exec('CREATE TABLE paid (how TEXT)')
  await work()
  const done = await reach((await client.enqueue(pay, 'commit')).id, 'completed')
  assert.equal(done.output, 'commit')
  const undone = await reach((await client.enqueue(pay, 'rollback')).id, 'failed')
  assert.deepEqual([undone.reason, undone.errors[0]?.code], ['not-committed', 'not-committed'])
  assert.deepEqual(
    own
      .prepare('SELECT how FROM paid')
      .all()
      .map(({ how }) => how),
    ['commit'],
  )
})
