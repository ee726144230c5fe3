/** RabbitMQ as a source, as a way for jobs, and as a place for results; with the rules of sources. */
import assert from 'node:assert/strict'
import { after, describe, test, type TestContext } from 'node:test'
import type { ConfirmChannel, GetMessage } from 'amqplib'
import { createErrand, isErrandError, task, type Errand } from '../../src/index.ts'
import { rabbitmq, rabbitmqProducer, rabbitmqResults } from '../../src/sources/rabbitmq/index.ts'
import { memory } from '../../src/stores/memory/index.ts'
import { runRules, sourceRules } from '../../src/testing/conformance/index.ts'
import { findRabbitmq, withModel } from '../rabbitmq-server.ts'
import { eventually } from './eventually.ts'
import { rabbitmqPlace } from './rabbitmq-place.ts'

const service = await findRabbitmq()
const echo = task({ name: 'echo', run: (input: unknown) => input })
let queues = 0

if (service !== null) {
  const { url } = service
  after(() => service.stop())

  describe('RabbitMQ', { concurrency: 4 }, () => {
    runRules({ test, harness: { create: () => rabbitmqPlace(url) }, rules: sourceRules })
  })

  /** A name of its own; it is removed after the test, with the queues for what is parked of it. */
  const queueOf = (context: TestContext): string => {
    const queue = `own-${process.pid}-${queues++}`
    context.after(() =>
      onChannel(async (channel) => {
        for (const name of [queue, `${queue}.parked`, `${queue}.letters`])
          await channel.deleteQueue(name)
      }),
    )
    return queue
  }
  const onChannel = <T>(use: (channel: ConfirmChannel) => Promise<T>): Promise<T> =>
    withModel(url, async (model) => use(await model.createConfirmChannel()))
  const consuming = (context: TestContext, queue: string, tasks = [echo]): Errand => {
    const source = rabbitmq({ url, queues: [queue] })
    const errand = createErrand({ store: memory(), tasks, sources: [source] })
    context.after(() => errand.close())
    errand.sources.start()
    return errand
  }
  const connected = (errand: Errand): Promise<void> =>
    eventually(() => assert.equal(errand.sources.status[0]?.state, 'connected'))
  const taken = (queue: string): Promise<GetMessage> =>
    eventually(() =>
      onChannel(async (channel) => {
        const message = await channel.get(queue, { noAck: true })
        return message === false ? assert.fail(`nothing in ${queue}`) : message
      }),
    )
  const long = Buffer.from(JSON.stringify({ name: 'echo', input: 'x'.repeat(1_100_000) }))

  test('a missing queue is declared durable, with a limit of deliveries and a place for dead letters', async (context) => {
    const queue = queueOf(context)
    await connected(consuming(context, queue))
    await onChannel((channel) =>
      channel.assertQueue(queue, {
        durable: true,
        arguments: {
          'x-queue-type': 'quorum',
          'x-delivery-limit': 50,
          'x-dead-letter-exchange': '',
          'x-dead-letter-routing-key': `${queue}.parked`,
          'x-dead-letter-strategy': 'at-least-once',
          'x-overflow': 'reject-publish',
        },
      }),
    )
    await onChannel((channel) => channel.checkQueue(`${queue}.parked`))
  })

  test('what is too long goes whole to where dead letters go, or else beside the queue', async (context) => {
    const own = queueOf(context)
    const [plain, dead] = [queueOf(context), queueOf(context)]
    const exchange = `dead-${process.pid}`
    await onChannel(async (channel) => {
      await channel.assertQueue(plain, { durable: false, autoDelete: true, maxPriority: 3 })
      await channel.assertExchange(exchange, 'fanout', { autoDelete: true })
      await channel.assertQueue(dead, { messageTtl: 3_600_000, deadLetterExchange: exchange })
      await channel.assertQueue(`${dead}.letters`, { autoDelete: true })
      await channel.bindQueue(`${dead}.letters`, exchange, '')
    })
    const places = [
      [own, `${own}.parked`, /dead-lettered/],
      [plain, `${plain}.parked`, /in the queue/],
      [dead, `${dead}.letters`, /the exchange dead-/],
    ] as const
    for (const [queue, place, words] of places) {
      const errand = consuming(context, queue)
      await connected(errand)
      await onChannel(async (channel) => {
        channel.sendToQueue(queue, long, { messageId: 'long', correlationId: 'c' })
        await channel.waitForConfirms()
      })
      await eventually(() => assert.equal(errand.sources.status[0]?.parked, 1))
      const [job] = (await errand.jobs.list()).jobs
      assert.ok(job !== undefined)
      const { rest, body, size } = job.input as { rest: string; body: string; size: number }
      assert.match(rest, words)
      assert.deepEqual([body.length, size], [65_536, long.length])
      const { content, properties } = await taken(place)
      assert.ok(content.equals(long))
      assert.equal(properties.correlationId, 'c')
      const left = await onChannel((channel) => channel.checkQueue(queue))
      assert.equal(left.messageCount, 0)
    }
  })

  test('a job goes out and comes back as it was sent, once for each id', async (context) => {
    const queue = queueOf(context)
    const errand = consuming(context, queue)
    await connected(errand)
    await using producer = rabbitmqProducer({ url, queue })
    const inputs = [null, 7, 'ä 👍', [1, [2]], { a: { b: null } }]
    const jobs = inputs.map((input, n) => ({
      task: echo,
      input,
      id: `id-${n}`,
      correlationId: 'c',
      headers: { tenant: 't' },
    }))
    const ids = await producer.send(jobs)
    assert.deepEqual(ids, ['id-0', 'id-1', 'id-2', 'id-3', 'id-4'])
    await producer.send(jobs)
    await eventually(() => assert.equal(errand.sources.status[0]?.known, 5))
    const stored = (await errand.jobs.list()).jobs
    assert.deepEqual(
      stored.map(({ input }) => JSON.stringify(input)).toSorted(),
      inputs.map((input) => JSON.stringify(input)).toSorted(),
    )
    for (const {
      headers,
      headers: { 'message-id': id },
    } of stored)
      assert.deepEqual(headers, { 'correlation-id': 'c', 'message-id': id, tenant: 't' })
  })

  test('a producer names what is not confirmed, and the rest is sent', async (context) => {
    const queue = queueOf(context)
    const errand = consuming(context, queue)
    await connected(errand)
    const producer = rabbitmqProducer({ url })
    const jobs = Array.from({ length: 3_000 }, (_, n) => ({
      task: 'echo',
      input: n,
      queue: n % 1_000 === 999 ? 'nowhere' : queue,
      id: `n-${n}`,
    }))
    await assert.rejects(producer.send(jobs), (error) => {
      assert.ok(isErrandError(error, 'server-refused'), String(error))
      assert.deepEqual(
        error.details['unconfirmed'],
        [999, 1_999, 2_999].map((index) => ({ index, id: `n-${index}`, why: 'unroutable' })),
      )
      return true
    })
    await eventually(() => assert.equal(errand.sources.status[0]?.stored, 2_997))
    await assert.rejects(producer.send([{ task: 'echo' }]), /names no queue/)
    await assert.rejects(
      producer.send([{ task: 'echo', queue, input: 'x'.repeat(1_100_000) }]),
      (error) => isErrandError(error, 'too-large'),
    )
    await producer.close()
    await assert.rejects(producer.send([{ task: 'echo', queue }]), (error) =>
      isErrandError(error, 'closed'),
    )
    const away = rabbitmqProducer({ url: 'amqp://127.0.0.1:9', queue })
    await assert.rejects(away.send([{ task: 'echo' }]), (error) => {
      assert.ok(isErrandError(error, 'server-unavailable'), String(error))
      assert.deepEqual((error.details['unconfirmed'] as { why: string }[])[0]?.why, 'unsent')
      return true
    })
  })

  test('a result goes where the message asked for it, under its correlation id', async (context) => {
    const [queue, answers] = [queueOf(context), queueOf(context)]
    await onChannel((channel) => channel.assertQueue(answers, { autoDelete: true }))
    const publish = rabbitmqResults({ url, replyTo: true })
    const answering = task({ name: 'echo', publish, run: (input: unknown) => input })
    const errand = consuming(context, queue, [answering])
    await connected(errand)
    await errand.worker().start()
    await using producer = rabbitmqProducer({ url, queue })
    await producer.send([
      { task: 'echo', input: 1, replyTo: answers, correlationId: 'c-1' },
      { task: 'echo', input: 2 },
    ])
    const { properties, content } = await taken(answers)
    const told = JSON.parse(content.toString()) as {
      job: { id: string; token: number }
      output: unknown
    }
    assert.equal(told.output, 1)
    assert.deepEqual(
      [properties.correlationId, properties.messageId],
      ['c-1', `${told.job.id}:${told.job.token}`],
    )
  })

  test('a result that no queue takes is tried again until one does', async (context) => {
    const results = queueOf(context)
    const publish = rabbitmqResults({
      url,
      queue: results,
      retry: { limit: 5, backoff: { kind: 'constant', delayMs: 100 } },
    })
    const answering = task({ name: 'echo', publish, run: (input: unknown) => input })
    const errand = createErrand({ store: memory(), tasks: [answering] })
    context.after(() => errand.close())
    await errand.worker().start()
    const errors: unknown[] = []
    errand.on('run-ended', ({ outcome, error }) => outcome === 'retry' && errors.push(error))
    await errand.enqueue(answering, 'late')
    await eventually(() => assert.ok(isErrandError(errors[0], 'server-refused')))
    await onChannel((channel) => channel.assertQueue(results, { autoDelete: true }))
    const { content } = await taken(results)
    assert.equal((JSON.parse(content.toString()) as { output: unknown }).output, 'late')
  })

  test('what cannot work is refused before anything is opened', () => {
    const bad: readonly (readonly [() => unknown, RegExp])[] = [
      [() => rabbitmq({ url: 'http://x', queues: ['a'] }), /url must be like amqp/],
      [() => rabbitmq({ url: undefined as never, queues: ['a'] }), /environment variable/],
      [() => rabbitmq({ url, queues: [] }), /lists no queue/],
      [() => rabbitmq({ url, queue: 'a' } as never), /no option queue/],
      [() => rabbitmqProducer({ url: 'amqp://' }), /url/],
      [() => rabbitmqResults({ url }), /needs a queue or an exchange/],
      [() => rabbitmqResults({ url, queue: 'a', exchange: 'b' }), /either/],
    ]
    for (const [make, words] of bad) assert.throws(make, words)
  })
}
