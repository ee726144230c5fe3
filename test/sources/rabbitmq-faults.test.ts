/** RabbitMQ that dies, falls silent, blocks, cancels and floods: all comes back by itself, and each message is one job. */
import assert from 'node:assert/strict'
import { after, test, type TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import {
  createErrand,
  ErrandError,
  isErrandError,
  task,
  type Errand,
  type SourceRoom,
} from '../../src/index.ts'
import { rabbitmq, rabbitmqProducer } from '../../src/sources/rabbitmq/index.ts'
import { memory } from '../../src/stores/memory/index.ts'
import type { Store } from '../../src/store/index.ts'
import { canStartRabbitmq, startRabbitmq, withModel } from '../rabbitmq-server.ts'
import { tcpProxy } from '../tcp-proxy.ts'
import { eventually } from './eventually.ts'

const megabyte = 1_024 * 1_024
/** How many of 10 MiB. */
const large = 5
const echo = task({ name: 'echo', run: (input: unknown) => input })
/** Held for longer than this, a message costs its consumer the channel. */
const args = ['-rabbit consumer_timeout 2000', '-rabbit channel_tick_interval 500']

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

if (canStartRabbitmq()) {
  const broker = await startRabbitmq(...args)
  after(() => broker.stop())
  const { url } = broker
  let queues = 0
  let isAway = false

  /** A store in memory that is away when a test says so. */
  const store = (): Store => {
    const inner = memory()
    return new Proxy(inner, {
      get(target, name) {
        if (name === 'insert' && isAway)
          return () => Promise.reject(new ErrandError('store-unavailable', 'it is away'))
        const value: unknown = Reflect.get(target, name)
        return typeof value === 'function' ? (value.bind(target) as unknown) : value
      },
    })
  }
  const consuming = (
    context: TestContext,
    options: { readonly url?: string; readonly prefetch?: SourceRoom } = {},
  ): { readonly errand: Errand; readonly queue: string; readonly failures: string[] } => {
    const queue = `faults-${queues++}`
    const failures: string[] = []
    const source = rabbitmq({ url, queues: [queue], ...options })
    const errand = createErrand({ store: store(), tasks: [echo], sources: [source] })
    errand.on('part-failed', ({ error }) => failures.push(String(error)))
    context.after(() => errand.close())
    errand.sources.start()
    return { errand, queue, failures }
  }
  const connected = (errand: Errand): Promise<void> =>
    eventually(() => assert.equal(errand.sources.status[0]?.state, 'connected'))
  const send = async (queue: string, from: number, to: number): Promise<void> => {
    await using producer = rabbitmqProducer({ url, queue })
    const jobs = Array.from({ length: to - from }, (_, n) => ({
      task: echo,
      input: from + n,
      id: `m${from + n}`,
    }))
    await producer.send(jobs)
  }
  const holds = (errand: Errand, count: number): Promise<void> =>
    eventually(async () => {
      const { jobs } = await errand.jobs.list({ limit: 1_000 })
      assert.equal(new Set(jobs.map(({ input }) => input)).size, count)
      assert.equal(jobs.length, count)
    })

  test('a broker that is down at the start, killed, and comes back', async (context) => {
    const { errand, queue, failures } = consuming(context)
    await using producer = rabbitmqProducer({ url, queue })
    await connected(errand)
    await producer.send([{ task: echo, input: 0, id: 'm0' }])
    await broker.kill()
    await eventually(() => assert.ok((errand.sources.status[0]?.failures ?? 0) > 1))
    await assert.rejects(producer.send([{ task: echo, input: 1 }]), (error) =>
      isErrandError(error, 'server-unavailable'),
    )
    const late = consuming(context)
    await eventually(() => assert.ok(late.failures.length > 0))
    assert.deepEqual(late.errand.sources.status[0]?.state, 'connecting')
    await broker.start()
    await eventually(() => producer.send([{ task: echo, input: 1, id: 'm1' }]))
    await send(queue, 2, 20)
    await holds(errand, 20)
    await connected(late.errand)
    await send(late.queue, 0, 5)
    await holds(late.errand, 5)
    assert.ok(
      failures.every((words) => words.includes('127.0.0.1')),
      failures.join(),
    )
  })

  test('a queue that is deleted under its consumer', async (context) => {
    const { errand, queue, failures } = consuming(context)
    await connected(errand)
    await withModel(url, async (model) => {
      await (await model.createChannel()).deleteQueue(queue)
    })
    await eventually(() => assert.match(failures.join(), /was deleted/))
    await connected(errand)
    await eventually(() => send(queue, 0, 5))
    await holds(errand, 5)
  })

  test('a network that swallows everything', async (context) => {
    const proxy = await tcpProxy(broker.port)
    context.after(() => proxy.close())
    const { errand, queue } = consuming(context, {
      url: `amqp://127.0.0.1:${proxy.port}?heartbeat=1`,
    })
    await connected(errand)
    proxy.fallSilent()
    await eventually(() => assert.equal(errand.sources.status[0]?.state, 'connecting'))
    proxy.recover()
    await send(queue, 0, 5)
    await holds(errand, 5)
  })

  test('a consumer that holds messages for longer than the broker lets it, since its store is away', async (context) => {
    const { errand, queue, failures } = consuming(context)
    await connected(errand)
    isAway = true
    try {
      await send(queue, 0, 10)
      await eventually(() => assert.match(failures.join(), /PRECONDITION.FAILED|channel/i))
    } finally {
      isAway = false
    }
    await holds(errand, 10)
  })

  test('a broker that is short of memory lets nobody publish for a while', async (context) => {
    const { errand, queue } = consuming(context)
    await connected(errand)
    await broker.control('set_vm_memory_high_watermark', '0.0000001')
    const sending = send(queue, 0, 5)
    const first = await Promise.race([
      sending,
      new Promise((resolve) => setTimeout(resolve, 1_000, 'blocked')),
    ])
    assert.equal(first, 'blocked')
    await broker.control('set_vm_memory_high_watermark', '0.4')
    await sending
    await holds(errand, 5)
  })

  test('many large messages are taken in a few at a time', async (context) => {
    const { errand, queue } = consuming(context, { prefetch: { bytes: 8 * megabyte } })
    await connected(errand)
    isAway = true
    const body = Buffer.from(JSON.stringify({ name: 'echo', input: 'x'.repeat(10 * megabyte) }))
    try {
      await withModel(url, async (model) => {
        const channel = await model.createConfirmChannel()
        for (let n = 0; n < large; n++) {
          channel.sendToQueue(queue, body, { messageId: `large-${n}`, deliveryMode: 2 })
          await channel.waitForConfirms()
        }
      })
      await eventually(() => assert.ok((errand.sources.status[0]?.storeFailures ?? 0) > 1))
      const { bytes } = errand.sources.status[0]?.held ?? { bytes: Infinity }
      assert.ok(bytes >= 10 * megabyte && bytes <= 21 * megabyte, `${bytes} bytes`)
      const isBounded = (): void => {
        collect()
        const { arrayBuffers } = process.memoryUsage()
        assert.ok(arrayBuffers < 45 * megabyte, `${arrayBuffers} bytes in memory`)
      }
      // What was sent leaves the memory of this process first; what would come comes within seconds.
      await eventually(isBounded)
      for (let look = 0; look < 30; look++) {
        await sleep(100)
        isBounded()
      }
    } finally {
      isAway = false
    }
    // Some may come again, for this broker waits for an acknowledgement for two seconds.
    await eventually(async () => {
      assert.equal((await errand.jobs.list({ limit: 100 })).jobs.length, large)
      assert.equal(errand.sources.status[0]?.held.messages, 0)
    })
    const parked = await eventually(() =>
      withModel(url, async (model) => {
        const { messageCount } = await (await model.createChannel()).checkQueue(`${queue}.parked`)
        assert.equal(messageCount, large)
        return messageCount
      }),
    )
    assert.equal(parked, large)
  })
}
