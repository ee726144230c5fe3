import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import * as z from 'zod'
import { isErrandError } from '../core/errors.ts'
import { Discard, Postpone, RetryAfter, Unrecoverable } from '../core/instructions.ts'
import { task, tasksWith } from '../core/task.ts'
import { drain, expectEnqueued, runTask, testErrand } from './index.ts'

const mail = task({
  name: 'mail',
  run: (input: { to: string; cc?: readonly string[] }) => input.to.length,
})

const welcome = task({
  name: 'welcome',
  input: z.object({ name: z.string().min(1), count: z.string().transform(Number) }),
  async run({ name, count }, job) {
    job.progress(0.5)
    job.log.info(`hello ${name}`, { count })
    await job.enqueue(mail, { to: `${name}@example.com` }, { delay: '5s' })
    job.progress({ done: true })
    return { name, next: count + job.attempt }
  },
})

describe('runTask', () => {
  it('runs the handler on the parsed input and tells all that it did', async () => {
    const run = await runTask(welcome, { name: 'ada', count: '4' }, { attempt: 3 })
    assert.equal(run.outcome, 'completed')
    assert.deepEqual(run.output, { name: 'ada', next: 7 })
    assert.deepEqual(run.progress, [0.5, { done: true }])
    assert.deepEqual(run.logs, [{ level: 'info', text: 'hello ada {"count":4}' }])
    assert.deepEqual(
      run.enqueued.map(({ task, input, delayMs }) => [task, input, delayMs]),
      [['mail', { to: 'ada@example.com' }, 5_000]],
    )
  })

  it('gives the handler its context', async () => {
    const { task: withDb } = tasksWith<{ readonly db: { count(): number } }>()
    const count = withDb({ name: 'count', run: (_input: undefined, job) => job.context.db.count() })
    const { output } = await runTask(count, undefined, { context: { db: { count: () => 3 } } })
    assert.equal(output, 3)
  })

  it('rejects what enqueue would reject', async () => {
    await assert.rejects(runTask(welcome, { name: '', count: '1' }), { code: 'invalid-input' })
    await assert.rejects(runTask(task({ name: 'bare' }), undefined), { code: 'invalid-task' })
  })

  it('answers every way to end', async () => {
    const thrown = new TypeError('broken')
    const throwing = (how: Error): (() => never) => {
      return () => {
        throw how
      }
    }
    const ending = (how: Error) => runTask(task({ name: 'ending', run: throwing(how) }), undefined)
    assert.deepEqual(await ending(thrown), {
      outcome: 'failed',
      error: thrown,
      reason: 'error',
      delayMs: null,
      output: undefined,
      enqueued: [],
      progress: [],
      logs: [],
    })
    assert.equal((await ending(new Unrecoverable('never'))).outcome, 'unrecoverable')
    assert.equal((await ending(new RetryAfter('3s'))).delayMs, 3_000)
    assert.deepEqual((await ending(new Postpone('1m'))).delayMs, 60_000)
    assert.equal((await ending(new Discard('nothing to do'))).reason, 'nothing to do')
    const wrong = await runTask(
      task({ name: 'wrong', output: z.number(), run: () => 'text' as unknown as number }),
      undefined,
    )
    assert.deepEqual([wrong.outcome, wrong.reason], ['unrecoverable', 'invalid-output'])
  })

  it('aborts on timeout and on the caller’s signal', async () => {
    const stubborn = task({
      name: 'stubborn',
      run: (_input: undefined, job) =>
        new Promise<never>((_resolve, reject) => {
          job.signal.addEventListener('abort', () => reject(job.signal.reason as Error))
        }),
    })
    const alive = setInterval(() => undefined, 1_000)
    const late = await runTask(stubborn, undefined, { timeout: 20 })
    assert.deepEqual([late.outcome, late.reason], ['failed', 'timeout'])
    assert.ok(isErrandError(late.error, 'timeout'))
    const controller = new AbortController()
    const running = runTask(stubborn, undefined, { signal: controller.signal })
    setImmediate(() => controller.abort())
    assert.equal((await running).outcome, 'cancelled')
    clearInterval(alive)
  })

  it('inserts nothing of an attempt that fails', async () => {
    const half = task({
      name: 'half',
      async run(_input: undefined, job) {
        await job.enqueue(mail, { to: 'a' })
        throw new Error('then it broke')
      },
    })
    assert.deepEqual((await runTask(half, undefined)).enqueued, [])
  })

  it('answers calls by onCall, and refuses them without it', async () => {
    const calls = task({
      name: 'calls',
      run: async (to: string, job) =>
        (await job.call(mail, { to })) + (await job.call(mail, { to }, { id: 'again' })),
    })
    const asked: unknown[] = []
    const onCall = (name: string, input: unknown): number => asked.push([name, input])
    const run = await runTask(calls, 'ada', { onCall })
    assert.equal(run.output, 3)
    assert.deepEqual(asked[1], ['mail', { to: 'ada' }])
    const failing = await runTask(calls, 'ada', {
      onCall: () => {
        throw new RangeError('no mail today')
      },
    })
    assert.ok(failing.outcome === 'failed' && failing.error instanceof RangeError)
    const refused = await runTask(calls, 'ada')
    assert.ok(isErrandError(refused.error, 'invalid-option'))
  })
})

describe('drain', () => {
  it('moves the clock for what a job waits for that has called it', async () => {
    const parent = task({
      name: 'parent',
      run: async (_: undefined, job) => job.call(mail, { to: 'ada' }, { delay: '3m' }),
    })
    const errand = testErrand({ tasks: [parent, mail] })
    const { id } = await errand.enqueue(parent)
    await drain(errand, { until: 'empty' })
    assert.equal((await errand.jobs.get(id))?.output, 3)
    const idle = await errand.enqueue(parent)
    await drain(errand)
    assert.equal((await errand.jobs.get(idle.id))?.state, 'ready')
    await errand.close()
  })

  it('runs all that is ready, with what follows from it', async () => {
    const errand = testErrand({ tasks: [welcome, mail] })
    const job = await errand.enqueue(welcome, { name: 'ada', count: '1' })
    await drain(errand)
    assert.deepEqual(await job.result(), { name: 'ada', next: 2 })
    assert.deepEqual(await errand.jobs.counts(), [
      { queue: 'default', state: 'completed', count: 1 },
      { queue: 'default', state: 'scheduled', count: 1 },
    ])
    await errand.close()
  })

  it('until empty moves the clock to each due time', async () => {
    const errand = testErrand({ tasks: [welcome, mail] })
    const start = errand.clock.now()
    await errand.enqueue(welcome, { name: 'ada', count: '1' }, { delay: '1h' })
    await drain(errand, { until: 'empty' })
    assert.deepEqual(await errand.jobs.counts(), [
      { queue: 'default', state: 'completed', count: 2 },
    ])
    assert.ok(errand.clock.now() >= start + 3_605_000)
    await errand.close()
  })

  it('runs retries until the job has ended', async () => {
    let runs = 0
    const flaky = task({
      name: 'flaky',
      run() {
        if (++runs < 4) throw new Error('not yet')
        return runs
      },
    })
    const errand = testErrand({ tasks: [flaky] })
    const job = await errand.enqueue(flaky)
    await drain(errand, { until: 'empty' })
    assert.equal(await job.result(), 4)
    await errand.close()
  })

  it('leaves other queues and paused ones alone, and can be called again', async () => {
    const errand = testErrand({ tasks: [mail], queues: { a: {}, b: {} } })
    await errand.enqueueMany([
      [mail, { to: '1' }, { queue: 'a' }],
      [mail, { to: '2' }, { queue: 'b' }],
      [mail, { to: '3' }],
    ])
    await errand.queues.pause('default')
    await drain(errand, { queues: ['a', 'default'] })
    const ready = async (): Promise<readonly string[]> =>
      (await errand.jobs.counts())
        .filter(({ state }) => state === 'ready')
        .map(({ queue }) => queue)
    assert.deepEqual((await ready()).toSorted(), ['b', 'default'])
    await errand.queues.resume('default')
    await drain(errand)
    assert.deepEqual(await ready(), [])
    await errand.close()
  })

  it('tells what is left when it takes too long', async () => {
    const endless = task({
      name: 'endless',
      run: (_input: undefined, job) =>
        new Promise<void>((resolve) => {
          job.signal.addEventListener('abort', () => resolve())
        }),
    })
    const errand = testErrand({ tasks: [endless] })
    await errand.enqueue(endless)
    await assert.rejects(drain(errand, { timeout: 50 }), {
      code: 'timeout',
      message: /0 ready, 1 running/,
    })
    await errand.close()
  })
})

describe('expectEnqueued', () => {
  it('finds a job by part of its input', async () => {
    const errand = testErrand({ tasks: [mail] })
    await errand.enqueue(mail, { to: 'ada', cc: ['bob'] })
    const { id } = await errand.enqueue(mail, { to: 'eve' })
    assert.equal((await expectEnqueued(errand, mail, { to: 'eve' })).id, id)
    assert.deepEqual((await expectEnqueued(errand, mail, { cc: ['bob'] })).input, {
      to: 'ada',
      cc: ['bob'],
    })
    assert.equal((await expectEnqueued(errand, 'mail')).id, id)
  })

  it('shows what was enqueued instead', async () => {
    const errand = testErrand({ tasks: [mail, welcome] })
    await assert.rejects(expectEnqueued(errand, mail), {
      name: 'AssertionError',
      message: 'No job of mail was enqueued. Nothing was.',
    })
    await errand.enqueue(mail, { to: 'ada' })
    await assert.rejects(expectEnqueued(errand, mail, { to: 'eve' }), {
      name: 'AssertionError',
      message:
        "No job of mail with { to: 'eve' } was enqueued. Of this task were:\n  mail { to: 'ada' } (ready)",
    })
    await assert.rejects(expectEnqueued(errand, welcome), { message: /These were:\n {2}mail/ })
  })
})
