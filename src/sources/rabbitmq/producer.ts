/** Sends jobs to queues of RabbitMQ, as messages that `rabbitmq()` reads. */
import { isErrandError } from '../../core/errors.ts'
import { refuseUnknownKeys } from '../../core/option-keys.ts'
import { readList } from '../../core/read.ts'
import { checkName } from '../../core/text.ts'
import {
  notAllSent,
  readJob,
  type SentJob,
  type Unconfirmed,
  type UnconfirmedJob,
} from '../sent-jobs.ts'
import { readBroker } from './link.ts'
import { Publisher, type Outgoing } from './publisher.ts'

export interface RabbitmqProducerOptions {
  /** `amqp://user:password@host:5672/vhost`, or `amqps://…`. */
  readonly url: string
  /** Where jobs go that name no queue. */
  readonly queue?: string
}

export interface RabbitmqProducer extends AsyncDisposable {
  /**
   * Sends jobs, and resolves with their ids when the broker has confirmed all. Rejects with `invalid-option`, `not-json` and
   * `too-large` before it has sent anything, and with `unknown-outcome`, `server-refused`, `server-unavailable` or
   * `closed` when some are not confirmed within 30 s: those are listed in `details.unconfirmed`, the others are sent.
   */
  send(jobs: readonly SentJob[]): Promise<readonly string[]>
  /** Ends the connection. What is not confirmed by then is rejected. */
  close(): Promise<void>
}

/** How many jobs are made into messages ahead of those that are on their way. */
const ahead = 1_000

/**
 * Makes a producer; it connects when it sends, and again when that is lost. Throws `invalid-option`.
 *
 * @example
 * const producer = rabbitmqProducer({ url: 'amqp://localhost', queue: 'etl' })
 * await producer.send([{ task: 'extract', input: { day: 'monday' } }])
 */
export function rabbitmqProducer(options: RabbitmqProducerOptions): RabbitmqProducer {
  const where = 'rabbitmqProducer()'
  refuseUnknownKeys(options, ['url', 'queue'], where)
  const broker = readBroker(options.url, where)
  if (options.queue !== undefined) checkName(options.queue, `${where}.queue`)
  const publisher = new Publisher(broker, 'errand producer')
  const close = (): Promise<void> => publisher.close()
  return {
    async send(jobs) {
      readList(jobs, 'What send() takes', 'jobs, each { task, input, queue }')
      const messages = jobs.map((job, index) =>
        messageOf(job, options.queue, `send(), job ${index}`),
      )
      const failed: (UnconfirmedJob & { readonly error: unknown })[] = []
      await inTurn(messages, async ({ id, outgoing }, index) => {
        await publisher.send(outgoing).catch((error: unknown) => {
          failed.push({ index, id, why: whyOf(error), error })
        })
      })
      if (failed.length > 0) throw notAllSent(failed, jobs.length)
      return messages.map(({ id }) => id)
    },
    close,
    [Symbol.asyncDispose]: close,
  }
}

interface Made {
  readonly id: string
  readonly outgoing: Outgoing
}

function messageOf(job: SentJob, usualQueue: string | undefined, where: string): Made {
  const { queue, id, body } = readJob(job, usualQueue, where)
  const { correlationId, replyTo, headers } = job
  return {
    id,
    outgoing: {
      exchange: '',
      routingKey: queue,
      body: Buffer.from(body),
      properties: {
        messageId: id,
        deliveryMode: 2,
        contentType: 'application/json',
        ...(correlationId === undefined ? {} : { correlationId }),
        ...(replyTo === undefined ? {} : { replyTo }),
        ...(headers === undefined ? {} : { headers }),
      },
    },
  }
}

/** Acts on all, on some at a time. */
async function inTurn<T>(
  items: readonly T[],
  act: (item: T, index: number) => Promise<void>,
): Promise<void> {
  const entries = items.entries()
  const lane = async (): Promise<void> => {
    for (const [index, item] of entries) await act(item, index)
  }
  await Promise.all(Array.from({ length: Math.min(ahead, items.length) }, lane))
}

function whyOf(error: unknown): Unconfirmed {
  const why = isErrandError(error) ? error.details['unconfirmed'] : undefined
  // What could not be connected to was not sent.
  return (why as Unconfirmed | undefined) ?? 'unsent'
}
