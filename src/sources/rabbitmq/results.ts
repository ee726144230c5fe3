/** Publishes how jobs ended to RabbitMQ: a task that others name as their `publish`. */
import { ErrandError } from '../../core/errors.ts'
import { Unrecoverable } from '../../core/instructions.ts'
import { refuseUnknownKeys } from '../../core/option-keys.ts'
import { commonKeys, type CommonOptions } from '../../core/options.ts'
import type { Published } from '../../core/published.ts'
import { readFlag, readTexts } from '../../core/read.ts'
import { task, type Task } from '../../core/task.ts'
import { clearTimeout, setTimeout } from '../../core/timers.ts'
import { readBroker } from './link.ts'
import { propertyHeaders } from './properties.ts'
import { Publisher } from './publisher.ts'

export interface RabbitmqResultsOptions extends CommonOptions {
  /** `amqp://user:password@host:5672/vhost`, or `amqps://…`. */
  readonly url: string
  /** The queue that gets them. It must be there. */
  readonly queue?: string
  /** In its place the exchange, with `routingKey`, by default the name of the task whose job ended. */
  readonly exchange?: string
  readonly routingKey?: string
  /** Whether those of a job whose message named a queue to reply to go there, and the others to `queue` or `exchange` if one is given. */
  readonly replyTo?: boolean
  /** How jobs name the task that publishes. Default `errand.results.` and the queue or exchange. */
  readonly name?: string
}

const ownKeys = ['url', 'queue', 'exchange', 'routingKey', 'replyTo', 'name'] as const

/** Its connection ends when nothing was published for so long, in ms. */
const idleMs = 5_000

/** A broker may be away for days: with the usual backoff, up to an hour at a time, this is some four. */
const defaults = { retry: { limit: 200 }, timeout: '1m' } as const

/**
 * Makes a task that publishes results and failures, at least once each: `publish: rabbitmqResults({ … })`. The body is the JSON of a `Published`, the message
 * id is that of the job with the token of its run, correlation id and reply-to are those of the message that the job came by.
 * One that no queue takes is tried again, as when the broker is away. Throws `invalid-option`.
 */
export function rabbitmqResults(
  options: RabbitmqResultsOptions,
): Task<Published, Published, { readonly published: boolean }, unknown> {
  const where = 'rabbitmqResults()'
  refuseUnknownKeys(options, [...ownKeys, ...commonKeys], where)
  readTexts(options, ['queue', 'exchange', 'routingKey', 'name'], where)
  const { url, queue, exchange, routingKey, replyTo = false, ...own } = options
  const broker = readBroker(url, where)
  readFlag(replyTo, `${where}.replyTo`)
  if (queue !== undefined && (exchange !== undefined || routingKey !== undefined))
    throw new ErrandError('invalid-option', `${where} takes either a queue or an exchange.`)
  const target = queue ?? exchange
  if (target === undefined && !replyTo) {
    throw new ErrandError('invalid-option', `${where} needs a queue or an exchange to publish to.`)
  }
  const outlet = new Outlet(() => new Publisher(broker, 'errand results'))
  return task({
    ...defaults,
    name: `errand.results.${target ?? 'reply-to'}`,
    ...own,
    run: async (end: Published, job): Promise<{ readonly published: boolean }> => {
      if (typeof end?.job?.id !== 'string')
        throw new Unrecoverable('This task publishes ends of jobs: name it as `publish` of a task.')
      const asked = job.headers[propertyHeaders.replyTo]
      const reply = replyTo ? asked : undefined
      if (reply === undefined && target === undefined) return { published: false }
      const correlationId = job.headers[propertyHeaders.correlationId]
      await outlet.use((publisher) =>
        publisher.send({
          exchange: reply === undefined ? (exchange ?? '') : '',
          routingKey: reply ?? queue ?? routingKey ?? end.job.task,
          body: Buffer.from(JSON.stringify(end)),
          properties: {
            messageId: `${end.job.id}:${end.job.token}`,
            deliveryMode: 2,
            contentType: 'application/json',
            type: end.status,
            ...(correlationId === undefined ? {} : { correlationId }),
            ...(asked === undefined || reply !== undefined ? {} : { replyTo: asked }),
          },
        }),
      )
      return { published: true }
    },
  })
}

/** One publisher for all that is published at a time; it is closed when nothing was for a while, so that it keeps no process alive. */
class Outlet {
  readonly #make: () => Publisher
  #publisher: Publisher | null = null
  #users = 0
  #idle: NodeJS.Timeout | null = null

  constructor(make: () => Publisher) {
    this.#make = make
  }

  async use(act: (publisher: Publisher) => Promise<void>): Promise<void> {
    if (this.#idle !== null) clearTimeout(this.#idle)
    this.#publisher ??= this.#make()
    this.#users++
    try {
      await act(this.#publisher)
    } finally {
      if (--this.#users === 0) this.#idle = setTimeout(() => this.#close(), idleMs)
    }
  }

  #close(): void {
    const publisher = this.#publisher
    this.#publisher = null
    void publisher?.close()
  }
}
