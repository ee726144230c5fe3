/** RabbitMQ as a source. */
import { ErrandError } from '../../core/errors.ts'
import { refuseUnknownKeys } from '../../core/option-keys.ts'
import { readList } from '../../core/read.ts'
import { checkName } from '../../core/text.ts'
import { readSource, sourceOptionKeys } from '../settings.ts'
import type { Source, SourceOptions } from '../source.ts'
import { openConsumer } from './connection.ts'
import { readBroker } from './link.ts'

export interface RabbitmqOptions extends SourceOptions {
  /** `amqp://user:password@host:5672/vhost`, or `amqps://…`. `?heartbeat=` in seconds, default 10: a silent broker is given up after three. */
  readonly url: string
  /**
   * The queues to consume. One that is missing is declared: durable, a quorum queue, with a delivery limit and a queue
   * `<name>.parked` for its dead letters. One that exists is used as it is.
   */
  readonly queues: readonly string[]
  /** Tells two of them apart, and is part of the identities of messages: the same in all processes. Default `'rabbitmq'`. */
  readonly name?: string
}

/**
 * Takes jobs from queues of RabbitMQ. Throws `invalid-option`. Needs the package `amqplib`, 2.2.1 or later.
 *
 * @example
 * createErrand({ store, tasks, sources: [rabbitmq({ url: 'amqp://localhost', queues: ['etl'] })] })
 */
export function rabbitmq(options: RabbitmqOptions): Source {
  const where = 'rabbitmq()'
  refuseUnknownKeys(options, ['url', 'queues', 'name', ...sourceOptionKeys], where)
  const { url, queues, name = 'rabbitmq', ...own } = options
  const broker = readBroker(url, where)
  const names = readList(queues, `${where}.queues`, 'names of queues')
  for (const queue of names) checkName(queue, `${where}.queues`)
  if (names.length === 0) throw new ErrandError('invalid-option', `${where}.queues lists no queue.`)
  const source: Source = {
    ...own,
    name,
    connect: (signal) =>
      openConsumer({ broker, name, queues: [...new Set(names)], prefetch }, signal),
  }
  const { prefetch } = readSource(source, where)
  return source
}
