/**
 * The messages that are held: SQS hides each from others for a while, and this asks for more in time, for as long as the
 * message is held. What SQS will not hide any longer, after twelve hours or when it was late, is held no more.
 */
import type { Message as SqsMessage } from '@aws-sdk/client-sqs'
import { clearInterval, performance, setInterval } from '../../core/timers.ts'
import type { SourceMessage } from '../source.ts'
import type { Api } from './api.ts'
import { inTens, sendBatches, type Refused } from './batches.ts'
import type { QueuePlace } from './queue-place.ts'

/** How long a call may take that hides messages. */
const leastCallMs = 3_000
const mostCallMs = 10_000

/** A message as it came. */
export interface Held {
  readonly message: SourceMessage
  readonly queue: QueuePlace
  readonly receipt: string
  /** Without its body, which the message has. */
  readonly came: Omit<SqsMessage, 'Body'>
  /** When it was hidden last, by the machine's monotonic clock. */
  hiddenAt: number
}

export class HeldMessages {
  readonly #api: Api
  readonly #hideMs: number
  readonly #onError: (error: unknown) => void
  readonly #held = new Map<SourceMessage, Held>()
  readonly #timer: ReturnType<typeof setInterval>
  #isHiding = false

  /** `hideMs` is how long SQS hides a message at a time; `onError` is called when that cannot be extended. */
  constructor(api: Api, hideMs: number, onError: (error: unknown) => void) {
    this.#api = api
    this.#hideMs = hideMs
    this.#onError = onError
    this.#timer = setInterval(() => void this.#hideOn(), hideMs / 6).unref()
  }

  add(held: Held): void {
    this.#held.set(held.message, held)
  }

  /** Those of these messages that are held, by queue, in batches of ten. */
  batchesOf(messages: Iterable<SourceMessage>): readonly (readonly Held[])[] {
    const byQueue = new Map<QueuePlace, Held[]>()
    for (const message of messages) {
      const held = this.#held.get(message)
      if (held === undefined) continue
      const ofQueue = byQueue.get(held.queue) ?? []
      byQueue.set(held.queue, ofQueue)
      ofQueue.push(held)
    }
    return [...byQueue.values()].flatMap((ofQueue) => inTens(ofQueue))
  }

  find(message: SourceMessage): Held | undefined {
    return this.#held.get(message)
  }

  all(): Iterable<SourceMessage> {
    return this.#held.keys()
  }

  release(messages: Iterable<SourceMessage>): void {
    for (const message of messages) this.#held.delete(message)
  }

  /** Hides messages for so long from now; 0 shows them to everybody. Returns those that cannot be hidden. */
  hide(batches: readonly (readonly Held[])[], seconds: number): Promise<readonly Refused<Held>[]> {
    return sendBatches(batches, async (batch) => {
      const now = performance.now()
      const { Failed: failed } = await this.#api.call(
        `SQS queue ${batch[0]?.queue.name}`,
        (sqs, options) =>
          sqs.changeMessageVisibilityBatch(
            {
              QueueUrl: batch[0]?.queue.url,
              Entries: batch.map(({ receipt }, id) => ({
                Id: String(id),
                ReceiptHandle: receipt,
                VisibilityTimeout: seconds,
              })),
            },
            options,
          ),
        { withinMs: Math.min(Math.max(this.#hideMs, leastCallMs), mostCallMs) },
      )
      for (const held of batch) held.hiddenAt = now
      return failed
    })
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  async #hideOn(): Promise<void> {
    if (this.#isHiding) return
    this.#isHiding = true
    try {
      const before = performance.now() - this.#hideMs / 3
      const due = [...this.#held.values()].filter(({ hiddenAt }) => hiddenAt <= before)
      const batches = this.batchesOf(due.map(({ message }) => message))
      const refused = await this.hide(batches, Math.ceil(this.#hideMs / 1_000))
      this.release(refused.map(({ item }) => item.message))
    } catch (error) {
      this.#onError(error)
    } finally {
      this.#isHiding = false
    }
  }
}
