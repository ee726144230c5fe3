/** The storm on RabbitMQ: a private broker, which is killed and started again twice. */
import type { Source } from '../../src/index.ts'
import { rabbitmq } from '../../src/sources/rabbitmq/index.ts'
import { startRabbitmq, withModel } from '../rabbitmq-server.ts'
import type { StormBroker } from './broker.ts'

const queue = 'storm'
/** Some are held and others wait. */
const prefetch = { messages: 500 }

export async function start(restarts = 2): Promise<StormBroker> {
  const server = await startRabbitmq()
  const { url } = server
  // The source declares the queue.
  const connection = await openSource(url).connect(new AbortController().signal)
  await connection.close()
  const strike = async (): Promise<void> => {
    await server.kill()
    await server.start()
  }
  return {
    send: (bodies, from) =>
      withModel(url, async (model) => {
        const channel = await model.createConfirmChannel()
        for (const [n, body] of bodies.entries()) {
          const messageId = `storm-${from + n}`
          channel.sendToQueue(queue, Buffer.from(body), { messageId, deliveryMode: 2 })
        }
        await channel.waitForConfirms()
      }),
    async left() {
      const waiting = await withModel(url, async (model) => {
        const channel = await model.createChannel()
        return (await channel.checkQueue(queue)).messageCount
      })
      // Those that are held are told by the broker's own tool alone, which is slow.
      return waiting > 0
        ? waiting
        : countIn(await server.control('list_queues', 'name', 'messages'))
    },
    misfortunes: [0.3, 0.6].slice(0, restarts).map((at) => ({ at, strike })),
    argument: url,
    module: import.meta.url,
    stop: () => server.stop(),
  }
}

function countIn(list: string): number {
  return Number(new RegExp(`^${queue}\\t(\\d+)$`, 'm').exec(list)?.[1] ?? Number.NaN)
}

export function openSource(url: string): Source {
  return rabbitmq({ url, queues: [queue], prefetch })
}
