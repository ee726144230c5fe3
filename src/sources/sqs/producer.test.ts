import assert from 'node:assert/strict'
import { after, describe, test, type TestContext } from 'node:test'
import { isErrandError, type ErrandErrorCode } from '../../core/errors.ts'
import { task } from '../../core/task.ts'
import { createErrand } from '../../errand.ts'
import { memory } from '../../stores/memory/index.ts'
import { startSqs } from '../../../test/sqs-server.ts'
import { sqs, sqsProducer, type SqsProducer, type SqsSentJob } from './index.ts'

const server = await startSqs()
after(() => server.stop())

const add = task<{ a: number }, number>({ name: 'add', run: ({ a }) => a })
const patienceMs = 20_000
let queues = 0

function made(t: TestContext, isFifo = false): { queue: string; producer: SqsProducer } {
  const queue = `p${++queues}${isFifo ? '.fifo' : ''}`
  server.fauxqs.createQueue(queue, { attributes: isFifo ? { FifoQueue: 'true' } : {} })
  const producer = sqsProducer({ queue, client: server.client })
  t.after(async () => {
    server.intercept(null)
    await producer.close()
  })
  return { queue, producer }
}

function lying(queue: string): readonly string[] {
  return server.fauxqs.inspectQueue(queue)!.messages.ready.map(({ body }) => body)
}

async function refused(
  sending: Promise<unknown>,
  code: ErrandErrorCode,
  unconfirmed: readonly string[],
): Promise<void> {
  await assert.rejects(sending, (error) => {
    assert.ok(isErrandError(error, code), String(error))
    const found = error.details['unconfirmed'] as { index: number; id: string; why: string }[]
    assert.deepEqual(
      found.map(({ index, id, why }) => `${index} ${id} ${why}`),
      unconfirmed,
    )
    return true
  })
}

const some = (count: number): SqsSentJob[] =>
  Array.from({ length: count }, (_, a) => ({ task: add, input: { a }, id: `id-${a}` }))

describe('a producer of SQS', () => {
  test('sends jobs that a source reads, each once though it is sent twice', async (t) => {
    const { queue, producer } = made(t)
    const labels = { headers: { tenant: 'a' }, correlationId: 'c', replyTo: 'answers' }
    const [own] = await producer.send([{ task: 'add', input: { a: 100 }, ...labels }])
    assert.match(own!, /^[0-9a-f-]{36}$/)
    assert.deepEqual(
      await producer.send(some(25)),
      some(25).map(({ id }) => id),
    )
    await producer.send(some(25))
    const errand = createErrand({
      store: memory(),
      tasks: [add],
      sources: [sqs({ queues: [queue], client: server.client })],
    })
    t.after(() => errand.close())
    errand.sources.start()
    const endsAt = performance.now() + patienceMs
    const count = () => errand.sources.status[0]!
    while (count().stored + count().known < 51) {
      assert.ok(performance.now() < endsAt, JSON.stringify(count()))
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    const { jobs } = await errand.jobs.list({ limit: 100 })
    assert.equal(jobs.length, 26)
    const labelled = jobs.find(({ input }) => (input as { a: number }).a === 100)!
    const { tenant, 'reply-to': to, 'correlation-id': by } = labelled.headers
    assert.deepEqual([tenant, to, by], ['a', 'answers', 'c'])
  })

  test('names the jobs that are not taken, and says why', async (t) => {
    const { queue, producer } = made(t)
    const jobs = [...some(3), { task: 'add', queue: 'nowhere', id: 'lost' }]
    await refused(producer.send(jobs), 'server-refused', ['3 lost unroutable'])
    assert.equal(lying(queue).length, 3)

    const fail = (SenderFault: boolean) => ({ Id: '1', SenderFault, Code: 'x', Message: 'busy' })
    server.intercept(async ({ name, body }, pass) => {
      if (name !== 'SendMessageBatch') return pass()
      const entries = body['Entries'] as { MessageBody: string }[]
      const answer = await pass({ ...body, Entries: entries.filter((_, n) => n !== 1) })
      return { ...answer, body: { ...answer.body, Failed: [fail(true)] } }
    })
    await refused(producer.send(some(3)), 'server-refused', ['1 id-1 refused'])

    server.intercept(async ({ name }, pass) => (name === 'SendMessageBatch' ? 'cut' : pass()))
    await refused(producer.send(some(2)), 'unknown-outcome', ['0 id-0 unknown', '1 id-1 unknown'])

    const away = sqsProducer({
      queue,
      client: { ...server.client, endpoint: 'http://127.0.0.1:1' },
    })
    await refused(away.send(some(1)), 'server-unavailable', ['0 id-0 unsent'])
    await away.close()
    await refused(away.send(some(1)), 'closed', ['0 id-0 unsent'])
  })

  test('sends again what SQS could not take for a moment', async (t) => {
    const { queue, producer } = made(t)
    let failures = 2
    server.intercept(async ({ name, body }, pass) => {
      if (name !== 'SendMessageBatch' || failures-- <= 0) return pass()
      const [first, ...rest] = body['Entries'] as { Id: string }[]
      const answer =
        rest.length === 0 ? { status: 200, body: {} } : await pass({ ...body, Entries: rest })
      const failed = { Id: first!.Id, SenderFault: false, Code: 'InternalError' }
      return { ...answer, body: { ...answer.body, Failed: [failed] } }
    })
    await producer.send(some(10))
    assert.equal(new Set(lying(queue)).size, 10)
    assert.equal(lying(queue).length, 10)
  })

  test('sends to a FIFO queue in order, and nothing after a failure', async (t) => {
    const { queue, producer } = made(t, true)
    const jobs = some(30).map((job) => ({ ...job, group: 'g' }))
    await producer.send(jobs)
    const numbers = lying(queue).map(
      (body) => (JSON.parse(body) as { input: { a: number } }).input.a,
    )
    assert.deepEqual(
      numbers,
      Array.from({ length: 30 }, (_, n) => n),
    )
    await producer.send(jobs)
    assert.equal(lying(queue).length, 30, 'SQS knows them by their ids')

    let batches = 0
    server.intercept(async ({ name }, pass) =>
      name === 'SendMessageBatch' && ++batches === 2 ? 'cut' : pass(),
    )
    const more = some(30).map((job) => ({ ...job, id: `more-${job.id}`, group: 'g' }))
    const left = more
      .slice(10)
      .map(({ id }, n) => `${n + 10} ${id} ${n < 10 ? 'unknown' : 'unsent'}`)
    await refused(producer.send(more), 'unknown-outcome', left)
  })

  test('sends texts that SQS takes no other way', async (t) => {
    const { queue, producer } = made(t)
    const input = { text: 'a\uFFFF\uFFFE\uD83Db\0' }
    await producer.send([{ task: 'add', input }])
    const [body] = lying(queue)
    assert.deepEqual(JSON.parse(body!), { name: 'add', input })
  })

  test('splits what is too much for one batch', async (t) => {
    const { queue, producer } = made(t)
    const input = 'x'.repeat(120_000)
    await producer.send(Array.from({ length: 7 }, () => ({ task: 'add', input })))
    await producer.send([{ task: 'add', input: 'x'.repeat(1_000_000) }])
    assert.equal(lying(queue).length, 8)
    assert.equal(server.calls.filter((name) => name === 'SendMessageBatch').length > 4, true)
  })

  test('refuses jobs that cannot be sent, before it sends any', async (t) => {
    const { queue, producer } = made(t)
    const many = Object.fromEntries(Array.from({ length: 10 }, (_, n) => [`h${n}`, 'x']))
    for (const [job, code, why] of [
      [{ task: '' }, 'invalid-option', /send\(\), job 1.task/],
      [{ task: 'a', input: NaN }, 'not-json', /job 1/],
      [{ task: 'a', input: 'x'.repeat(2 ** 20) }, 'too-large', /job 1 has 10\d+ bytes/],
      [{ task: 'a', group: 'g' }, 'invalid-option', /only FIFO queues have/],
      [{ task: 'a', queue: 'b.fifo' }, 'invalid-option', /needs a group, for b.fifo/],
      [{ task: 'a', headers: many }, 'invalid-option', /has 11 attributes/],
      [{ task: 'a', headers: { 'a b': 'x' } }, 'invalid-option', /"a b" is not/],
      [{ task: 'a', headers: { a: '' } }, 'invalid-option', /not empty/],
      [{ task: 'a', delay: '1s' }, 'invalid-option', /has no option delay/],
    ] as const) {
      await assert.rejects(producer.send([{ task: 'a' }, job as SqsSentJob]), (error) => {
        assert.ok(isErrandError(error, code), String(error))
        assert.match(error.message, why)
        return true
      })
    }
    assert.deepEqual(lying(queue), [])
    assert.throws(() => sqsProducer({ queu: 'a' } as never), /Did you mean queue\?/)
  })
})
