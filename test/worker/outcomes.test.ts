import assert from 'node:assert/strict'
import { test } from 'node:test'
import { constant, exponential, linear } from '../../src/core/backoff.ts'
import { longestMs, type Duration } from '../../src/core/duration.ts'
import { shownValue } from '../../src/core/shown.ts'
import { Discard, Postpone, RetryAfter, Unrecoverable } from '../../src/core/instructions.ts'
import { task } from '../../src/core/task.ts'
import { inMemory, onSqlite } from './harness.ts'

const benches = [
  ['memory', inMemory],
  ['sqlite', onSqlite],
] as const

class NotFound extends Error {}

for (const [name, bench] of benches) {
  test(`${name}: a handler that returns completes its job with its output`, async (t) => {
    const double = task({ name: 'double', run: ({ n }: { n: number }) => ({ n: n * 2 }) })
    const { client, work, reach } = bench(t, { tasks: [double] })
    await work()
    const { id } = await client.enqueue(double, { n: 21 })
    const job = await reach(id, 'completed')
    assert.deepEqual(job.output, { n: 42 })
    assert.deepEqual([job.attempts, job.failures, job.reason], [1, 0, null])
    assert.ok(job.startedAt !== null && job.finishedAt !== null)
  })

  test(`${name}: a limit of 5 means six runs, then the job fails with all its errors`, async (t) => {
    let runs = 0
    const bad = task({
      name: 'bad',
      retry: { limit: 5, backoff: constant(1) },
      run: () => {
        throw new Error(`run ${++runs}`)
      },
    })
    const { client, work, reach } = bench(t, { tasks: [bad] })
    await work()
    const { id } = await client.enqueue(bad, undefined)
    const job = await reach(id, 'failed')
    assert.equal(runs, 6)
    assert.deepEqual([job.attempts, job.failures, job.reason], [6, 6, 'error'])
    assert.deepEqual(
      job.errors.map(({ message, attempt }) => [message, attempt]),
      [1, 2, 3, 4, 5, 6].map((n) => [`run ${n}`, n]),
    )
  })

  test(`${name}: Unrecoverable fails at once, Discard discards, and neither is retried`, async (t) => {
    const end = task({
      name: 'end',
      run: (how: string) => {
        throw how === 'discard' ? new Discard('nothing to do') : new Unrecoverable('for good')
      },
    })
    const { client, work, reach } = bench(t, { tasks: [end] })
    await work()
    const failed = await reach((await client.enqueue(end, 'fail')).id, 'failed')
    assert.deepEqual([failed.attempts, failed.errors[0]?.message], [1, 'for good'])
    const discarded = await reach((await client.enqueue(end, 'discard')).id, 'discarded')
    assert.deepEqual([discarded.attempts, discarded.reason], [1, 'nothing to do'])
    assert.equal(discarded.failures, 0)
  })

  test(`${name}: postponing and failing keep counters of their own, and burn none of each other's limit`, async (t) => {
    let runs = 0
    const attempts: number[] = []
    const flaky = task({
      name: 'flaky',
      retry: { limit: 3, backoff: constant(1) },
      postpone: { limit: 4, delay: 1 },
      run: (_: undefined, job) => {
        attempts.push(job.attempt)
        throw ++runs % 2 === 1 ? new Postpone() : new Error('odd')
      },
    })
    const { client, work, reach } = bench(t, { tasks: [flaky] })
    await work()
    const { id } = await client.enqueue(flaky, undefined)
    const job = await reach(id, 'failed')
    assert.deepEqual([job.reason, job.postpones, job.failures, job.attempts], ['error', 4, 4, 4])
    assert.deepEqual(attempts, [1, 1, 2, 2, 3, 3, 4, 4])
  })

  test(`${name}: a postpone beyond the limit fails the job as postpone-limit`, async (t) => {
    let runs = 0
    const later = task({
      name: 'later',
      postpone: { delay: 1 },
      run: () => {
        runs++
        throw new Postpone()
      },
    })
    const { client, work, reach } = bench(t, { tasks: [later] })
    await work()
    const job = await reach((await client.enqueue(later, undefined)).id, 'failed')
    assert.equal(runs, 16)
    assert.deepEqual([job.reason, job.postpones, job.attempts], ['postpone-limit', 16, 0])
  })

  test(`${name}: output that is invalid, no JSON or too large fails the job at once`, async (t) => {
    const outputs: Record<string, unknown> = { large: 'x'.repeat(1_100_000), big: 1n, fits: 'yes' }
    const output = {
      '~standard': {
        version: 1 as const,
        vendor: 'test',
        validate: (value: unknown) =>
          value === undefined ? { issues: [{ message: 'missing' }] } : { value },
      },
    }
    const give = task({ name: 'give', output, run: (which: string) => outputs[which] })
    const { client, work, reach } = bench(t, { tasks: [give] })
    await work()
    const codes: unknown[] = []
    for (const which of ['large', 'big', 'none']) {
      const job = await reach((await client.enqueue(give, which)).id, 'failed')
      assert.deepEqual([job.reason, job.attempts], ['invalid-output', 1])
      codes.push(job.errors[0]?.code)
    }
    assert.deepEqual(codes, ['too-large', 'not-json', 'invalid-output'])
    await reach((await client.enqueue(give, 'fits')).id, 'completed')
  })

  test(`${name}: whatever is thrown is kept as an error`, async (t) => {
    const thrown: Record<string, unknown> = {
      text: 'oops',
      nothing: undefined,
      object: { a: 1 },
      proxy: new Proxy({}, { get: () => assert.fail('no look') }),
    }
    const toss = task({
      name: 'toss',
      retry: 'never',
      run: (which: string) => {
        // oxlint-disable-next-line typescript/only-throw-error -- that is the point
        throw thrown[which]
      },
    })
    const { client, work, reach } = bench(t, { tasks: [toss] })
    await work()
    const errors: unknown[] = []
    for (const which of ['text', 'nothing', 'object', 'proxy']) {
      const job = await reach((await client.enqueue(toss, which)).id, 'failed')
      assert.equal(job.reason, 'error')
      errors.push([job.errors[0]?.type, job.errors[0]?.message])
    }
    assert.deepEqual(errors.slice(0, 3), [
      ['string', 'oops'],
      ['undefined', 'undefined'],
      ['object', '{"a":1}'],
    ])
  })
}

test('constant, linear and exponential backoff give the delays they say', async (t) => {
  const run = (): never => {
    throw new Error('no')
  }
  const limit = 4
  const tasks = [
    task({ name: 'constant', retry: { limit, backoff: constant('5s') }, run }),
    task({ name: 'linear', retry: { limit, backoff: linear({ step: '5s', max: '12s' }) }, run }),
    task({
      name: 'exponential',
      retry: { limit, backoff: exponential({ first: '2s', max: '10s', jitter: 'none' }) },
      run,
    }),
  ]
  const { client, work, reach, told } = inMemory(t, { tasks })
  await work()
  for (const one of tasks) await reach((await client.enqueue(one, undefined)).id, 'failed')
  const delays = (task: string): unknown[] =>
    told.ended.filter((event) => event.task === task).map(({ againMs }) => againMs)
  assert.deepEqual(delays('constant'), [5_000, 5_000, 5_000, 5_000, null])
  assert.deepEqual(delays('linear'), [5_000, 10_000, 12_000, 12_000, null])
  assert.deepEqual(delays('exponential'), [2_000, 4_000, 8_000, 10_000, null])
})

test('the default backoff is drawn between zero and a doubled ceiling', async (t) => {
  const bad = task({
    name: 'bad',
    run: () => {
      throw new Error('no')
    },
  })
  const { client, work, reach, told } = inMemory(t, { tasks: [bad] })
  await work()
  await reach((await client.enqueue(bad, undefined)).id, 'failed')
  assert.equal(told.ended.length, 11)
  for (const [i, { againMs }] of told.ended.slice(0, 10).entries()) {
    assert.ok(againMs !== null && againMs >= 0 && againMs <= Math.min(5_000 * 2 ** i, 3_600_000))
  }
})

test('a custom backoff answers a delay, fail or discard; one that throws leaves it to the default', async (t) => {
  const asked: [string, number, number][] = []
  const custom = task({
    name: 'custom',
    retry: {
      backoff: (error, job) => {
        const { message } = error as Error
        asked.push([message, job.attempt, job.failures])
        if (message === 'throw') throw new Error('in the backoff')
        return message === 'fail' || message === 'discard' ? message : 7_000
      },
    },
    run: (how: string, job) => {
      throw new Error(job.attempt > 1 && how === 'delay' ? 'fail' : how)
    },
  })
  const { client, work, reach, told, until } = inMemory(t, { tasks: [custom] })
  await work()
  const delayed = await reach((await client.enqueue(custom, 'delay')).id, 'failed')
  assert.equal(delayed.attempts, 2)
  assert.equal(told.ended[0]?.againMs, 7_000)
  await reach((await client.enqueue(custom, 'discard')).id, 'discarded')
  assert.deepEqual(asked, [
    ['delay', 1, 1],
    ['fail', 2, 2],
    ['discard', 1, 1],
  ])
  const before = told.ended.length
  await client.enqueue(custom, 'throw')
  await until('the first run to end', () => told.ended.length > before)
  // The default's first delay is drawn from nothing up: the second run may have begun by now.
  const first = told.ended[before]
  assert.equal(first?.attempt, 1)
  assert.ok(first.againMs !== null && first.againMs >= 0 && first.againMs <= 5_000)
})

test('only listed classes are retried, or what the predicate says; one that throws forbids nothing', async (t) => {
  const fail = (how: string): never => {
    throw how === 'found' ? new NotFound('gone') : new Error('other')
  }
  const backoff = constant('1s')
  const listed = task({ name: 'l', retry: { limit: 1, backoff, when: [NotFound] }, run: fail })
  const asked = task({
    name: 'p',
    retry: { limit: 1, backoff, when: (error) => !(error instanceof NotFound) },
    run: fail,
  })
  const broken = task({
    name: 'b',
    retry: {
      limit: 1,
      backoff,
      when: () => {
        throw new Error('in when')
      },
    },
    run: fail,
  })
  const { client, work, reach } = inMemory(t, { tasks: [listed, asked, broken] })
  await work()
  const runs: number[] = []
  for (const one of [listed, asked, broken]) {
    for (const how of ['found', 'other']) {
      runs.push((await reach((await client.enqueue(one, how)).id, 'failed')).attempts)
    }
  }
  assert.deepEqual(runs, [2, 1, 1, 2, 2, 2])
})

test('the presets never, once and always run one time, two times and without end', async (t) => {
  const fail = task({
    name: 'fail',
    retry: { backoff: constant('1s') },
    run: () => {
      throw new Error('no')
    },
  })
  const { client, work, reach, pass, jobs } = inMemory(t, { tasks: [fail] })
  await work()
  const runs: number[] = []
  for (const retry of ['never', 'once'] as const) {
    const { id } = await client.enqueue(fail, undefined, { retry })
    runs.push((await reach(id, 'failed')).attempts)
  }
  assert.deepEqual(runs, [1, 2])
  const { id } = await client.enqueue(fail, undefined, { retry: 'always' })
  await pass(60_000)
  const job = await jobs.get(id)
  assert.ok(job !== null && job.attempts > 30 && job.state !== 'failed')
  assert.equal(job.errors.length, 10)
})

test('RetryAfter sets when the retry runs and counts as a failure', async (t) => {
  const after = task({
    name: 'after',
    retry: { limit: 1 },
    run: () => {
      throw new RetryAfter('42s')
    },
  })
  const { client, work, reach, told } = inMemory(t, { tasks: [after] })
  await work()
  const job = await reach((await client.enqueue(after, undefined)).id, 'failed')
  assert.deepEqual([job.failures, told.ended[0]?.againMs], [2, 42_000])
})

test('Postpone runs after its own delay, 0 included, or after that of the task', async (t) => {
  let runs = 0
  const delays = ['90s', 0, undefined] as const
  const later = task({
    name: 'later',
    postpone: { delay: '7s' },
    run: () => {
      const delay = delays[runs++]
      if (runs <= 3) throw delay === undefined ? new Postpone() : new Postpone(delay)
      return runs
    },
  })
  const { client, work, reach, told } = inMemory(t, { tasks: [later] })
  await work()
  const job = await reach((await client.enqueue(later, undefined)).id, 'completed')
  assert.deepEqual([job.postpones, job.attempts, job.attempt], [3, 1, 1])
  assert.deepEqual(
    told.ended.map(({ outcome, againMs }) => [outcome, againMs]),
    [
      ['postponed', 90_000],
      ['postponed', 0],
      ['postponed', 7_000],
      ['completed', null],
    ],
  )
})

for (const [how, thrown] of [
  ['Postpone', (delay: Duration) => new Postpone(delay)],
  ['RetryAfter', (delay: Duration) => new RetryAfter(delay)],
] as const) {
  test(`${how} with no delay up to 100 years fails the job for good, and says so`, async (t) => {
    const refused = [longestMs + 1, 2 ** 53, 1e300, Infinity, NaN, -1, 'soon', '300000y', {}, null]
    let delay: unknown
    const later = task({
      name: 'later',
      run: () => {
        throw thrown(delay as Duration)
      },
    })
    const { client, work, reach } = inMemory(t, { tasks: [later] })
    await work()
    for (delay of refused) {
      const job = await reach((await client.enqueue(later, undefined)).id, 'failed')
      assert.deepEqual([job.reason, job.failures, job.postpones], ['error', 1, 0])
      assert.equal(job.errors[0]?.code, 'invalid-option')
      const given = shownValue(delay)
      const message = job.errors[0]?.message ?? ''
      assert.ok(
        message.startsWith(`The delay of ${how} must be`) && message.includes(given),
        message,
      )
    }
    delay = '100y'
    const job = await reach((await client.enqueue(later, undefined)).id, 'scheduled')
    assert.equal(job.dueAt.getTime() - job.createdAt.getTime(), longestMs)
  })
}
