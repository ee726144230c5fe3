/** Jobs that call jobs: slots, order, journal, ends, on every store. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { after, test, type TestContext } from 'node:test'
import { callName, hashOfInput } from '../../src/app/call-journal.ts'
import { constant } from '../../src/core/backoff.ts'
import { isErrandError } from '../../src/core/errors.ts'
import { callId } from '../../src/core/id.ts'
import { task, type AnyTask } from '../../src/core/task.ts'
import type { Store } from '../../src/store/store.ts'
import { postgres } from '../../src/stores/postgres/index.ts'
import { redis } from '../../src/stores/redis/index.ts'
import type { StopOptions, Worker } from '../../src/worker/worker-options.ts'
import { findPostgres, query } from '../postgres-server.ts'
import { findRedis } from '../redis-server.ts'
import { appOn, gate, inMemory, onSqlite, type Bench, type Config } from './harness.ts'

type Make = (t: TestContext, config: Config) => Bench

const double = task({ name: 'double', run: (n: number) => 2 * n })

const postgresServer = await findPostgres()
const redisServer = await findRedis()
after(async () => {
  if (postgresServer !== null)
    await query(postgresServer.url, `DROP SCHEMA IF EXISTS ${suffix} CASCADE`)
  await Promise.all([postgresServer?.stop(), redisServer?.stop()])
})
const suffix = `calls_${process.pid}`

const grounds: readonly (readonly [string, Make])[] = [
  ['memory', inMemory],
  ['sqlite', onSqlite],
  ...(postgresServer === null
    ? []
    : [['postgres', ground(() => postgres(postgresServer.url, { schema: suffix }))] as const]),
  ...(redisServer === null
    ? []
    : [
        ['redis', ground(() => redis(redisServer.url, { prefix: suffix, partitions: 2 }))] as const,
      ]),
]

function ground(open: () => Store): Make {
  return (t, config) => appOn(t, open(), config)
}

for (const [name, make] of grounds) {
  test(`${name}: what runs before a called task has run when the call returns`, async (t) => {
    const ran: string[] = []
    const first = task({ name: 'first', run: () => void ran.push('first') })
    const second = task({
      name: 'second',
      before: [first],
      run: (n: number) => {
        ran.push('second')
        return n
      },
    })
    const parent = task({ name: 'parent', run: (n: number, job) => job.call(second, n) })
    const bench = make(t, { tasks: [parent, first, second] })
    const [id = ''] = await enqueue(bench, parent, [7])
    await bench.work({ slots: 1 })
    const { output } = await bench.reach(id, 'completed', 'failed')
    assert.equal(output, 7)
    assert.deepEqual(ran, ['first', 'second'])
  })

  test(`${name}: ten parents on ten slots, and nested calls on one, never stall`, async (t) => {
    const parent = task({
      name: 'parent',
      run: async (n: number, job) => {
        const [one, two] = await Promise.all([job.call(double, n), job.call(double, n + 1)])
        return one + two + (await job.call(double, 100))
      },
    })
    const nested = task({
      name: 'nested',
      run: async (depth: number, job): Promise<number> =>
        depth === 0 ? 1 : 1 + ((await job.call('nested', depth - 1)) as number),
    })
    const bench = make(t, { tasks: [parent, double, nested] })
    const ids = await enqueue(
      bench,
      parent,
      Array.from({ length: 10 }, (_, n) => n),
    )
    const worker = await bench.work({ slots: 10 })
    for (const [n, id] of ids.entries()) {
      const record = await bench.reach(id, 'completed', 'failed')
      assert.deepEqual([record.errors, record.output], [[], 4 * n + 202])
    }
    await stop(bench, worker)
    const [deep] = await enqueue(bench, nested, [5])
    await bench.work({ slots: 1 })
    assert.equal((await bench.reach(deep ?? '', 'completed', 'failed')).output, 6)
    for (const parent of ids) {
      const children = await bench.jobs.list({ parent })
      assert.deepEqual(
        children.jobs.map(({ attempt, priority }) => [attempt, priority]),
        Array.from({ length: 3 }, () => [1, -1]),
      )
    }
  })

  test(`${name}: a job that runs again makes no call twice`, async (t) => {
    const runs: number[] = []
    const child = task({ name: 'child', run: (n: number) => (runs.push(n), n * 10) })
    const parent = task({
      name: 'parent',
      retry: { limit: 3, backoff: constant(1) },
      run: async (_: undefined, job) => {
        const one = await job.call(child, 1)
        if (job.attempt === 1) throw new Error('cut off')
        const two = await job.call(child, 2, { id: 'second' })
        if (job.attempt === 2) throw new Error('cut off')
        return [one, two, job.attempt]
      },
    })
    const bench = make(t, { tasks: [parent, child] })
    const [id = ''] = await enqueue(bench, parent, [undefined])
    await bench.work({ slots: 1 })
    const record = await bench.reach(id, 'completed', 'failed')
    assert.deepEqual([record.reason, record.output], [null, [10, 20, 3]])
    assert.deepEqual(runs, [1, 2])
  })
}

test('what a call returned does not depend on how long the called job is kept', async (t) => {
  const child = task({ name: 'child', retention: 'none', run: (n: number) => n + 1 })
  const parent = task({
    name: 'parent',
    retry: { limit: 1, backoff: constant(60_000) },
    run: async (_: undefined, job) => {
      const n = await job.call(child, 1)
      if (job.attempt === 1) throw new Error('again')
      return n
    },
  })
  const bench = inMemory(t, { tasks: [parent, child] })
  const [id = ''] = await enqueue(bench, parent, [undefined])
  await bench.work({ slots: 1 })
  await bench.until('the first attempt', () => bench.told.ended.some((e) => e.outcome === 'retry'))
  await bench.jobs.remove({ task: 'child' })
  assert.equal((await bench.reach(id, 'completed', 'failed')).output, 2)
  assert.deepEqual((await bench.jobs.list({ task: 'child' })).jobs, [])
})

test('a recorded call of another task or input fails the job, even where the error is caught', async (t) => {
  let change: 'input' | 'task' = 'input'
  const other = task({ name: 'other', run: () => 0 })
  const parent = task({
    name: 'parent',
    retry: { limit: 5, backoff: constant(1) },
    run: async (_: undefined, job) => {
      if (job.attempt === 1) {
        await job.call(double, 1, { id: 'it' })
        throw new Error('again')
      }
      const called =
        change === 'input'
          ? job.call(double, 2, { id: 'it' })
          : job.call(other, undefined, { id: 'it' })
      return called.catch(() => 'caught')
    },
  })
  const bench = inMemory(t, { tasks: [parent, double, other] })
  await bench.work()
  for (change of ['input', 'task'] as const) {
    const [id = ''] = await enqueue(bench, parent, [undefined])
    const { state, reason, errors, attempts } = await bench.reach(id, 'completed', 'failed')
    assert.deepEqual([state, reason, attempts], ['failed', 'call-changed', 2])
    assert.equal(errors.at(-1)?.code, 'call-changed')
    assert.match(
      errors.at(-1)?.message ?? '',
      change === 'input' ? /#it .*double with another input/ : /#it .*double, and is now of other/,
    )
  }
})

test('a failed, cancelled or discarded job rejects its call as it does result()', async (t) => {
  const breaks = task({
    name: 'breaks',
    retry: 'never',
    run: () => {
      throw Object.assign(new RangeError('too far'), { code: 'E_FAR' })
    },
  })
  const seen: unknown[] = []
  const parent = task({
    name: 'parent',
    retry: { limit: 1, backoff: constant(1) },
    run: async (_: undefined, job) => {
      const error: unknown = await job.call(breaks, undefined).catch((thrown: unknown) => thrown)
      assert.ok(isErrandError(error, 'job-failed'))
      const { name, message, code } = error.cause as Error & { code: string }
      seen.push([error.message.includes('RangeError: too far'), name, message, code])
      if (job.attempt === 1) throw new Error('again')
    },
  })
  const bench = inMemory(t, { tasks: [parent, breaks] })
  await bench.work()
  const [id = ''] = await enqueue(bench, parent, [undefined])
  await bench.reach(id, 'completed')
  const once = [true, 'RangeError', 'too far', 'E_FAR']
  assert.deepEqual(seen, [once, once])
  assert.equal((await bench.jobs.list({ task: 'breaks' })).jobs.length, 1)
})

test('a job that throws on what its call was rejected with is not retried: it would be told the same', async (t) => {
  const breaks = task({
    name: 'breaks',
    retry: 'never',
    run: () => {
      throw new Error('broken')
    },
  })
  const parent = task({ name: 'parent', run: (_: undefined, job) => job.call(breaks, undefined) })
  const bench = inMemory(t, { tasks: [parent, breaks] })
  await bench.work()
  const [id = ''] = await enqueue(bench, parent, [undefined])
  const { reason, attempts, errors } = await bench.reach(id, 'failed', 'scheduled')
  assert.deepEqual([reason, attempts, errors[0]?.code], ['error', 1, 'job-failed'])
})

test('after an operator has retried the job, calls that had failed are made anew, others are not', async (t) => {
  const runs: string[] = []
  let isRepaired = false
  const child = task({
    name: 'child',
    retry: 'never',
    run: (name: string) => {
      runs.push(name)
      if (name === 'bad' && !isRepaired) throw new Error('not repaired')
      return name
    },
  })
  const parent = task({
    name: 'parent',
    retry: 'never',
    run: async (_: undefined, job) => [await job.call(child, 'good'), await job.call(child, 'bad')],
  })
  const bench = inMemory(t, { tasks: [parent, child] })
  await bench.work()
  const [id = ''] = await enqueue(bench, parent, [undefined])
  await bench.reach(id, 'failed')
  isRepaired = true
  await bench.jobs.retry(id)
  assert.deepEqual((await bench.reach(id, 'completed', 'failed')).output, ['good', 'bad'])
  assert.deepEqual(runs, ['good', 'bad', 'bad'])
})

test('cancel of a job cancels what it has called, to any depth, also while it waits to run again', async (t) => {
  const open = gate()
  t.after(() => open.resolve())
  const leaf = task({
    name: 'leaf',
    retry: 'never',
    run: async (_: undefined, { signal }) => {
      await Promise.race([open.promise, once(signal, 'abort')])
      signal.throwIfAborted()
    },
  })
  const middle = task({ name: 'middle', run: (_: undefined, job) => job.call(leaf, undefined) })
  const parent = task({
    name: 'parent',
    run: (_: undefined, job) =>
      Promise.all([job.call(middle, undefined), job.call('late', undefined, { delay: '1h' })]),
  })
  const late = task({ name: 'late', run: () => 0 })
  const bench = inMemory(t, { tasks: [parent, middle, leaf, late] })
  const worker = await bench.work({ slots: 2 })
  const [id = ''] = await enqueue(bench, parent, [undefined])
  await bench.until('the leaf', () => bench.told.started.some((one) => one.task === 'leaf'))
  await bench.jobs.cancel(id)
  await bench.reach(id, 'cancelled')
  await bench.until('all to be cancelled', async () => {
    const { jobs } = await bench.jobs.list({ state: 'cancelled' })
    return jobs.length === 4
  })

  // Now with nobody at work: the parent was interrupted, and waits.
  const [second = ''] = await enqueue(bench, parent, [undefined])
  await bench.until(
    'both calls',
    async () => (await bench.jobs.list({ parent: second })).jobs.length === 2,
  )
  await stop(bench, worker, { grace: 0 })
  await bench.reach(second, 'ready')
  await bench.jobs.cancel(second)
  for (const { state } of (await bench.jobs.list({ parent: second })).jobs)
    assert.equal(state, 'cancelled')
})

test('a job whose call has ended gets the next slot, before any that has not begun', async (t) => {
  const order: string[] = []
  const open = gate()
  const plain = task({
    name: 'plain',
    run: async (n: number) => {
      order.push(`plain ${n}`)
      if (n === 1) await open.promise
    },
  })
  const parent = task({
    name: 'parent',
    priority: -10,
    run: async (_: undefined, job) => {
      await job.call(double, 1)
      order.push('back')
    },
  })
  const bench = inMemory(t, { tasks: [parent, plain, double] })
  await enqueue(bench, parent, [undefined])
  const ids = await enqueue(bench, plain, [1, 2, 3])
  await bench.work({ slots: 1 })
  const ended = (name: string): boolean => bench.told.ended.some((one) => one.task === name)
  await bench.until('the called job to end', () => ended('double'), 10)
  await bench.until('a job in the only slot', () => order.length > 0, 10)
  for (let turns = 0; turns < 20; turns++) await bench.pass(50)
  open.resolve()
  for (const id of ids) await bench.reach(id, 'completed')
  assert.ok([0, 1].includes(order.indexOf('back')), order.join(', '))
})

test('a job that fails for good leaves what it has called to its own end', async (t) => {
  const parent = task({
    name: 'parent',
    retry: 'never',
    run: async (_: undefined, job) => {
      void job.call(double, 4, { delay: '1m' })
      await job.call(double, 1)
      throw new Error('failed')
    },
  })
  const bench = inMemory(t, { tasks: [parent, double] })
  await bench.work()
  const [id = ''] = await enqueue(bench, parent, [undefined])
  await bench.reach(id, 'failed')
  const later = (await bench.jobs.list({ parent: id })).jobs.find(({ input }) => input === 4)
  assert.equal((await bench.reach(later?.id ?? '', 'completed', 'cancelled')).output, 8)
})

test('waiting counts for no timeout, working does, and the lease is kept meanwhile', async (t) => {
  const slow = task({ name: 'slow', run: () => 1 })
  const stays = gate()
  t.after(() => stays.resolve())
  const parent = task({
    name: 'parent',
    timeout: '10s',
    retry: 'never',
    run: async (hangs: boolean, job) => {
      await job.call(slow, undefined, { delay: '10m' })
      const left = job.signal.aborted ? 'none' : 'some'
      if (hangs) await Promise.race([stays.promise, once(job.signal, 'abort')])
      return left
    },
  })
  const bench = inMemory(t, { tasks: [parent, slow] })
  await bench.work()
  const [waits = '', hangs = ''] = await enqueue(bench, parent, [false, true])
  const waited = await bench.reach(waits, 'completed', 'failed')
  assert.deepEqual([waited.output, waited.losses], ['some', 0])
  const hung = await bench.reach(hangs, 'completed', 'failed')
  assert.deepEqual([hung.state, hung.reason], ['failed', 'timeout'])
})

test('a job that waited when its worker died is not counted as lost, one that worked is', async (t) => {
  const parent = task({ name: 'parent', run: (_: undefined, job) => job.call(double, 2) })
  const bench = inMemory(t, { tasks: [parent, double] })
  const { store } = bench
  const ids = await enqueue(bench, parent, [undefined, undefined])
  const { jobs } = await store.claim({
    worker: 'dies',
    queues: [{ name: 'default', limit: 2 }],
    others: 0,
    limit: 2,
    leaseMs: 1_000,
    maxLosses: null,
    id: null,
  })
  for (const { id, token } of jobs) await store.note([{ id, token, kind: 'start', agoMs: 0 }])
  const [waits] = jobs
  assert.ok(waits !== undefined && jobs.length === 2)
  const name = callName({ task: 'double', n: 1 })
  const made = { made: false, shared: false, round: 0, life: 0, end: null }
  const entry = { task: 'double', input: hashOfInput(2), job: callId(waits.id, name, 0), ...made }
  const { id, token } = waits
  await store.record([{ id, token, name, text: JSON.stringify(entry) }])
  await bench.work()
  for (const one of ids) {
    const { output, losses, interruptions } = await bench.reach(one, 'completed', 'failed')
    const expected: readonly number[] = one === waits.id ? [4, 0, 1] : [4, 1, 0]
    assert.deepEqual([output, losses, interruptions], expected)
  }
})

test('a worker that stops interrupts at once what waits, and another goes on', async (t) => {
  const runs: number[] = []
  const child = task({ name: 'child', run: (n: number) => runs.push(n) })
  const parent = task({
    name: 'parent',
    run: async (_: undefined, job) => {
      await job.call(child, 1)
      return job.call(child, 2, { delay: '1m' })
    },
  })
  const bench = inMemory(t, { tasks: [parent, child] })
  const first = await bench.work()
  const [id = ''] = await enqueue(bench, parent, [undefined])
  await bench.until('it to wait', () => first.status.waiting === 1 && runs.length === 1)
  const from = bench.store.clock.now()
  const stopping = first.stop({ grace: '10m' })
  await bench.reach(id, 'ready')
  assert.ok(bench.store.clock.now() - from < 5_000)
  await bench.until('the stop', () => bench.told.stopped.length === 1, 10)
  await stopping
  await bench.work()
  const record = await bench.reach(id, 'completed', 'failed')
  assert.deepEqual([record.output, record.interruptions, record.attempts], [2, 1, 1])
  assert.deepEqual(runs, [1, 2])
})

test('nothing more is claimed while a thousand wait, and what stands still is put back', async (t) => {
  const parent = task({ name: 'parent', run: (n: number, job) => job.call(child, n) })
  const child = task({ name: 'child', queue: 'others', run: (n: number) => n })
  const bench = inMemory(t, { tasks: [parent, child], queues: { default: {}, others: {} } })
  const ids = await enqueue(
    bench,
    parent,
    Array.from({ length: 1_200 }, (_, n) => n),
  )
  const worker = await bench.work({ queues: ['default'], slots: 50 })
  await bench.until('a thousand to wait', () => worker.status.waiting >= 1_000, 1)
  for (let round = 0; round < 20; round++) {
    await bench.pass(100)
    const { waiting, running } = worker.status
    assert.ok(waiting <= 1_050 && running === 0, `${waiting} wait, ${running} run`)
  }
  await bench.until('some to be put back', () => worker.status.waiting < 1_000, 100)
  // Whoever serves the other queue ends it all.
  await bench.work({ queues: ['others'], slots: 50 })
  for (const id of ids) await bench.reach(id, 'completed')
  const { jobs: all } = await bench.jobs.list({ task: 'child', limit: 1_000 })
  assert.equal(all.length, 1_000)
})

test('what cannot be called is refused in one line', async (t) => {
  const told: string[] = []
  const parent = task({
    name: 'parent',
    retry: 'never',
    run: async (_: undefined, job) => {
      const tries = [
        () => job.call('doubel', 1),
        () => job.call(double, 1, { inline: true } as object),
        () => job.call(double, 1, { idd: 'x' } as object),
        () => job.call(double, 1, { id: '' }),
        async () =>
          Promise.all([job.call(double, 1, { id: 'x' }), job.call(double, 1, { id: 'x' })]),
        () => job.call(itself, undefined),
      ]
      for (const one of tries) {
        await one().then(
          () => assert.fail(),
          (error: unknown) => told.push(isErrandError(error) ? error.code : String(error)),
        )
      }
    },
  })
  const itself = task({
    name: 'itself',
    unique: true,
    retry: 'never',
    run: (_: undefined, job): Promise<unknown> => job.call('itself', undefined),
  })
  const bench = inMemory(t, { tasks: [parent, double, itself] })
  await bench.work()
  const [id = ''] = await enqueue(bench, parent, [undefined])
  const record = await bench.reach(id, 'completed', 'failed')
  assert.deepEqual(record.errors, [])
  assert.deepEqual(told, [
    'unknown-task',
    'invalid-option',
    'invalid-option',
    'invalid-option',
    'invalid-option',
    'job-failed',
  ])
})

async function enqueue(bench: Bench, of: AnyTask, inputs: readonly unknown[]): Promise<string[]> {
  const jobs = await bench.client.enqueueMany(inputs.map((input) => [of, input] as const))
  return jobs.map(({ id }) => id)
}

async function stop(bench: Bench, worker: Worker, options: StopOptions = {}): Promise<void> {
  const stopping = worker.stop(options)
  await bench.until('the stop', () => worker.status.state === 'stopped', 10)
  await stopping
}
