/** Messages of RabbitMQ become jobs, and what becomes of those goes back to RabbitMQ. */
// Needs: rabbitmq
import { connect } from 'amqplib'
import { createErrand, task } from 'errand'
import { memory } from 'errand/memory'
import { rabbitmq, rabbitmqProducer, rabbitmqResults } from 'errand/rabbitmq'

const url = process.env.RABBITMQ_URL ?? 'amqp://localhost'
const [jobs, results] = [`jobs-${process.pid}`, `results-${process.pid}`]

// Who wants the results declares a queue for them.
const model = await connect(url)
const channel = await model.createChannel()
await channel.assertQueue(results, { exclusive: true })

const add = task({
  name: 'add',
  retry: 'never',
  publish: rabbitmqResults({ url, queue: results }),
  run: ({ a, b }: { a: number; b: number }) => {
    if (a < 0) throw new RangeError('not below zero')
    return a + b
  },
})
const errand = createErrand({
  store: memory(),
  tasks: [add],
  sources: [rabbitmq({ url, queues: [jobs] })],
})
errand.on('message-parked', ({ error }) => console.log('parked:', (error as Error).message))
errand.sources.start()
await errand.worker().start()
while (errand.sources.status[0]?.state !== 'connected') await sleep()

// Sent twice under one id, a job is made once.
const producer = rabbitmqProducer({ url, queue: jobs })
await producer.send([{ task: add, input: { a: 1, b: 2 }, id: 'once', correlationId: 'order-7' }])
await producer.send([{ task: add, input: { a: 1, b: 2 }, id: 'once', correlationId: 'order-7' }])
await show()

// What fails is told as well.
await producer.send([{ task: add, input: { a: -1, b: 2 } }])
await show()

// What EasyJobs' producers send is read, and what nobody can read is parked.
channel.sendToQueue(jobs, Buffer.from('{"job": {"name": "add", "kwargs": {"a": 3, "b": 4}}}'))
await show()
channel.sendToQueue(jobs, Buffer.from('{"a": NaN}'))
while (errand.sources.status[0]?.parked === 0) await sleep()

const [status] = errand.sources.status
console.log(status?.stored, status?.known, status?.parked)
await producer.close()
await errand.close()
for (const queue of [jobs, `${jobs}.parked`]) await channel.deleteQueue(queue)
await model.close()

async function show() {
  for (;;) {
    const message = await channel.get(results, { noAck: true })
    if (message === false) {
      await sleep()
      continue
    }
    const { status, output, report } = JSON.parse(message.content.toString())
    const words = [status, output ?? report.errors[0].message]
    console.log(...words, ...[message.properties.correlationId ?? []].flat())
    return
  }
}

function sleep() {
  return new Promise((resolve) => setTimeout(resolve, 20))
}

// Output:
// completed 3 order-7
// failed not below zero
// completed 7
// parked: the message is not JSON.
// 3 1 1
