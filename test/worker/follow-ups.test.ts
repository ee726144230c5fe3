import assert from 'node:assert/strict'
import { test } from 'node:test'
import { constant } from '../../src/core/backoff.ts'
import type { Codec } from '../../src/core/codec.ts'
import type { FailureReport } from '../../src/core/enqueue-options.ts'
import { Discard, Postpone } from '../../src/core/instructions.ts'
import { task } from '../../src/core/task.ts'
import { inMemory, onSqlite, type Bench } from './harness.ts'

/** The jobs of a task, as [parent, input]. */
async function madeOf({ jobs }: Bench, name: string): Promise<[string | null, unknown][]> {
  const { jobs: found } = await jobs.list({ task: name })
  return found.map(({ parent, input }) => [parent, input])
}

for (const [name, bench] of [
  ['memory', inMemory],
  ['sqlite', onSqlite],
] as const) {
  test(`${name}: a completed job is followed by the tasks of its task and of its call, its output being their input`, async (t) => {
    const seen: [string, unknown, string | null][] = []
    const note = (which: string) =>
      task({
        name: which,
        run: (input: { n: number }, job) => void seen.push([which, input, job.parent]),
      })
    const [a, b, c] = [note('a'), note('b'), note('c')]
    const first = task({
      name: 'first',
      onSuccess: [a, 'b'],
      onFailure: ['never'],
      run: (n: number) => ({ n }),
    })
    const made = bench(t, { tasks: [first, a, b, c] })
    await made.work()
    const { id } = await made.client.enqueue(first, 7, { onSuccess: [c, 'd'] })
    await made.reach(id, 'completed')
    await made.until('three follow-ups to run', () => seen.length === 3)
    assert.deepEqual(
      seen.toSorted((x, y) => x[0].localeCompare(y[0])),
      ['a', 'b', 'c'].map((which) => [which, { n: 7 }, id]),
    )
    assert.deepEqual(await madeOf(made, 'd'), [[id, { n: 7 }]])
    assert.deepEqual(await madeOf(made, 'never'), [])
  })

  test(`${name}: what a codec kept from the store, it keeps from the follow-ups as well`, async (t) => {
    const hex = (codec: string): Codec => ({
      name: codec,
      encode: (text) => Buffer.from(text).toString('hex'),
      decode: (text) => Buffer.from(text, 'hex').toString(),
    })
    const seen: unknown[] = []
    const see = (input: unknown): void => void seen.push(input)
    const plain = task({ name: 'plain', run: see })
    const own = task({ name: 'own', codec: hex('hex-2'), run: see })
    const pay = task({
      name: 'pay',
      codec: hex('hex-1'),
      retry: false,
      onSuccess: [plain, own, 'elsewhere'],
      onFailure: [plain, own, 'elsewhere'],
      run: ({ card, fails }: { card: string; fails: boolean }) => {
        if (fails) throw new Error(`declined ${card}`)
        return card
      },
    })
    const made = bench(t, { tasks: [pay, plain, own] })
    await made.work()
    for (const fails of [true, false]) {
      const { id } = await made.client.enqueue(pay, { card: 'CARD-4111', fails })
      await made.reach(id, fails ? 'failed' : 'completed')
    }
    await made.until('four follow-ups to run', () => seen.length === 4)
    for (const input of seen) assert.match(JSON.stringify(input), /CARD-4111/)
    const { jobs } = await made.store.list({ limit: 100 })
    const stored = await made.store.get(jobs.map(({ id }) => id))
    assert.equal(stored.length, 8)
    assert.doesNotMatch(JSON.stringify(stored), /CARD-4111/)
    assert.deepEqual([...new Set(stored.map((job) => `${job?.task} ${job?.codec}`))].toSorted(), [
      'elsewhere hex-1',
      'own hex-2',
      'pay hex-1',
      'plain hex-1',
    ])
  })

  test(`${name}: a failed job is followed once by a report of all its errors, and not after each attempt`, async (t) => {
    const reports: FailureReport[] = []
    const alert = task({
      name: 'alert',
      run: (report: FailureReport) => void reports.push(report),
    })
    let runs = 0
    const bad = task({
      name: 'bad',
      retry: { limit: 2, backoff: constant(1) },
      onFailure: alert,
      onSuccess: ['never'],
      run: (_: { a: number }) => {
        throw new RangeError(`run ${++runs}`)
      },
    })
    const made = bench(t, { tasks: [bad, alert] })
    await made.work()
    const { id } = await made.client.enqueue(bad, { a: 1 })
    await made.reach(id, 'failed')
    await made.until('the report', () => reports.length > 0)
    const [report] = reports
    assert.deepEqual(
      [report?.job.id, report?.job.task, report?.input, report?.reason, report?.inputTruncated],
      [id, 'bad', { a: 1 }, 'error', false],
    )
    assert.deepEqual([report?.attempts, report?.failures, report?.losses], [3, 3, 0])
    assert.deepEqual(
      report?.errors.map(({ type, message }) => [type, message]),
      [1, 2, 3].map((n) => ['RangeError', `run ${n}`]),
    )
    assert.equal((await madeOf(made, 'alert')).length, 1)
    assert.deepEqual(await madeOf(made, 'never'), [])
  })

  test(`${name}: what a handler enqueues exists once its attempt is settled as completed, postponed or discarded, else never`, async (t) => {
    const child = task({ name: 'child', run: (_: string) => undefined })
    let postponed = false
    const parent = task({
      name: 'parent',
      retry: 'never',
      run: async (how: string, job): Promise<void> => {
        await job.enqueue(child, how)
        const before = (await madeOf(made, 'child')).filter(([, input]) => input === how)
        assert.equal(before.length, postponed && how === 'postpone' ? 1 : 0)
        if (how === 'throw') throw new Error('no')
        if (how === 'discard') throw new Discard()
        if (how === 'postpone' && !postponed) {
          postponed = true
          throw new Postpone(1)
        }
      },
    })
    const made: Bench = bench(t, { tasks: [parent, child] })
    await made.work()
    const ids = new Map<string, string>()
    for (const how of ['return', 'throw', 'discard', 'postpone']) {
      ids.set(how, (await made.client.enqueue(parent, how)).id)
    }
    for (const id of ids.values()) await made.reach(id, 'completed', 'failed', 'discarded')
    const children = await madeOf(made, 'child')
    assert.deepEqual(children.map(([, how]) => String(how)).toSorted(), [
      'discard',
      'postpone',
      'postpone',
      'return',
    ])
    for (const [of, how] of children) assert.equal(of, ids.get(how as string))
  })
}

for (const [name, bench] of [
  ['memory', inMemory],
  ['sqlite', onSqlite],
] as const) {
  for (const edge of ['onFailure', 'onSuccess'] as const) {
    test(`${name}: two tasks that are each other's ${edge} end after twenty follow-ups, with an error that says so`, async (t) => {
      let runs = 0
      const run = (): number => {
        runs++
        if (edge === 'onFailure') throw new Error('the channel is down')
        return runs
      }
      const a = task({ name: 'a', retry: 'never', [edge]: 'b', run })
      const b = task({ name: 'b', retry: 'never', [edge]: 'a', run })
      const made = bench(t, { tasks: [a, b] })
      await made.work()
      await made.client.enqueue(a, undefined)
      await made.until('the last one to fail', async () => {
        const { jobs } = await made.jobs.list({ state: 'failed' })
        return jobs.some(({ errors }) => errors[0]?.code === 'follow-up-loop')
      })
      await made.pass(60_000)
      assert.equal(runs, 21)
      const { jobs } = await made.jobs.list()
      assert.equal(jobs.length, 22)
      const [last] = jobs
      assert.deepEqual([last?.state, last?.reason, last?.startedAt], ['failed', 'error', null])
      assert.match(last?.errors[0]?.message ?? '', /each other's onFailure/)
    })
  }
}

test('what a handler enqueues begins a row of its own, so that a chain may go on without end', async (t) => {
  const next = task({
    name: 'next',
    run: async (n: number, job): Promise<void> => {
      if (n < 50) await job.enqueue(next, n + 1)
    },
  })
  const made = inMemory(t, { tasks: [next] })
  await made.work()
  await made.client.enqueue(next, 1)
  await made.until('the fiftieth', async () => {
    return (await made.jobs.list({ state: 'completed' })).jobs.length === 50
  })
})

test('cancelled and discarded jobs are followed by nothing', async (t) => {
  const end = task({
    name: 'end',
    onSuccess: ['next'],
    onFailure: ['next'],
    run: () => {
      throw new Discard()
    },
  })
  const made = inMemory(t, { tasks: [end] })
  const { id: cancelled } = await made.client.enqueue(end, undefined, { delay: '1h' })
  await made.jobs.cancel(cancelled)
  await made.work()
  await made.reach((await made.client.enqueue(end, undefined)).id, 'discarded')
  assert.deepEqual(await madeOf(made, 'next'), [])
})

test('a huge input and huge errors are cut in the failure report, which is never refused', async (t) => {
  const reports: FailureReport[] = []
  const alert = task({ name: 'alert', run: (report: FailureReport) => void reports.push(report) })
  const bad = task({
    name: 'bad',
    retry: { limit: 9, backoff: constant(1) },
    onFailure: alert,
    run: (_: string) => {
      throw new Error('é'.repeat(100_000), { cause: new Error('ü'.repeat(100_000)) })
    },
  })
  const { client, work, reach, until } = inMemory(t, { tasks: [bad, alert] })
  await work()
  const { id } = await client.enqueue(bad, '語'.repeat(340_000))
  await reach(id, 'failed')
  await until('the report', () => reports.length > 0)
  const [report] = reports
  assert.ok(report !== undefined && report.inputTruncated && typeof report.input === 'string')
  assert.equal(report.errors.length, 10)
})

test('job.enqueue refuses what would not fit in one settlement, and the attempt goes on', async (t) => {
  const child = task({ name: 'child', run: (_: string) => undefined })
  const large = 'x'.repeat(1_000_000)
  const codes: string[] = []
  const parent = task({
    name: 'parent',
    run: async (_: undefined, job) => {
      for (let n = 0; n < 20; n += 1)
        await job
          .enqueue(child, large, { delay: '1h' })
          .catch(({ code }: { code: string }) => codes.push(code))
      await job.enqueue(child, 'small', { delay: '1h' })
    },
  })
  const made = inMemory(t, { tasks: [parent, child] })
  await made.work()
  await made.reach((await made.client.enqueue(parent, undefined)).id, 'completed')
  assert.deepEqual(codes, Array(5).fill('too-large'))
  const stored = (await made.jobs.counts()).find(({ state }) => state === 'scheduled')
  assert.equal(stored?.count, 16)
})

test('follow-ups come from losses and clocks that ran out too: poison and deadline are failures', async (t) => {
  const alert = task({ name: 'alert', queue: 'alerts', run: (_: FailureReport) => undefined })
  const late = task({ name: 'late', deadline: '1m', onFailure: alert, run: () => undefined })
  const made = inMemory(t, { tasks: [late, alert] })
  await made.work()
  const { id } = await made.client.enqueue(late, undefined, { delay: '2m' })
  await made.reach(id, 'failed')
  const [report] = await madeOf(made, 'alert')
  assert.equal(report?.[0], id)
  assert.equal((report?.[1] as FailureReport | undefined)?.reason, 'deadline')
})

test('job.enqueue checks the input, takes options, and is refused once the attempt is over', async (t) => {
  const input = {
    '~standard': {
      version: 1 as const,
      vendor: 'test',
      validate: (value: unknown) =>
        typeof value === 'number' ? { value } : { issues: [{ message: 'no number' }] },
    },
  }
  const child = task({ name: 'child', input, run: () => undefined })
  const codes: string[] = []
  let later: (() => Promise<string>) | null = null
  const parent = task({
    name: 'parent',
    run: async (_: undefined, job) => {
      await job.enqueue('child', 'text').catch(({ code }) => codes.push(code))
      later = () => job.enqueue('child', 2)
      return job.enqueue('child', 1, { delay: '1h', priority: -3 })
    },
  })
  const made = inMemory(t, { tasks: [parent, child] })
  await made.work()
  const job = await made.reach((await made.client.enqueue(parent, undefined)).id, 'completed')
  const child1 = await made.jobs.get(job.output as string)
  assert.deepEqual([child1?.state, child1?.priority, child1?.parent], ['scheduled', -3, job.id])
  await assert.rejects(later ?? assert.fail, { code: 'lease-lost' })
  assert.deepEqual(codes, ['invalid-input'])
})

test('a follow-up whose unique key is taken is no failure of the parent', async (t) => {
  const child = task({ name: 'child', unique: true, run: (_: string) => undefined })
  const parent = task({
    name: 'parent',
    onSuccess: [child],
    run: async (_: undefined, job) => {
      await job.enqueue(child, 'same', { delay: '1h' })
      return 'same'
    },
  })
  const made = inMemory(t, { tasks: [parent, child] })
  await made.client.enqueue(child, 'same', { delay: '1h' })
  await made.work()
  await made.reach((await made.client.enqueue(parent, undefined)).id, 'completed')
  assert.equal((await madeOf(made, 'child')).length, 1)
})
