import assert from 'node:assert/strict'
import { after, describe, test, type TestContext } from 'node:test'
import * as z from 'zod'
import { ErrandError } from '../../core/errors.ts'
import { task } from '../../core/task.ts'
import { createErrand, type Errand } from '../../errand.ts'
import type { Store } from '../../store/store.ts'
import { memory } from '../../stores/memory/index.ts'
import { spying } from '../../testing/by-hand.ts'
import { startSqs } from '../../../test/sqs-server.ts'
import { sqs, type SqsOptions } from './index.ts'

// A poll of an app that has stopped must not take what it gave back.
const server = await startSqs({ endsPolls: true })
after(() => server.stop())

const patienceMs = 30_000
let queues = 0
const add = task({
  name: 'add',
  input: z.object({ a: z.number(), b: z.number().default(1) }),
  run: ({ a, b }) => a + b,
})

/** An app with one queue as its source. */
function started(
  t: TestContext,
  given: Partial<SqsOptions> & { attributes?: Record<string, string>; store?: Store } = {},
): { readonly queue: string; readonly errand: Errand; readonly send: (body: string) => string } {
  const { attributes = {}, store = memory(), ...options } = given
  const queue = `s${++queues}${attributes['FifoQueue'] === 'true' ? '.fifo' : ''}`
  server.fauxqs.createQueue(queue, { attributes })
  const errand = createErrand({
    store,
    tasks: [add],
    sources: [sqs({ queues: [queue], client: server.client, ...options })],
  })
  t.after(async () => {
    server.intercept(null)
    await errand.close()
  })
  errand.sources.start()
  return { queue, errand, send: (body) => server.fauxqs.sendMessage(queue, body).messageId }
}

async function until(holds: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const endsAt = performance.now() + patienceMs
  while (!(await holds())) {
    assert.ok(performance.now() < endsAt, what)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

function isEmpty(queue: string): boolean {
  const { ready, inflight } = server.fauxqs.inspectQueue(queue)!.messages
  return ready.length + inflight.length === 0
}

const jobsOf = async (errand: Errand) => (await errand.jobs.list({ limit: 1_000 })).jobs

describe('jobs from SQS', () => {
  test('come from both forms of messages, and are run', async (t) => {
    const { queue, errand, send } = started(t)
    send('{"name":"add","input":{"a":1,"b":2}}')
    send('{"name":"add","args":[3],"kwargs":{"b":4}}')
    send('{"job":{"namespace":"x","name":"add","args":[5]}}')
    await until(() => isEmpty(queue), 'messages are deleted')
    const worker = errand.worker()
    await worker.start()
    const isDone = async () => (await jobsOf(errand)).every(({ state }) => state === 'completed')
    await until(isDone, 'jobs are run')
    const outputs = (await jobsOf(errand)).map(({ output }) => output as number)
    assert.deepEqual(
      outputs.toSorted((a, b) => a - b),
      [3, 6, 7],
    )
  })

  test('are kept as failed where a message makes no sense, and do not come back', async (t) => {
    const { queue, errand, send } = started(t)
    for (const body of [
      'no json',
      '{"name":"add","input":{"a":NaN}}',
      '{"input":1}',
      '{"name":"add"}',
    ])
      send(body)
    await until(() => isEmpty(queue), 'messages are deleted')
    const jobs = await jobsOf(errand)
    assert.deepEqual(
      jobs.map(({ state, reason }) => `${state} ${reason}`),
      Array.from({ length: 4 }, () => 'failed invalid-message'),
    )
    assert.equal(server.fauxqs.inspectQueue(`${queue}-parked`), undefined)
  })

  test('are one for each message, however often it is delivered', async (t) => {
    const { queue, errand, send } = started(t, { visibility: '1s' })
    let left = 6
    server.intercept(async ({ name }, pass) =>
      name === 'DeleteMessageBatch' && left-- > 0 && left % 2 === 0 ? 'cut' : pass(),
    )
    for (let n = 0; n < 200; n++) send(`{"name":"add","input":{"a":${n}}}`)
    await until(() => isEmpty(queue), 'messages are deleted')
    const jobs = await jobsOf(errand)
    assert.equal(jobs.length, 200)
    const [status] = errand.sources.status
    assert.ok(status!.known > 0, 'messages came again')
  })

  test('keep the order of a group', async (t) => {
    const { queue, errand } = started(t, {
      attributes: { FifoQueue: 'true', ContentBasedDeduplication: 'true' },
    })
    for (let n = 0; n < 30; n++)
      for (const group of ['one', 'two'])
        server.fauxqs.sendMessage(
          queue,
          `{"name":"add","input":{"a":${n}}}`.padEnd(60 + group.length + n),
          { messageGroupId: group, messageDeduplicationId: `${group}-${n}` },
        )
    await until(() => isEmpty(queue), 'messages are deleted')
    const ran: string[] = []
    errand.on('run-started', ({ id }) => ran.push(id))
    const worker = errand.worker({ slots: 1 })
    await worker.start()
    await until(() => ran.length === 60, 'jobs are run')
    const byId = new Map((await jobsOf(errand)).map((job) => [job.id, job]))
    for (const group of ['one', 'two']) {
      const ofGroup = ran
        .map((id) => byId.get(id)!)
        .filter(({ headers }) => headers['message-group-id'] === group)
      assert.deepEqual(
        ofGroup.map(({ input }) => (input as { a: number }).a),
        Array.from({ length: 30 }, (_, n) => n),
      )
    }
  })

  test('wait for a store that is away, while their messages stay hidden', async (t) => {
    let isAway = true
    const store = spying(memory(), (call) => {
      if (call === 'insert' && isAway) throw new ErrandError('store-unavailable', 'away')
    })
    const { queue, errand, send } = started(t, { visibility: '1s', store })
    for (let n = 0; n < 20; n++) send(`{"name":"add","input":{"a":${n}}}`)
    await until(() => errand.sources.status[0]!.held.messages === 20, 'messages are held')
    await new Promise((resolve) => setTimeout(resolve, 3_000))
    const { ready, inflight } = server.fauxqs.inspectQueue(queue)!.messages
    assert.deepEqual([ready.length, inflight.length], [0, 20])
    for (const { message } of inflight) assert.equal(message.approximateReceiveCount, 1)
    assert.match(errand.sources.status[0]!.lastError ?? '', /away/)
    isAway = false
    await until(() => isEmpty(queue), 'messages are deleted')
    assert.equal((await jobsOf(errand)).length, 20)
  })

  test('are given back at a stop when their store is away', async (t) => {
    const store = spying(memory(), (call) => {
      if (call === 'insert') throw new ErrandError('store-unavailable', 'away')
    })
    const { queue, errand, send } = started(t, { visibility: '1h', store })
    await until(() => server.calls.includes('ReceiveMessage'), 'it polls')
    send('{"name":"add","input":{"a":1}}')
    await until(() => errand.sources.status[0]!.held.messages === 1, 'a message is held')
    await errand.sources.stop()
    const other = createErrand({
      store: memory(),
      tasks: [add],
      sources: [sqs({ queues: [queue], client: server.client, visibility: '1s' })],
    })
    t.after(() => other.close())
    other.sources.start()
    await until(async () => (await jobsOf(other)).length === 1, 'another gets it')
  })
})
