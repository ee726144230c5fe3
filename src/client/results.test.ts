import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ErrandError, isErrandError } from '../core/errors.ts'
import type { KeptError } from '../core/job.ts'
import { task } from '../core/task.ts'
import { createErrand, type Errand } from '../errand.ts'
import type { Store } from '../store/store.ts'
import { memory, MemoryDatabase } from '../stores/memory/index.ts'
import { claimByHand, endByHand, spying } from '../testing/by-hand.ts'
import { VirtualClock } from '../testing/virtual-clock.ts'
import { attemptScope, type AttemptScope } from '../app/attempt-scope.ts'

const add = task<{ a: number; b: number }, number>({ name: 'add' })
const input = { a: 1, b: 2 }

function scene(clock: VirtualClock = new VirtualClock()): {
  readonly clock: VirtualClock
  readonly store: Store
  readonly errand: Errand
} {
  const store = memory({ clock })
  return { clock, store, errand: createErrand({ store, queues: { '*': {} } }) }
}

const oops: KeptError = {
  type: 'TypeError',
  message: 'x is not a function',
  stack: 'TypeError: x is not a function\n    at here',
  code: 'E_X',
  attempt: 1,
  at: 0,
}

async function turns(): Promise<void> {
  for (let i = 0; i < 20; i++) await new Promise(setImmediate)
}

describe('result', () => {
  it('answers the output of a job that ended before, and of one that ends later', async () => {
    const { store, errand } = scene()
    const job = await errand.enqueue(add, input)
    const early = job.result()
    await turns()
    await endByHand(store, (await claimByHand(store))[0]!, { output: 3 })
    assert.equal(await early, 3)
    assert.equal(await job.result(), 3)
    assert.equal(await errand.jobs.result(job.id), 3)
  })

  it('goes from one client to another over one store', async () => {
    const database = new MemoryDatabase()
    const producer = createErrand({ store: memory({ database }) })
    const consumer = memory({ database })
    const waiting = producer.enqueue(add, input).then((job) => job.result())
    await turns()
    await endByHand(consumer, (await claimByHand(consumer))[0]!, { output: 3 })
    assert.equal(await waiting, 3)
  })

  it('waits of many share one read at a time', async () => {
    let reads = 0
    const store = spying(
      memory({ clock: new VirtualClock() }),
      (call) => void (call === 'get' && reads++),
    )
    const errand = createErrand({ store })
    const jobs = await errand.enqueueMany(Array.from({ length: 500 }, () => [add, input] as const))
    const waiting = Promise.all(jobs.map((job) => job.result()))
    await turns()
    assert.equal(reads, 1)
    for (const job of await claimByHand(store, 500)) await endByHand(store, job, { output: 7 })
    assert.deepEqual(new Set(await waiting), new Set([7]))
    assert.ok(reads < 50, `${reads} reads`)
  })

  it('reads nothing once nobody waits', async () => {
    let calls = 0
    const clock = new VirtualClock()
    const store = spying(memory({ clock }), (call) => void (call === 'get' && calls++))
    const errand = createErrand({ store })
    const job = await errand.enqueue(add, input)
    const waiting = job.result()
    await endByHand(store, (await claimByHand(store))[0]!, { output: 3 })
    await waiting
    await new Promise((resolve) => setTimeout(resolve, 5))
    const before = calls
    await clock.advance(60_000)
    assert.equal(calls, before)
    assert.equal(clock.pending, 0)
  })

  it('notices an end without any hint, by a timer that grows to a second', async () => {
    let reads = 0
    const clock = new VirtualClock()
    const inner = memory({ clock })
    const store = spying(inner, (call) => void (call === 'get' && reads++))
    const errand = createErrand({
      store: { ...inner, get: (ids) => store.get(ids), watch: () => () => undefined },
    })
    const job = await errand.enqueue(add, input)
    const waiting = job.result()
    const step = async (ms: number): Promise<void> => {
      await new Promise((resolve) => setTimeout(resolve, 6))
      await clock.advance(ms)
    }
    for (let i = 0; i < 12; i++) await step(1_000)
    assert.ok(reads >= 12 && reads <= 18, `${reads} reads in 12 s`)
    await endByHand(inner, (await claimByHand(inner))[0]!, { output: 3 })
    await step(1_000)
    assert.equal(await waiting, 3)
  })

  it('survives a store that is away for a while', async () => {
    let isDown = true
    const store = spying(memory(), (call) => {
      if (call === 'get' && isDown) throw new ErrandError('store-unavailable', 'down')
    })
    const errand = createErrand({ store })
    const job = await errand.enqueue(add, input)
    const waiting = job.result()
    await turns()
    await endByHand(store, (await claimByHand(store))[0]!, { output: 3 })
    isDown = false
    assert.equal(await waiting, 3)
  })

  it('refuses unknown options', async () => {
    const { errand } = scene()
    const job = await errand.enqueue(add, input)
    await assert.rejects(job.result({ timout: 1 } as object), {
      code: 'invalid-option',
      message: /Did you mean timeout\?/,
    })
  })
})

describe('a job that did not complete', () => {
  it('rejects as job-failed with task, id, reason, the last error and a rebuilt cause', async () => {
    const { store, errand } = scene()
    const job = await errand.enqueue(add, input)
    await endByHand(store, (await claimByHand(store))[0]!, {
      state: 'failed',
      reason: 'timeout',
      error: oops,
    })
    await assert.rejects(job.result(), (error) => {
      assert.ok(isErrandError(error, 'job-failed'))
      assert.equal(error.message, `add ${job.id} failed (timeout): TypeError: x is not a function`)
      assert.deepEqual(error.details, { id: job.id, reason: 'timeout', errors: [oops] })
      const cause = error.cause as Error & { code?: string }
      assert.ok(cause instanceof Error)
      assert.deepEqual(
        [cause.name, cause.message, cause.stack, cause.code],
        [oops.type, oops.message, oops.stack, 'E_X'],
      )
      return true
    })
  })

  it('rejects as job-cancelled or job-discarded with the reason', async () => {
    const { store, errand } = scene()
    const cancelled = await errand.enqueue(add, input)
    await errand.jobs.cancel(cancelled.id, { reason: 'changed my mind' })
    await assert.rejects(cancelled.result(), { code: 'job-cancelled', message: /changed my mind/ })
    const discarded = await errand.enqueue(add, input)
    await endByHand(store, (await claimByHand(store))[0]!, {
      state: 'discarded',
      reason: 'nothing to do',
    })
    await assert.rejects(discarded.result(), { code: 'job-discarded', message: /nothing to do/ })
  })

  it('rejects as job-missing when it was never known, as result-gone when it was', async () => {
    const { store, errand } = scene()
    await assert.rejects(errand.jobs.result('0198c0de-0000-7000-8000-000000000000'), {
      code: 'job-missing',
    })
    const job = await errand.enqueue(add, input)
    const waiting = errand.jobs.result(job.id)
    await turns()
    await endByHand(store, (await claimByHand(store))[0]!, { output: 3, keepMs: 0 })
    await assert.rejects(waiting, { code: 'result-gone' })
    await assert.rejects(job.result(), { code: 'result-gone' })
  })
})

describe('take', () => {
  it('removes the job once its result was read', async () => {
    const { store, errand } = scene()
    const job = await errand.enqueue(add, input)
    const waiting = job.result({ take: true })
    await turns()
    await endByHand(store, (await claimByHand(store))[0]!, { output: 3 })
    assert.equal(await waiting, 3)
    assert.equal(await errand.jobs.get(job.id), null)
  })

  it('gives the result to one of several takers, here and elsewhere', async () => {
    const database = new MemoryDatabase()
    const here = createErrand({ store: memory({ database }) })
    const store = memory({ database })
    const there = createErrand({ store })
    const job = await here.enqueue(add, input)
    const takers = [
      job.result({ take: true }),
      job.result({ take: true }),
      there.jobs.result(job.id, { take: true }),
    ]
    const settling = Promise.allSettled(takers)
    await turns()
    await endByHand(store, (await claimByHand(store))[0]!, { output: 3 })
    const settled = await settling
    const codes = settled.map((one) =>
      one.status === 'fulfilled' ? one.value : (one.reason as ErrandError).code,
    )
    assert.deepEqual(codes.map(String).toSorted(), ['3', 'result-gone', 'result-gone'])
  })

  it('lets those who only read in this process have the result as well', async () => {
    const { store, errand } = scene()
    const job = await errand.enqueue(add, input)
    const both = Promise.all([job.result({ take: true }), job.result()])
    await turns()
    await endByHand(store, (await claimByHand(store))[0]!, { output: 3 })
    assert.deepEqual(await both, [3, 3])
  })
})

describe('the deadline of a wait', () => {
  it('is 30 s, and then the error tells how the job stands', async () => {
    const { clock, errand } = scene()
    const job = await errand.enqueue(add, input)
    const refused = assert.rejects(job.result(), (error) => {
      assert.ok(isErrandError(error, 'result-timeout'))
      assert.match(
        error.message,
        /is still ready after 30 s; no worker may be serving queue default/,
      )
      assert.deepEqual(error.details, { id: job.id, state: 'ready', queue: 'default' })
      return true
    })
    await turns()
    await clock.advance(29_999)
    await clock.advance(1)
    await refused
  })

  it('is told for each state', async () => {
    const { clock, store, errand } = scene()
    const scheduled = await errand.enqueue(add, input, { delay: '1h' })
    const running = await errand.enqueue(add, input)
    await claimByHand(store)
    const refused = Promise.all([
      assert.rejects(scheduled.result({ timeout: '1s' }), {
        message: /is still scheduled after 1 s: it is due at 2030-01-01T01:00:00/,
      }),
      assert.rejects(running.result({ timeout: '1s' }), {
        message: /is still running after 1 s, by worker by-hand/,
      }),
    ])
    await turns()
    await clock.advance(1_000)
    await refused
  })

  it('finds what ended just before, even unhinted', async () => {
    const { clock, store, errand } = scene()
    const job = await errand.enqueue(add, input)
    await endByHand(store, (await claimByHand(store))[0]!, { output: 3 })
    const waiting = job.result({ timeout: 0 })
    await clock.advance(0)
    assert.equal(await waiting, 3)
  })

  it('holds against a store that does not answer', async () => {
    const clock = new VirtualClock()
    const inner = memory({ clock })
    const errand = createErrand({
      store: { ...inner, get: () => new Promise<never>(() => undefined) },
    })
    const job = await errand.enqueue(add, input)
    const refused = assert.rejects(job.result({ timeout: '5s' }), {
      code: 'result-timeout',
      message: /did not answer within 5 s/,
    })
    await turns()
    await clock.advance(5_000)
    await refused
  })

  it('is a little before that of the attempt around it, which also ends it', async () => {
    const { clock, errand } = scene()
    const job = await errand.enqueue(add, input)
    const controller = new AbortController()
    const scope: AttemptScope = {
      deadline: clock.now() + 2_000,
      signal: controller.signal,
      job: { id: 'p', queue: 'default', task: 'parent' },
    }
    const refused = assert.rejects(
      attemptScope.run(scope, () => job.result()),
      {
        code: 'result-timeout',
        message:
          /after 1.9 s.*inside parent p, which is in the same queue: parents that await children in their own queue may hold all slots/,
      },
    )
    await turns()
    await clock.advance(1_900)
    await refused

    const reason = new ErrandError('cancelled', 'cancelled')
    const aborted = assert.rejects(
      attemptScope.run({ ...scope, deadline: Infinity }, () => job.result()),
      (error) => error === reason,
    )
    await turns()
    controller.abort(reason)
    await aborted
  })

  it('ends early with the caller’s signal, and with the app', async () => {
    const { errand } = scene()
    const job = await errand.enqueue(add, input)
    const controller = new AbortController()
    const aborted = assert.rejects(job.result({ signal: controller.signal }), {
      name: 'AbortError',
    })
    const closed = assert.rejects(job.result(), { code: 'closed' })
    await turns()
    controller.abort()
    await aborted
    await errand.close()
    await closed
  })
})
