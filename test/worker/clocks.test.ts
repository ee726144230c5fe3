import assert from 'node:assert/strict'
import { test } from 'node:test'
import { constant } from '../../src/core/backoff.ts'
import { isErrandError } from '../../src/core/errors.ts'
import { Discard, Postpone } from '../../src/core/instructions.ts'
import { task } from '../../src/core/task.ts'
import { gate, inMemory, onSqlite } from './harness.ts'

test('a handler that takes longer than its timeout is told by its signal, and retried', async (t) => {
  const reasons: unknown[] = []
  const slow = task({
    name: 'slow',
    timeout: '10s',
    retry: { limit: 1, backoff: constant('1s') },
    run: (_: undefined, job) => {
      const { promise, reject } = Promise.withResolvers<never>()
      job.signal.addEventListener('abort', () => {
        reasons.push(job.signal.reason)
        reject(new Error('stopped'))
      })
      return promise
    },
  })
  const { client, work, reach, told } = inMemory(t, { tasks: [slow] })
  await work()
  const job = await reach((await client.enqueue(slow, undefined)).id, 'failed')
  assert.deepEqual([job.reason, job.attempts, job.failures], ['timeout', 2, 2])
  assert.equal(job.errors[0]?.code, 'timeout')
  assert.ok(reasons.length === 2 && reasons.every((reason) => isErrandError(reason, 'timeout')))
  assert.deepEqual(
    told.ended.map(({ outcome, durationMs }) => [outcome, durationMs]),
    [
      ['retry', 10_000],
      ['failed', 10_000],
    ],
  )
})

test('a handler that ignores its abort keeps its slot, is reported as stuck, and its late return counts as timed out', async (t) => {
  const open = gate<string>()
  const deaf = task({
    name: 'deaf',
    timeout: '10s',
    retry: 'never',
    losses: 'none',
    run: () => open.promise,
  })
  const { client, work, pass, jobs, told } = inMemory(t, { tasks: [deaf] })
  const worker = await work({ slots: 1 })
  const { id } = await client.enqueue(deaf, undefined)
  await pass(14_900)
  assert.deepEqual([told.stuck.length, worker.status.running], [0, 1])
  await pass(200)
  assert.deepEqual([told.stuck.length, worker.status.stuck, worker.status.running], [1, 1, 1])
  assert.equal(told.stuck[0]?.ranMs, 15_000)
  open.resolve('late')
  await pass(100)
  const job = await jobs.get(id)
  assert.deepEqual([job?.state, job?.reason], ['failed', 'timeout'])
  assert.equal(worker.status.running, 0)
})

test('a stuck handler is not renewed: its job is taken as lost, and its late return is refused as stale', async (t) => {
  const open = gate<string>()
  let runs = 0
  const deaf = task({
    name: 'deaf',
    timeout: '10s',
    run: () => (++runs === 1 ? open.promise : 'second'),
  })
  const { client, work, pass, reach, told } = inMemory(t, { tasks: [deaf] })
  await work()
  const { id } = await client.enqueue(deaf, undefined)
  const job = await reach(id, 'completed')
  assert.deepEqual([job.losses, job.attempts, job.output], [1, 2, 'second'])
  assert.deepEqual(told.rescued.map(({ why, to }) => [why, to]).at(0)?.[0], 'lost')
  open.resolve('late')
  await pass(100)
  assert.deepEqual(
    told.ended.map(({ outcome }) => outcome),
    ['completed', 'stale'],
  )
  assert.equal((await reach(id, 'completed')).output, 'second')
})

test('a handler that blocks the event loop beyond its timeout and then returns has timed out', async (t) => {
  const block = task({
    name: 'block',
    timeout: 100,
    retry: 'never',
    run: () => {
      const end = performance.now() + 150
      while (performance.now() < end);
      return 'late'
    },
  })
  const { client, work, reach } = onSqlite(t, { tasks: [block] })
  await work()
  const job = await reach((await client.enqueue(block, undefined)).id, 'failed')
  assert.deepEqual([job.reason, job.output], ['timeout', undefined])
})

test('timeout none lets a handler run for ever, and its lease is renewed all the while', async (t) => {
  const open = gate<string>()
  const long = task({ name: 'long', timeout: 'none', run: () => open.promise })
  const { client, work, pass, reach } = inMemory(t, { tasks: [long] })
  await work()
  const { id } = await client.enqueue(long, undefined)
  await pass(3 * 3_600_000)
  open.resolve('done')
  const job = await reach(id, 'completed')
  assert.deepEqual([job.losses, job.attempts], [0, 1])
})

test('a job that waits longer than startWithin fails without an attempt, also while its queue is paused', async (t) => {
  const prompt = task({ name: 'prompt', startWithin: '1m', run: () => 'done' })
  const { client, work, pass, reach, store, told } = inMemory(t, { tasks: [prompt] })
  await store.pause(['default'])
  await work()
  const { id } = await client.enqueue(prompt, undefined)
  await pass(59_000)
  assert.equal((await reach(id, 'ready')).attempts, 0)
  await pass(10_000)
  const job = await reach(id, 'failed')
  assert.deepEqual([job.reason, job.attempts, told.started.length], ['start-within', 0, 0])
  assert.deepEqual(
    told.rescued.map(({ why }) => why),
    ['overdue'],
  )
})

test('startWithin counts from the first due time and no more once an attempt has begun', async (t) => {
  let runs = 0
  const flaky = task({
    name: 'flaky',
    startWithin: '10s',
    retry: { limit: 1, backoff: constant('10m') },
    run: () => {
      if (++runs === 1) throw new Error('once')
      return runs
    },
  })
  const { client, work, reach } = inMemory(t, { tasks: [flaky] })
  await work()
  const job = await reach((await client.enqueue(flaky, undefined, { delay: '1h' })).id, 'completed')
  assert.deepEqual([job.output, job.failures], [2, 1])
})

test('a job whose clock ran out in a buffer or between two sweeps is not started', async (t) => {
  const prompt = task({ name: 'prompt', startWithin: '10s', run: () => 'done' })
  const { client, work, pass, reach, told } = inMemory(t, { tasks: [prompt] })
  const { id } = await client.enqueue(prompt, undefined)
  await pass(10_001)
  await work()
  assert.equal((await reach(id, 'failed')).reason, 'start-within')
  assert.equal(told.started.length, 0)
})

test('no retry starts after the deadline: the job fails when the last one would be too late', async (t) => {
  const bad = task({
    name: 'bad',
    deadline: '1m',
    retry: { limit: 'none', backoff: constant('25s') },
    run: () => {
      throw new Error('no')
    },
  })
  const { client, work, reach } = inMemory(t, { tasks: [bad] })
  await work()
  const job = await reach((await client.enqueue(bad, undefined)).id, 'failed')
  assert.deepEqual([job.reason, job.attempts], ['error', 3])
})

test('a job that is still waiting at its deadline fails as deadline', async (t) => {
  const later = task({ name: 'later', deadline: '1m', run: () => 'done' })
  const { client, work, reach } = inMemory(t, { tasks: [later] })
  await work()
  const job = await reach((await client.enqueue(later, undefined, { delay: '2m' })).id, 'failed')
  assert.deepEqual([job.reason, job.attempts], ['deadline', 0])
})

for (const how of ['throw', 'postpone', 'return', 'discard'] as const) {
  const expected = {
    throw: 'cancelled',
    postpone: 'cancelled',
    return: 'completed',
    discard: 'discarded',
  }
  test(`a running job that is asked to cancel and then ends by ${how} is ${expected[how]}`, async (t) => {
    const begun = gate()
    const reasons: unknown[] = []
    const run = task({
      name: 'run',
      run: async (_: undefined, job) => {
        begun.resolve()
        await new Promise((resolve) => job.signal.addEventListener('abort', resolve))
        reasons.push(job.signal.reason)
        if (how === 'throw') throw new Error('stopped')
        if (how === 'postpone') throw new Postpone('1s')
        if (how === 'discard') throw new Discard('no use')
        return 'anyway'
      },
    })
    const { client, work, pass, jobs, reach } = inMemory(t, { tasks: [run] })
    await work()
    const { id } = await client.enqueue(run, undefined)
    await pass(100)
    await begun.promise
    assert.deepEqual(await jobs.cancel(id, { reason: 'not needed' }), { asked: 1 })
    await pass(100)
    const job = await reach(id, expected[how] as 'cancelled')
    assert.ok(isErrandError(reasons[0], 'cancelled'))
    assert.equal(job.attempts, 1)
    if (how === 'throw') assert.equal(job.reason, 'not needed')
  })
}

test('a cancel wins over a retry even when the handler has failed before it was told', async (t) => {
  const open = gate()
  const run = task({
    name: 'run',
    retry: 'always',
    run: async () => {
      await open.promise
      throw new Error('on its own')
    },
  })
  const { client, work, pass, store, reach } = inMemory(t, { tasks: [run] })
  await work()
  const { id } = await client.enqueue(run, undefined)
  await pass(10)
  const asked = store.cancel([id], null)
  open.resolve()
  await asked
  assert.equal((await reach(id, 'cancelled')).attempts, 1)
})

test('a waiting job is cancelled at once and never runs', async (t) => {
  const run = task({ name: 'run', run: () => 'done' })
  const { client, work, jobs, pass, told } = inMemory(t, { tasks: [run] })
  const { id } = await client.enqueue(run, undefined, { delay: '1m' })
  assert.deepEqual(await jobs.cancel(id), { cancelled: 1 })
  await work()
  await pass(120_000)
  assert.equal((await jobs.get(id))?.state, 'cancelled')
  assert.equal(told.started.length, 0)
})

test('a job that is asked to cancel while it waits in a buffer ends without being run', async (t) => {
  const ran: number[] = []
  const gates = [gate(), gate()]
  const run = task({
    name: 'run',
    run: async (n: number) => {
      ran.push(n)
      await gates[n]?.promise
    },
  })
  const { client, work, jobs, pass, reach } = inMemory(t, { tasks: [run] })
  const worker = await work({ slots: 1 })
  await client.enqueue(run, 9)
  await pass(10)
  const ids = []
  for (const n of [0, 1, 2, 3]) ids.push((await client.enqueue(run, n)).id)
  await pass(5)
  assert.ok(worker.status.buffered > 0, 'jobs are buffered after a fast one')
  const [, second = ''] = ids
  assert.deepEqual(await jobs.cancel(second), { asked: 1 })
  await pass(50)
  assert.equal((await reach(second, 'cancelled')).attempts, 0)
  for (const one of gates) one.resolve()
  for (const id of [ids[0] ?? '', ids[2] ?? '', ids[3] ?? '']) await reach(id, 'completed')
  assert.deepEqual(
    ran.toSorted((a, b) => a - b),
    [0, 2, 3, 9],
  )
})
