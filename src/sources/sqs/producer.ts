/** Sends jobs to queues of SQS, as messages that `sqs()` reads. */
import { ErrandError, isErrandError } from '../../core/errors.ts'
import { refuseUnknownKeys } from '../../core/option-keys.ts'
import { readList, readText } from '../../core/read.ts'
import { notAllSent, type Unconfirmed, type UnconfirmedJob } from '../sent-jobs.ts'
import { Api, type ClientConfig } from './api.ts'
import { sendBatches } from './batches.ts'
import { batchesOf, entryOf, isFifo, wireOf, type Entry, type SqsSentJob } from './entries.ts'
import { setTimeout } from '../../core/timers.ts'
import { nameOf, urlOf } from './queue-place.ts'
import { readClient } from './sqs.ts'

export interface SqsProducerOptions {
  /** Where jobs go that name no queue: a name or a URL. */
  readonly queue?: string
  /** For the SDK's client: region, credentials, endpoint. Default: from the environment. */
  readonly client?: ClientConfig
}

export interface SqsProducer extends AsyncDisposable {
  /**
   * Sends jobs, and resolves with their ids when SQS has taken all; to a FIFO queue in their order. Rejects with
   * `invalid-option`, `not-json` and `too-large` before it has sent anything, and with `unknown-outcome`, `server-refused`,
   * `server-unavailable` or `closed` when some are not taken within 30 s: those are listed in `details.unconfirmed`, the
   * others are sent.
   */
  send(jobs: readonly SqsSentJob[]): Promise<readonly string[]>
  /** Ends what is under way. */
  close(): Promise<void>
}

/** How long a call of `send` may take, in ms. */
const sendMs = 30_000
/** How often SQS is offered again what it could not take. */
const repeats = { tries: 4, pauseMs: 100 } as const
/**
 * Makes a producer; it needs `@aws-sdk/client-sqs` when it sends. Throws `invalid-option`.
 *
 * @example
 * const producer = sqsProducer({ queue: 'etl', client: { region: 'eu-west-1' } })
 * await producer.send([{ task: 'extract', input: { day: 'monday' } }])
 */
export function sqsProducer(options: SqsProducerOptions): SqsProducer {
  const where = 'sqsProducer()'
  refuseUnknownKeys(options, ['queue', 'client'], where)
  const { queue, client = {} } = options
  if (queue !== undefined) readText(queue, `${where}.queue`)
  readClient(client, `${where}.client`)
  const sender = new Sender(client)
  const close = async (): Promise<void> => sender.close()
  return {
    async send(jobs) {
      readList(jobs, 'What send() takes', 'jobs, each { task, input, queue }')
      const entries = jobs.map((job, index) => entryOf(job, queue, index))
      const failed = await sender.send(entries)
      if (failed.length > 0) throw notAllSent(failed, jobs.length)
      return entries.map(({ id }) => id)
    },
    close,
    [Symbol.asyncDispose]: close,
  }
}

type Failure = UnconfirmedJob & { readonly error: unknown }

class Sender {
  readonly #config: ClientConfig
  readonly #urls = new Map<string, Promise<string>>()
  #api: Promise<Api> | null = null
  #isClosed = false

  constructor(config: ClientConfig) {
    this.#config = config
  }

  async send(entries: readonly Entry[]): Promise<readonly Failure[]> {
    const signal = AbortSignal.timeout(sendMs)
    const byQueue = Map.groupBy(entries, ({ queue }) => queue)
    const failed = await Promise.all(
      [...byQueue].map(([queue, ofQueue]) => this.#sendTo(queue, ofQueue, signal)),
    )
    return failed.flat()
  }

  close(): void {
    this.#isClosed = true
    void this.#api?.then((api) => api.close())
  }

  async #sendTo(
    queue: string,
    entries: readonly Entry[],
    signal: AbortSignal,
  ): Promise<readonly Failure[]> {
    try {
      const api = await this.#open()
      const url = await this.#urlOf(api, queue, signal)
      const target = { api, url, signal }
      if (!isFifo(queue)) return await sendAll(target, batchesOf(entries))
      return await sendInOrder(target, batchesOf(entries))
    } catch (error) {
      if (isErrandError(error, 'missing-peer')) throw error
      const why = isMissing(error) ? 'unroutable' : 'unsent'
      return entries.map((entry) => failureOf(entry, why, error))
    }
  }

  #open(): Promise<Api> {
    if (this.#isClosed)
      return Promise.reject(new ErrandError('closed', 'The producer of SQS is closed.'))
    return (this.#api ??= Api.open(this.#config))
  }

  #urlOf(api: Api, queue: string, signal: AbortSignal): Promise<string> {
    if (/^https?:\/\//.test(queue)) return Promise.resolve(queue)
    const known = this.#urls.get(queue)
    if (known !== undefined) return known
    const asked = urlOf(api, { name: queue }, { signal }).catch((error: unknown) => {
      this.#urls.delete(queue)
      throw error
    })
    this.#urls.set(queue, asked)
    return asked
  }
}

interface Target {
  readonly api: Api
  readonly url: string
  readonly signal: AbortSignal
}

async function sendAll(
  target: Target,
  batches: readonly (readonly Entry[])[],
): Promise<readonly Failure[]> {
  const failed: Failure[] = []
  await sendBatches(batches, async (batch) => {
    failed.push(...(await sendBatch(target, batch)))
    return []
  })
  return failed
}

/** One batch after another; what comes after a failure is not sent, so that the order stays. */
async function sendInOrder(
  target: Target,
  batches: readonly (readonly Entry[])[],
): Promise<readonly Failure[]> {
  for (const [n, batch] of batches.entries()) {
    const failed = await sendBatch(target, batch)
    if (failed.length === 0) continue
    const rest = batches.slice(n + 1).flat()
    return [...failed, ...rest.map((one) => failureOf(one, 'unsent', failed[0]?.error))]
  }
  return []
}

/** Sends a batch, and again what SQS could not take of it. */
async function sendBatch(target: Target, batch: readonly Entry[]): Promise<readonly Failure[]> {
  const { api, url, signal } = target
  const failed: Failure[] = []
  let left = batch
  for (let tries = 1; left.length > 0; tries++) {
    if (signal.aborted) return [...failed, ...left.map((one) => failureOf(one, 'unsent', late()))]
    const sent = left
    try {
      const refused = await sendBatches([sent], async () => {
        const answer = await api.call(
          `SQS queue ${nameOf(url)}`,
          (sqs, options) =>
            sqs.sendMessageBatch({ QueueUrl: url, Entries: sent.map(wireOf) }, options),
          { signal },
        )
        return answer.Failed
      })
      left = refused
        .filter(({ isFinal }) => !isFinal && tries < repeats.tries)
        .map(({ item }) => item)
      for (const { item, why } of refused) {
        if (left.includes(item)) continue
        const error = new ErrandError('server-refused', `SQS queue ${nameOf(url)}: ${why}`)
        failed.push(failureOf(item, 'refused', error))
      }
    } catch (error) {
      return [...failed, ...sent.map((one) => failureOf(one, whyOf(error), error))]
    }
    if (left.length > 0)
      await new Promise((resolve) => setTimeout(resolve, repeats.pauseMs * 2 ** tries))
  }
  return failed
}

function failureOf({ index, id }: Entry, why: Unconfirmed, error: unknown): Failure {
  return { index, id, why, error: why === 'unknown' ? unknown(error) : error }
}

function whyOf(error: unknown): Unconfirmed {
  if (isMissing(error)) return 'unroutable'
  return isErrandError(error, 'server-refused') ? 'refused' : 'unknown'
}

function isMissing(error: unknown): boolean {
  const { name } = ((error as { cause?: unknown } | null)?.cause ?? {}) as { name?: unknown }
  return name === 'QueueDoesNotExist' || name === 'AWS.SimpleQueueService.NonExistentQueue'
}

function unknown(cause: unknown): ErrandError {
  const words = cause instanceof Error ? cause.message : String(cause)
  return new ErrandError('unknown-outcome', `${words} Send them again under their ids.`, { cause })
}

function late(): ErrandError {
  return new ErrandError('server-unavailable', 'SQS did not take them in time.')
}
