/** RabbitMQ in and out. */
import {
  bareConsumer,
  barePublisher,
  consumer,
  producer,
  withoutBroker,
} from '../measures/rabbitmq.ts'
import { atLeast, ratio, row } from '../row.ts'
import { scaled, type Workload } from '../workload.ts'

const ahead = 1_000

export const rabbitmqInAndOut: Workload = {
  name: 'rabbitmq',
  title: 'RabbitMQ, durable messages; jobs on PostgreSQL',
  durabilities: ['process'],
  obstacle: withoutBroker,
  cases: {
    'consume-bare': (setting) => bareConsumer(scaled(50_000, setting)),
    consume: (setting) => consumer(scaled(50_000, setting), null),
    'consume-ids': (setting) => consumer(scaled(50_000, setting), 'id-'),
    'publish-bare': (setting) => barePublisher(scaled(50_000, setting), ahead),
    publish: (setting) => producer(scaled(50_000, setting), ahead),
  },
  rows: (measured) => {
    const bare = measured('consume-bare', 'rate')
    const stored = measured('consume', 'rate')
    const [sentBare, sent] = [measured('publish-bare', 'rate'), measured('publish', 'rate')]
    return [
      row('a bare consumer that only acknowledges', 'messages/s', bare),
      row('messages stored as jobs', 'jobs/s', stored, atLeast(8_000)),
      row('stored / a bare consumer', 'ratio', ratio(stored, bare), atLeast(0.5)),
      row('messages with ids stored as jobs', 'jobs/s', measured('consume-ids', 'rate')),
      row('published bare, 1,000 at a time, confirmed', 'messages/s', sentBare),
      row('sent by a producer, 1,000 a call', 'jobs/s', sent),
      row('producer / bare', 'ratio', ratio(sent, sentBare), atLeast(0.5)),
    ]
  },
}
