/** A queue of RabbitMQ for one test, behind a proxy that can cut its connections. */
import { randomUUID } from 'node:crypto'
import { rabbitmq } from '../../src/sources/rabbitmq/index.ts'
import type { SourceFixture } from '../../src/testing/conformance/index.ts'
import { withModel } from '../rabbitmq-server.ts'
import { tcpProxy } from '../tcp-proxy.ts'

/** Makes a place of a broker for `sourceRules`. */
export async function rabbitmqPlace(url: string): Promise<SourceFixture> {
  const queue = `place-${randomUUID()}`
  const direct = new URL(url)
  const proxy = await tcpProxy(Number(direct.port))
  const behind = new URL(url)
  behind.port = String(proxy.port)
  return {
    source: (options) => rabbitmq({ url: behind.href, queues: [queue], ...options }),
    async send(messages) {
      await withModel(url, async (model) => {
        const channel = await model.createConfirmChannel()
        // A source may not have declared it yet, and its own way is not the sender's affair.
        if (!(await hasQueue(url, queue)))
          await channel.assertQueue(queue, { durable: true, arguments: quorum })
        for (const { body, id } of messages)
          channel.sendToQueue(queue, Buffer.from(body), { messageId: id, deliveryMode: 2 })
        await channel.waitForConfirms()
      })
    },
    cut: async () => proxy.cut(),
    async dispose() {
      await proxy.close()
      await withModel(url, async (model) => {
        const channel = await model.createChannel()
        for (const name of [queue, `${queue}.parked`]) await channel.deleteQueue(name)
      })
    },
  }
}

const quorum = { 'x-queue-type': 'quorum' }

function hasQueue(url: string, queue: string): Promise<boolean> {
  return withModel(url, async (model) => {
    const channel = await model.createChannel()
    channel.on('error', () => undefined)
    return channel.checkQueue(queue).then(
      () => true,
      () => false,
    )
  })
}
