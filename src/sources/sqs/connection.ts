/** One connection to SQS: what comes from its queues, and what becomes of it. */
import { createHash } from 'node:crypto'
import type { Message as SqsMessage, MessageAttributeValue } from '@aws-sdk/client-sqs'
import { ErrandError } from '../../core/errors.ts'
import { performance, setTimeout } from '../../core/timers.ts'
import type { SourceConnection, SourceMessage, SourceRoom } from '../source.ts'
import type { Api } from './api.ts'
import { sendBatches, type Refused } from './batches.ts'
import { HeldMessages, type Held } from './held-messages.ts'
import { urlOf, type QueuePlace } from './queue-place.ts'
import { Receiver } from './receiver.ts'

/** How a connection behaves, read. */
export interface ConnectionOptions {
  /** For how long SQS hides a message at a time, in ms; extended while it is held. */
  readonly hideMs: number
  /** Whether messages without an id of their sender's count as repeats when their bodies are equal. */
  readonly knowsByBody: boolean
}

/** How long a long poll waits, and how much later it is taken for lost, in ms. */
const poll = { mostMs: 10_000, graceMs: 8_000 } as const
/** How often a deletion that SQS could not do is repeated, with a growing pause. */
const deletions = { tries: 4, pauseMs: 100 } as const
/** How long a close may take to give back what is held, in ms. */
const closeMs = 4_000
/** The attribute that holds the sender's id of a message, the same when it is sent again. */
export const idAttribute = 'message-id'

export class SqsConnection implements SourceConnection {
  readonly lost: AbortSignal
  readonly #lost = new AbortController()
  readonly #api: Api
  readonly #options: ConnectionOptions
  readonly #held: HeldMessages
  readonly #receiver: Receiver
  readonly #pollMs: number
  /** When the last poll under way ends at SQS, by the machine's monotonic clock. */
  #pollsEndAt = 0
  readonly #closing = new AbortController()
  #closed: Promise<void> | null = null

  constructor(api: Api, queues: readonly QueuePlace[], options: ConnectionOptions) {
    this.lost = this.#lost.signal
    this.#api = api
    this.#options = options
    this.#held = new HeldMessages(api, options.hideMs, (error) => this.#lost.abort(error))
    this.#pollMs = Math.min(poll.mostMs, options.hideMs)
    this.lost.addEventListener('abort', () => this.#held.stop())
    this.#receiver = new Receiver(queues, (queue, most) =>
      this.#receive(queue, most).catch((error: unknown) => {
        this.#lost.abort(error)
        throw error
      }),
    )
  }

  async pull(room: Required<SourceRoom>, signal: AbortSignal): Promise<readonly SourceMessage[]> {
    const messages = await this.#receiver.pull(room, AbortSignal.any([signal, this.lost]))
    this.lost.throwIfAborted()
    return messages
  }

  async acknowledge(messages: readonly SourceMessage[]): Promise<void> {
    this.lost.throwIfAborted()
    let left = messages
    for (let tries = 1; left.length > 0; tries++) {
      const refused = await this.#delete(left)
      const again = refused.filter(({ isFinal }) => !isFinal)
      if (again.length > 0 && tries >= deletions.tries) throw undeleted(again)
      // What is final is not held any more, so it comes again, and is known then.
      const kept = new Set(again.map(({ item }) => item.message))
      this.#held.release(left.filter((message) => !kept.has(message)))
      left = [...kept]
      if (left.length > 0) await pause(deletions.pauseMs * 2 ** tries)
    }
  }

  /** Not before the polls under way have ended at SQS, or one that nobody waits for any more would take them. */
  async giveBack(messages: readonly SourceMessage[]): Promise<void> {
    const batches = this.#held.batchesOf(messages)
    this.#held.release(messages)
    const ms = Math.max(0, this.#pollsEndAt - performance.now())
    await this.#held.hide(batches, Math.ceil(ms / 1_000))
  }

  async setAside(message: SourceMessage): Promise<string> {
    const held = this.#held.find(message)
    if (held === undefined) throw new ErrandError('closed', 'The message is not held any more.')
    const { queue, came } = held
    const { name, url } = await this.#placeAside(queue)
    const what = `SQS queue ${name}`
    const { MessageId: id } = await this.#api.call(what, (sqs, options) =>
      sqs.sendMessage(
        {
          QueueUrl: url,
          MessageBody: Buffer.from(message.body).toString(),
          MessageAttributes: came.MessageAttributes,
          ...(queue.isFifo && {
            MessageGroupId: came.Attributes?.MessageGroupId,
            MessageDeduplicationId: came.MessageId,
          }),
        },
        options,
      ),
    )
    return `${what}, message ${id}`
  }

  close(): Promise<void> {
    return (this.#closed ??= this.#close())
  }

  async #close(): Promise<void> {
    this.#held.stop()
    this.#closing.abort()
    // What was received meanwhile is shown to others at once rather than when its time is over.
    const given = this.giveBack([...this.#held.all()]).catch((error: unknown) =>
      this.#lost.abort(error),
    )
    await Promise.race([given, pause(closeMs)])
    this.#lost.abort(new ErrandError('closed', 'The connection to SQS is closed.'))
    this.#api.close()
  }

  async #receive(queue: QueuePlace, most: number): Promise<readonly SourceMessage[]> {
    const waitMs = Math.floor(this.#pollMs / 1_000) * 1_000
    this.#pollsEndAt = performance.now() + waitMs
    const { Messages: came = [] } = await this.#api.call(
      `SQS queue ${queue.name}`,
      (sqs, options) =>
        sqs.receiveMessage(
          {
            QueueUrl: queue.url,
            MaxNumberOfMessages: most,
            WaitTimeSeconds: waitMs / 1_000,
            VisibilityTimeout: Math.ceil(this.#options.hideMs / 1_000),
            MessageAttributeNames: ['All'],
            MessageSystemAttributeNames: ['All'],
          },
          options,
        ),
      { withinMs: waitMs + poll.graceMs, signal: this.#closing.signal },
    )
    return came.map((one) => this.#hold(queue, one))
  }

  #hold(queue: QueuePlace, { Body: text = '', ...came }: SqsMessage): SourceMessage {
    const body = Buffer.from(text)
    const message: SourceMessage = {
      queue: queue.name,
      id: this.#idOf(queue, came, text),
      body,
      size: body.length,
      headers: headersOf(came),
    }
    const receipt = came.ReceiptHandle ?? ''
    this.#held.add({ message, queue, receipt, came, hiddenAt: performance.now() })
    return message
  }

  #idOf(queue: QueuePlace, came: SqsMessage, body: string): string | null {
    const said = came.MessageAttributes?.[idAttribute]?.StringValue
    const deduplication = came.Attributes?.MessageDeduplicationId
    const isHash = queue.hashesBodies && deduplication === hashOf(body)
    const ofSender = said ?? (isHash ? undefined : deduplication)
    if (ofSender !== undefined) return ofSender
    return this.#options.knowsByBody ? null : (came.MessageId ?? null)
  }

  #delete(messages: readonly SourceMessage[]): Promise<readonly Refused<Held>[]> {
    return sendBatches(this.#held.batchesOf(messages), async (batch) => {
      const { Failed: failed } = await this.#api.call(
        `SQS queue ${batch[0]?.queue.name}`,
        (sqs, options) =>
          sqs.deleteMessageBatch(
            {
              QueueUrl: batch[0]?.queue.url,
              Entries: batch.map(({ receipt }, id) => ({
                Id: String(id),
                ReceiptHandle: receipt,
              })),
            },
            options,
          ),
      )
      return failed
    })
  }

  /** The queue's own dead-letter queue, or one beside it that is made when it is needed. */
  async #placeAside(queue: QueuePlace): Promise<{ readonly name: string; readonly url: string }> {
    const { deadLetters, isFifo } = queue
    if (deadLetters !== null)
      return { name: deadLetters.name, url: await urlOf(this.#api, deadLetters) }
    const name = isFifo ? queue.name.replace(/\.fifo$/, '-parked.fifo') : `${queue.name}-parked`
    const Attributes: Record<string, string> = { MessageRetentionPeriod: '1209600' }
    if (isFifo) Attributes['FifoQueue'] = 'true'
    const { QueueUrl: url = '' } = await this.#api.call(`SQS queue ${name}`, (sqs, options) =>
      sqs.createQueue({ QueueName: name, Attributes }, options),
    )
    return { name, url }
  }
}

function undeleted(refused: readonly Refused<Held>[]): ErrandError {
  return new ErrandError(
    'server-unavailable',
    `SQS did not delete ${refused.length} messages, which will be delivered again: ${refused[0]?.why}`,
  )
}

/** The text attributes of a message, and what SQS adds to it. */
function headersOf({
  MessageAttributes = {},
  Attributes = {},
}: SqsMessage): Record<string, string> {
  const { MessageGroupId: group, ApproximateReceiveCount: received } = Attributes
  return {
    ...(group !== undefined && { 'message-group-id': group }),
    // A hint that something is wrong: at some count SQS moves a message to the dead-letter queue.
    ...(received !== undefined && received !== '1' && { 'receive-count': received }),
    ...textsOf(MessageAttributes),
  }
}

function textsOf(
  attributes: Readonly<Record<string, MessageAttributeValue>>,
): Record<string, string> {
  return Object.fromEntries(
    Object.entries(attributes).flatMap(([name, { StringValue: text }]) =>
      text === undefined ? [] : [[name, text]],
    ),
  )
}

function hashOf(body: string): string {
  return createHash('sha256').update(body).digest('hex')
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => void setTimeout(resolve, ms).unref())
}
