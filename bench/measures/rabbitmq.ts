/** RabbitMQ in and out: what Errand makes of messages each second, beside a client that does nothing with them. */
import { connect, type ConfirmChannel } from 'amqplib'
import { createErrand } from 'errand'
import { postgres } from 'errand/postgres'
import { rabbitmq, rabbitmqProducer } from 'errand/rabbitmq'
import { onPath } from '../../test/services.ts'
import { startRabbitmq, withModel } from '../../test/rabbitmq-server.ts'
import { startPostgres } from '../against/servers.ts'
import { mail } from '../kit/job.ts'
import { ticks } from '../kit/ticks.ts'
import type { Figures } from '../workload.ts'

const queue = 'bench'
const prefetch = 1_000

export function withoutBroker(): string | null {
  return onPath('rabbitmq-server') === null
    ? 'RabbitMQ is not installed: apt-get install rabbitmq-server'
    : null
}

/** Messages each second of a consumer that only acknowledges. */
export function bareConsumer(count: number): Promise<Figures> {
  return onBroker(async (url) => {
    await fill(url, count, null)
    const model = await connect(url)
    const channel = await model.createChannel()
    await channel.prefetch(prefetch)
    const done = Promise.withResolvers<void>()
    let got = 0
    const since = ticks()
    await channel.consume(queue, (message) => {
      if (message !== null) channel.ack(message)
      if (++got === count) done.resolve()
    })
    await done.promise
    const ms = ticks() - since
    await model.close()
    return { rate: (count / ms) * 1_000 }
  })
}

/** Messages each second that become jobs on PostgreSQL, with ids or without. */
export function consumer(count: number, prefix: string | null): Promise<Figures> {
  return onBroker(async (url) => {
    await fill(url, count, prefix)
    const server = await startPostgres()
    const source = rabbitmq({ url, queues: [queue] })
    const errand = createErrand({ store: postgres(server.url), sources: [source] })
    await errand.store.setup()
    const since = ticks()
    errand.sources.start()
    const stored = (): number => errand.sources.status[0]?.stored ?? 0
    while (stored() < count) await new Promise((resolve) => setTimeout(resolve, 5))
    const ms = ticks() - since
    await errand.close()
    await server.stop()
    return { rate: (count / ms) * 1_000 }
  })
}

/** Messages each second that a bare client publishes, `ahead` at a time, and has confirmed. */
export function barePublisher(count: number, ahead: number): Promise<Figures> {
  return onBroker(async (url) => {
    await declare(url)
    const model = await connect(url)
    const channel = await model.createConfirmChannel()
    const since = ticks()
    for (let from = 0; from < count; from += ahead) {
      publish(channel, from, Math.min(count, from + ahead), 'id-')
      await channel.waitForConfirms()
    }
    const ms = ticks() - since
    await model.close()
    return { rate: (count / ms) * 1_000 }
  })
}

export function producer(count: number, ahead: number): Promise<Figures> {
  return onBroker(async (url) => {
    await declare(url)
    const out = rabbitmqProducer({ url, queue })
    const since = ticks()
    for (let from = 0; from < count; from += ahead) {
      const length = Math.min(ahead, count - from)
      await out.send(Array.from({ length }, (_, n) => ({ task: 'mail', input: mail(from + n) })))
    }
    const ms = ticks() - since
    await out.close()
    return { rate: (count / ms) * 1_000 }
  })
}

async function onBroker(measure: (url: string) => Promise<Figures>): Promise<Figures> {
  const broker = await startRabbitmq()
  try {
    return await measure(broker.url)
  } finally {
    await broker.stop()
  }
}

function declare(url: string): Promise<void> {
  return withModel(url, async (model) => {
    await (await model.createChannel()).assertQueue(queue, { durable: true })
  })
}

async function fill(url: string, count: number, prefix: string | null): Promise<void> {
  await declare(url)
  await withModel(url, async (model) => {
    const channel = await model.createConfirmChannel()
    for (let from = 0; from < count; from += 5_000) {
      publish(channel, from, Math.min(count, from + 5_000), prefix)
      await channel.waitForConfirms()
    }
  })
}

function publish(channel: ConfirmChannel, from: number, to: number, prefix: string | null): void {
  for (let n = from; n < to; n++) {
    const body = JSON.stringify({ job: { name: 'mail', kwargs: mail(n) } })
    const id = prefix === null ? {} : { messageId: `${prefix}${n}` }
    channel.sendToQueue(queue, Buffer.from(body), { ...id, deliveryMode: 2 })
  }
}
