import assert from 'node:assert/strict'
import { test } from 'node:test'
import { App } from '../app/app.ts'
import { cancelCalls } from '../app/cancel.ts'
import { Client } from '../client/client.ts'
import { ErrandError, isErrandError } from '../core/errors.ts'
import { task } from '../core/task.ts'
import type { ClaimedJob } from '../store/job.ts'
import type { Store } from '../store/store.ts'
import { memory } from '../stores/memory/index.ts'
import { finish } from '../testing/conformance/jobs.ts'
import { VirtualClock } from '../testing/virtual-clock.ts'
import { AttemptCalls } from './calls.ts'
import { Records } from './records.ts'
import type { CallRequest } from './runner.ts'

const parent = task({ name: 'parent', run: () => 0 })
const child = task({ name: 'child', run: () => 0 })
const leaseMs = 1_000

/** A job that is claimed, and what makes its calls; what it calls is ended as soon as it waits. */
async function claimed(frozen: (store: Store) => Store = (store) => store) {
  const clock = new VirtualClock()
  const store = memory({ clock })
  const app = new App({ store, tasks: [parent, child] }, process.cwd())
  const client = new Client(app)
  const { id } = await client.insert([await client.prepare(parent, undefined)])
  const claim = async (): Promise<ClaimedJob> => {
    const queues = [{ name: 'default', limit: 1 }]
    const { jobs } = await store.claim({
      worker: 'w',
      queues,
      others: 0,
      limit: 1,
      leaseMs,
      maxLosses: 9,
      id: null,
    })
    const [job] = jobs
    assert.ok(job)
    return job
  }
  const job = await claim()
  assert.equal(job.id, id)
  const waits: string[] = []
  const calls = new AttemptCalls(
    {
      store: frozen(store),
      records: new Records(frozen(store)),
      results: client.results,
      events: { tracing: null },
    },
    job,
    () => 0,
    { rest: () => void waits.push('rest'), back: async () => void waits.push('back') },
  )
  const request = async (name: string, unique?: true): Promise<CallRequest> => ({
    name,
    job: await client.prepare(child, undefined, unique && { unique }),
    before: [],
    input: 'hash',
  })
  const children = async (): Promise<number> =>
    (await store.list({ tasks: ['child'], limit: 100 })).jobs.length
  return { clock, store, calls, request, children, job, waits }
}

const cancelled = (): ErrandError => new ErrandError('cancelled', 'asked to end')

test('a stale run makes no call: nothing is inserted that was not recorded', async () => {
  const { clock, store, calls, request, children, job } = await claimed()
  void calls.make(await request('call/1/child')).catch(() => undefined)
  while ((await children()) < 1) await clock.advance(1)
  await clock.advance(leaseMs + 1)
  const rescue = { worker: 'x', tasks: ['parent'], limit: 9, leaseMs }
  const [taken] = (await store.rescue(rescue)).jobs
  assert.equal(taken?.id, job.id)
  await assert.rejects(calls.make(await request('call/2/child')), (error: unknown) =>
    isErrandError(error, 'lease-lost'),
  )
  assert.equal(await children(), 1)
  const [first, ...rest] = await store.recorded({ id: job.id, after: null, limit: 9 })
  assert.deepEqual([first?.name, rest], ['call/1/child', []])
  calls.abort(cancelled())
})

for (const [what, unique] of [
  ['a job', undefined],
  ['a unique job', true],
] as const) {
  test(`a worker that stands still before any call of its store, while the caller of ${what} is cancelled, leaves no orphan`, async () => {
    for (let standsAt = 1; ; standsAt++) {
      const thawed = Promise.withResolvers<void>()
      let made = 0
      const freezing = (store: Store): Store =>
        new Proxy(store, {
          get(target, name) {
            const value: unknown = Reflect.get(target, name, target)
            if (typeof value !== 'function') return value
            const method = value as (...args: unknown[]) => unknown
            return async (...args: unknown[]) => {
              if (++made >= standsAt) await thawed.promise
              return method.apply(target, args)
            }
          },
        })
      const { clock, store, calls, request, job } = await claimed(freezing)
      const called = calls.make(await request('call/1/child', unique)).catch(() => undefined)
      for (let turn = 0; turn < 50; turn++) await clock.advance(0)
      await clock.advance(leaseMs + 1)
      const rescue = { worker: 'x', tasks: ['parent'], limit: 9, leaseMs }
      const [taken] = (await store.rescue(rescue)).jobs
      assert.ok(taken)
      await cancelCalls(store, job.id)
      await store.settle([finish(taken, { state: 'cancelled', reason: 'enough' })])
      thawed.resolve()
      for (let turn = 0; turn < 50; turn++) await clock.advance(0)
      const { jobs } = await store.list({ tasks: ['child'], limit: 9 })
      assert.deepEqual(
        jobs.filter(({ state }) => state !== 'cancelled'),
        [],
        `it stood still before call ${standsAt}`,
      )
      calls.abort(cancelled())
      await called
      if (made < standsAt) return
    }
  })
}

test('an aborted call rejects at once with the reason, wherever it is', async () => {
  const { clock, calls, request, children, waits } = await claimed()
  const made = calls.make(await request('call/1/child'))
  made.catch(() => undefined)
  while ((await children()) < 1) await clock.advance(1)
  while (waits.length === 0) await clock.advance(1)
  const reason = cancelled()
  calls.abort(reason)
  await assert.rejects(made, reason)
  await assert.rejects(calls.make(await request('call/2/child')), reason)
  assert.equal(await children(), 1)
})
