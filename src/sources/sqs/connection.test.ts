import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { after, describe, test, type TestContext } from 'node:test'
import { isErrandError } from '../../core/errors.ts'
import { startSqs, type SqsAnswer } from '../../../test/sqs-server.ts'
import type { SourceConnection, SourceMessage } from '../source.ts'
import { sqs, type SqsOptions } from './index.ts'

const server = await startSqs()
after(() => server.stop())

const room = { messages: 1_000, bytes: 32 * 1_024 * 1_024 }
const patienceMs = 20_000
let queues = 0

/** A new queue, with a connection to it. */
async function connected(
  t: TestContext,
  given: Partial<SqsOptions> & { readonly attributes?: Record<string, string> } = {},
): Promise<{ readonly queue: string; readonly connection: SourceConnection }> {
  const { attributes = {}, ...options } = given
  const queue = `q${++queues}${attributes['FifoQueue'] === 'true' ? '.fifo' : ''}`
  server.fauxqs.createQueue(queue, { attributes })
  const connection = await open(t, { queues: [queue], ...options })
  t.after(() => server.intercept(null))
  return { queue, connection }
}

async function open(t: TestContext, options: SqsOptions): Promise<SourceConnection> {
  const source = sqs({ client: server.client, ...options })
  const connection = await source.connect(AbortSignal.timeout(patienceMs))
  t.after(() => connection.close())
  return connection
}

async function pulled(
  connection: SourceConnection,
  count: number,
  most = room,
): Promise<readonly SourceMessage[]> {
  const signal = AbortSignal.timeout(patienceMs)
  const found: SourceMessage[] = []
  while (found.length < count && !signal.aborted)
    found.push(...(await connection.pull(most, signal)))
  assert.equal(found.length, count)
  return found
}

async function until(holds: () => boolean, what: string): Promise<void> {
  const endsAt = performance.now() + patienceMs
  while (!holds()) {
    assert.ok(performance.now() < endsAt, what)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

/** How many messages lie in a queue, to be received and received. */
function lie(queue: string): { readonly ready: number; readonly held: number } {
  const { ready = [], inflight = [] } = server.fauxqs.inspectQueue(queue)?.messages ?? {}
  return { ready: ready.length, held: inflight.length }
}

const texts = (messages: readonly SourceMessage[]): string[] =>
  messages.map(({ body }) => Buffer.from(body).toString())

describe('a connection to SQS', () => {
  test('brings messages as they were sent, and forgets what is acknowledged', async (t) => {
    const { queue, connection } = await connected(t)
    const bodies = Array.from({ length: 25 }, (_, n) => `{"n":${n},"text":"č"}`)
    const ids = bodies.map((body) => server.fauxqs.sendMessage(queue, body).messageId)
    const messages = await pulled(connection, 25)
    assert.deepEqual(texts(messages).toSorted(), bodies.toSorted())
    assert.deepEqual(messages.map(({ id }) => String(id)).toSorted(), ids.toSorted())
    for (const { queue: name, size, body } of messages)
      assert.deepEqual([name, size], [queue, body.length])
    assert.deepEqual(lie(queue), { ready: 0, held: 25 })
    await connection.acknowledge(messages)
    assert.deepEqual(lie(queue), { ready: 0, held: 0 })
  })

  test('waits for messages, and stops waiting when it is told to', async (t) => {
    const { queue, connection } = await connected(t)
    const soon = AbortSignal.timeout(300)
    assert.deepEqual(await connection.pull(room, soon), [])
    const pulling = connection.pull(room, AbortSignal.timeout(patienceMs))
    setTimeout(() => server.fauxqs.sendMessage(queue, 'late'), 300)
    assert.deepEqual(texts(await pulling), ['late'])
    assert.ok(server.calls.filter((name) => name === 'ReceiveMessage').length < 20)
  })

  test('brings no more than there is room for, from several queues in turn', async (t) => {
    const { queue } = await connected(t)
    const { queue: other } = await connected(t)
    const connection = await open(t, { queues: [queue, other] })
    for (let n = 0; n < 30; n++)
      for (const one of [queue, other]) server.fauxqs.sendMessage(one, 'x'.repeat(100))
    const signal = AbortSignal.timeout(patienceMs)
    const seen: SourceMessage[] = []
    while (seen.length < 60) {
      const got = await connection.pull({ messages: 3, bytes: 250 }, signal)
      assert.ok(got.length <= 2, 'three messages are more bytes than there is room for')
      seen.push(...got)
      if (seen.length < 10) assert.ok(lie(queue).held + lie(other).held <= seen.length + 3)
      await connection.acknowledge(got)
    }
    const early = new Set(seen.slice(0, 20).map(({ queue }) => queue))
    assert.deepEqual([...early].toSorted(), [queue, other].toSorted())
    const large = 'x'.repeat(1_000)
    server.fauxqs.sendMessage(queue, large)
    assert.deepEqual(texts(await pulled(connection, 1, { messages: 3, bytes: 250 })), [large])
  })

  test('keeps messages hidden for as long as they are held', async (t) => {
    const { queue, connection } = await connected(t, { visibility: '1s' })
    for (let n = 0; n < 12; n++) server.fauxqs.sendMessage(queue, String(n))
    const messages = await pulled(connection, 12)
    await new Promise((resolve) => setTimeout(resolve, 3_000))
    assert.deepEqual(lie(queue), { ready: 0, held: 12 })
    await connection.acknowledge(messages.slice(1))
    await connection.close()
    // What is held at a close comes to others.
    assert.equal((await pulled(await open(t, { queues: [queue] }), 1))[0]!.id, messages[0]!.id)
  })

  test('gives messages back', async (t) => {
    const { queue, connection } = await connected(t, { visibility: '2s' })
    server.fauxqs.sendMessage(queue, 'again')
    const [first] = await pulled(connection, 1)
    assert.deepEqual(first!.headers, {})
    await connection.giveBack([first!])
    const [second] = await pulled(connection, 1)
    assert.equal(second!.id, first!.id)
    assert.deepEqual(second!.headers, { 'receive-count': '2' })
  })

  test('knows a message by what its sender says, else by its MessageId', async (t) => {
    const fifo = { FifoQueue: 'true' }
    const body = '{"same":true}'
    const own = { 'message-id': { DataType: 'String', StringValue: 'own' } }
    const standard = await connected(t)
    const { messageId } = server.fauxqs.sendMessage(standard.queue, body)
    server.fauxqs.sendMessage(standard.queue, body, { messageAttributes: own })
    const ids = (await pulled(standard.connection, 2)).map(({ id }) => String(id))
    assert.deepEqual(ids.toSorted(), [messageId, 'own'].toSorted())

    const explicit = await connected(t, { attributes: fifo })
    const hash = createHash('sha256').update(body).digest('hex')
    for (const id of ['d1', hash]) {
      const fields = { messageGroupId: id, messageDeduplicationId: id }
      server.fauxqs.sendMessage(explicit.queue, body, fields)
    }
    const known = (await pulled(explicit.connection, 2)).map(({ id }) => String(id))
    assert.deepEqual(known.toSorted(), ['d1', hash].toSorted())

    const hashing = await connected(t, {
      attributes: { ...fifo, ContentBasedDeduplication: 'true' },
    })
    const sent = server.fauxqs.sendMessage(hashing.queue, body, { messageGroupId: 'g' })
    const [hashed] = await pulled(hashing.connection, 1)
    assert.equal(hashed!.id, sent.messageId, 'the same body may be sent again tomorrow')
    assert.deepEqual(hashed!.headers, { 'message-group-id': 'g' })

    const byBody = await connected(t, { identity: 'hash' })
    server.fauxqs.sendMessage(byBody.queue, body)
    assert.equal((await pulled(byBody.connection, 1))[0]!.id, null)
  })

  test('keeps the order of a group', async (t) => {
    const { queue, connection } = await connected(t, {
      attributes: { FifoQueue: 'true', ContentBasedDeduplication: 'true' },
    })
    const bodies = Array.from({ length: 35 }, (_, n) => String(n))
    for (const body of bodies) server.fauxqs.sendMessage(queue, body, { messageGroupId: 'one' })
    const seen: string[] = []
    while (seen.length < 35) {
      const got = await connection.pull(room, AbortSignal.timeout(patienceMs))
      seen.push(...texts(got))
      await connection.acknowledge(got)
    }
    assert.deepEqual(seen, bodies)
  })

  test('sets aside what is too long, with its attributes, in the dead-letter queue or beside it', async (t) => {
    const messageAttributes = { 'reply-to': { DataType: 'String', StringValue: 'answers' } }
    for (const isFifo of [false, true]) {
      const attributes = isFifo ? { FifoQueue: 'true', ContentBasedDeduplication: 'true' } : {}
      const group = isFifo ? { messageGroupId: 'g' } : {}
      const { queue, connection } = await connected(t, { attributes })
      server.fauxqs.sendMessage(queue, 'long', { messageAttributes, ...group })
      const [message] = await pulled(connection, 1)
      assert.deepEqual(message!.headers['reply-to'], 'answers')
      const parked = isFifo ? queue.replace('.fifo', '-parked.fifo') : `${queue}-parked`
      const place = await connection.setAside(message!)
      assert.match(place, new RegExp(`^SQS queue ${parked}, message [0-9a-f-]+$`))
      assert.deepEqual(lie(queue), { ready: 0, held: 1 })
      await connection.acknowledge([message!])
      const there = await open(t, { queues: [parked] })
      const [kept] = await pulled(there, 1)
      assert.equal(texts([kept!])[0], 'long')
      assert.equal(kept!.headers['reply-to'], 'answers')
    }
    const dead = server.fauxqs.createQueue('dead')
    const RedrivePolicy = JSON.stringify({ deadLetterTargetArn: dead.queueArn, maxReceiveCount: 5 })
    const { queue, connection } = await connected(t, { attributes: { RedrivePolicy } })
    server.fauxqs.sendMessage(queue, 'long')
    const [message] = await pulled(connection, 1)
    assert.match(await connection.setAside(message!), /^SQS queue dead, message/)
    assert.equal(lie('dead').ready, 1)
  })

  test('deletes again what SQS could not delete, and says so when it goes on', async (t) => {
    const { queue, connection } = await connected(t)
    for (let n = 0; n < 10; n++) server.fauxqs.sendMessage(queue, String(n))
    let failures = 2
    const refuse = (body: Record<string, unknown>, answer: SqsAnswer): SqsAnswer => {
      const [first] = body['Entries'] as { Id: string }[]
      const failed = { Id: first!.Id, SenderFault: false, Code: 'InternalError', Message: 'busy' }
      return { ...answer, body: { ...answer.body, Failed: [failed] } }
    }
    server.intercept(async ({ name, body }, pass) => {
      if (name !== 'DeleteMessageBatch' || failures-- <= 0) return pass()
      const Entries = (body['Entries'] as unknown[]).slice(1)
      return refuse(
        body,
        await (Entries.length === 0 ? { status: 200, body: {} } : pass({ ...body, Entries })),
      )
    })
    await connection.acknowledge(await pulled(connection, 10))
    assert.deepEqual(lie(queue), { ready: 0, held: 0 })

    server.fauxqs.sendMessage(queue, 'stays')
    failures = Infinity
    const messages = await pulled(connection, 1)
    await assert.rejects(connection.acknowledge(messages), (error) => {
      assert.ok(isErrandError(error, 'server-unavailable'))
      assert.match(
        error.message,
        /did not delete 1 messages, which will be delivered again: InternalError: busy/,
      )
      return true
    })
  })

  test('is lost with an error that names the queue when SQS refuses, breaks off or is gone', async (t) => {
    for (const answer of [
      { status: 403, body: { __type: 'AccessDenied', message: 'not allowed' } },
      'cut',
    ] as const) {
      const { queue, connection } = await connected(t)
      server.intercept(async ({ name }, pass) => (name === 'ReceiveMessage' ? answer : pass()))
      await assert.rejects(connection.pull(room, AbortSignal.timeout(patienceMs)), (error) => {
        assert.ok(isErrandError(error))
        assert.match(error.message, new RegExp(`^SQS queue ${queue}: `))
        return true
      })
      assert.ok(connection.lost.aborted)
      await assert.rejects(connection.pull(room, AbortSignal.timeout(patienceMs)))
      server.intercept(null)
    }
  })

  test('is lost when messages cannot be kept hidden', async (t) => {
    const { queue, connection } = await connected(t, { visibility: '1s' })
    server.fauxqs.sendMessage(queue, 'x')
    await pulled(connection, 1)
    server.intercept(async ({ name }, pass) =>
      name === 'ChangeMessageVisibilityBatch' ? 'silence' : pass(),
    )
    await until(() => connection.lost.aborted, 'a silent server is noticed')
  })

  test('closes within its time though the server is silent', async (t) => {
    const { queue, connection } = await connected(t)
    server.fauxqs.sendMessage(queue, 'x')
    await pulled(connection, 1)
    server.intercept(async () => 'silence')
    const from = performance.now()
    await connection.close()
    assert.ok(performance.now() - from < 6_000)
  })

  test('is not opened where a queue is missing, or nothing answers', async () => {
    const missing = sqs({ queues: ['nothing-here'], client: server.client })
    await assert.rejects(missing.connect(AbortSignal.timeout(patienceMs)), (error) => {
      assert.ok(isErrandError(error, 'server-refused'))
      assert.match(error.message, /^SQS queue nothing-here: QueueDoesNotExist: /)
      return true
    })
    const client = { ...server.client, endpoint: 'http://127.0.0.1:1' }
    await assert.rejects(
      sqs({ queues: ['a'], client }).connect(AbortSignal.timeout(patienceMs)),
      (error) => isErrandError(error, 'server-unavailable'),
    )
  })
})

describe('sqs()', () => {
  test('refuses options that cannot work', () => {
    for (const [options, why] of [
      [{}, /sqs\(\)\.queues must be a list/],
      [{ queues: [] }, /must name at least one queue/],
      [{ queues: ['a', 'a'] }, /each once/],
      [{ queues: [''] }, /sqs\(\)\.queues\[0\] must be a text/],
      [{ queues: ['a'], client: 'secret' }, /sqs\(\)\.client takes what new SQSClient\(\) takes/],
      [{ queues: ['a'], visibility: 0 }, /a duration from 1 s to 12 h/],
      [{ queues: ['a'], visibility: '13h' }, /a duration from 1 s to 12 h/],
      [{ queues: ['a'], visiblity: '1m' }, /Did you mean visibility\?/],
    ] as const) {
      assert.throws(
        () => sqs(options as unknown as SqsOptions),
        (error) => {
          assert.ok(isErrandError(error, 'invalid-option'), String(error))
          assert.match(error.message, why)
          assert.ok(!error.message.includes('secret'))
          return true
        },
      )
    }
  })
})
