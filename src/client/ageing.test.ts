/** Queues in which waiting makes up for priority. */
import assert from 'node:assert/strict'
import test from 'node:test'
import { App, type ErrandConfig } from '../app/app.ts'
import { describeTask } from '../app/registered-tasks.ts'
import { exponential } from '../core/backoff.ts'
import { task } from '../core/task.ts'
import { createErrand } from '../errand.ts'
import type { RunningJob } from '../core/running-job.ts'
import { memory } from '../stores/memory/index.ts'
import { drain } from '../testing/drain.ts'
import { VirtualClock } from '../testing/virtual-clock.ts'

const mail = task<string>({ name: 'mail', queue: 'mail' })
const minute = 60_000

function scene(config: Partial<ErrandConfig<unknown>> = {}) {
  const clock = new VirtualClock()
  const store = memory({ clock })
  const errand = createErrand({ store, queues: { mail: { ageing: '1m' } }, ...config })
  const order = async (): Promise<unknown[]> => {
    const { jobs } = await store.claim({
      worker: 'w',
      queues: [{ name: 'mail', limit: 100 }],
      others: 0,
      limit: 100,
      leaseMs: minute,
      maxLosses: null,
      id: null,
    })
    return jobs.map(({ input }) => JSON.parse(input))
  }
  return { clock, store, errand, order }
}

test('a job overtakes one of lower priority once it has waited longer by a step for each', async () => {
  const { clock, errand, order } = scene()
  await errand.enqueue(mail, 'waits', { priority: 3 })
  await errand.enqueue(mail, 'urgent', { priority: -2 })
  for (const at of [1, 2, 3, 4, 5, 6]) {
    await clock.advance(minute)
    await errand.enqueue(mail, `at ${at}`)
    if (at === 4) await errand.enqueue(mail, 'urgent at 4', { priority: -2 })
  }
  assert.deepEqual(await order(), [
    'urgent',
    'at 1',
    'at 2',
    'urgent at 4',
    'waits',
    'at 3',
    'at 4',
    'at 5',
    'at 6',
  ])
})

test('without ageing a lower priority goes before any wait', async () => {
  for (const queues of [{}, { mail: { ageing: 'none' as const } }]) {
    const { clock, errand, order } = scene({ queues, ...(queues.mail && { ageing: '1s' }) })
    await errand.enqueue(mail, 'waits', { priority: 1 })
    await clock.advance(24 * 60 * minute)
    await errand.enqueue(mail, 'new')
    assert.deepEqual(await order(), ['new', 'waits'])
  }
})

test('ageing of the app holds for queues that say nothing of it', async () => {
  const { clock, errand, order } = scene({ ageing: '10s', queues: { mail: { slots: 2 } } })
  await errand.enqueue(mail, 'waits', { priority: 1 })
  await clock.advance(9_000)
  await errand.enqueue(mail, 'before')
  await clock.advance(2_000)
  await errand.enqueue(mail, 'behind')
  assert.deepEqual(await order(), ['before', 'waits', 'behind'])
})

test('a job shows the priority that it was given, wherever it is looked at', async () => {
  const seen: number[] = []
  const look = task({
    name: 'look',
    queue: 'mail',
    retry: { limit: 1, backoff: exponential({ first: '1s' }) },
    run: (_: unknown, job: RunningJob) => {
      seen.push(job.priority)
      if (job.attempt === 1) throw new Error('again')
    },
  })
  const { errand } = scene({ tasks: [look] })
  const { id } = await errand.enqueue(look, undefined, { priority: -7, retry: { limit: 2 } })
  assert.equal((await errand.jobs.get(id))?.priority, -7)
  await drain(errand, { until: 'empty' })
  assert.deepEqual(seen, [-7, -7])
  assert.equal((await errand.jobs.get(id))?.priority, -7)
})

test('who enqueues by name keeps to the ageing of the queue, in that queue alone', async () => {
  const { store, clock, order } = scene()
  const app = new App({ store, queues: { mail: { ageing: '1m', deadline: '1h' } } }, '/')
  await store.registerTasks([describeTask(app, task({ name: 'mail', queue: 'mail', priority: 1 }))])
  const producer = createErrand({ store, queues: { other: {} } })
  await producer.enqueue('mail', 'waits')
  const { id } = await producer.enqueue('mail', 'elsewhere', { queue: 'other' })
  const [elsewhere] = await store.get([id])
  assert.deepEqual([elsewhere?.priority, elsewhere?.options], [1, null])
  await clock.advance(2 * minute)
  await producer.enqueue('mail', 'new', { priority: 0 })
  assert.deepEqual(await order(), ['waits', 'new'])
})

test('a step that is none is refused', () => {
  const { store } = scene()
  for (const ageing of [0, -1, '8d', 'soon', true] as never[]) {
    assert.throws(() => createErrand({ store, ageing }), { code: 'invalid-option' })
    assert.throws(() => createErrand({ store, queues: { mail: { ageing } } }), {
      code: 'invalid-option',
      message: /queues\["mail"\]\.ageing/,
    })
  }
  const inTask = { name: 'x', ageing: '1m' } as never
  assert.throws(() => task(inTask), { code: 'invalid-option' })
})
