/** A queue of SQS: found by its name or URL, with what its attributes say. */
import { readText } from '../../core/read.ts'
import type { Api } from './api.ts'

export interface QueuePlace {
  readonly name: string
  readonly url: string
  readonly isFifo: boolean
  /** Whether messages without a deduplication id get one that is the hash of their body. */
  readonly hashesBodies: boolean
  /** The name and account of the queue that takes what was received too often; null for none. */
  readonly deadLetters: { readonly name: string; readonly account: string } | null
}

/** Finds a queue. Rejects with `server-refused` for one that does not exist or may not be seen. */
export async function findQueue(
  api: Api,
  given: string,
  signal?: AbortSignal,
): Promise<QueuePlace> {
  const what = `SQS queue ${nameOf(given)}`
  const options = signal === undefined ? {} : { signal }
  const url = isUrl(given) ? given : await urlOf(api, { name: given }, options)
  const { Attributes: attributes = {} } = await api.call(
    what,
    (sqs, options) => sqs.getQueueAttributes({ QueueUrl: url, AttributeNames: ['All'] }, options),
    options,
  )
  return {
    name: nameOf(url),
    url,
    isFifo: url.endsWith('.fifo'),
    hashesBodies: attributes['ContentBasedDeduplication'] === 'true',
    deadLetters: deadLettersOf(attributes['RedrivePolicy']),
  }
}

/** The URL of a queue. Rejects as `findQueue` does. */
export async function urlOf(
  api: Api,
  { name, account }: { readonly name: string; readonly account?: string },
  options: { readonly signal?: AbortSignal } = {},
): Promise<string> {
  const owner = account === undefined ? {} : { QueueOwnerAWSAccountId: account }
  const { QueueUrl: url } = await api.call(
    `SQS queue ${name}`,
    (sqs, options) => sqs.getQueueUrl({ QueueName: name, ...owner }, options),
    options,
  )
  return readText(url, `The URL of SQS queue ${name}`)
}

/** The name at the end of a queue's URL, or the name itself. */
export function nameOf(given: string): string {
  return given.slice(given.lastIndexOf('/') + 1)
}

function isUrl(given: string): boolean {
  return /^https?:\/\//.test(given)
}

function deadLettersOf(policy: string | undefined): QueuePlace['deadLetters'] {
  if (policy === undefined) return null
  const { deadLetterTargetArn: arn } = JSON.parse(policy) as { deadLetterTargetArn?: string }
  const [account, name] = arn?.split(':').slice(4) ?? []
  return name === undefined || account === undefined ? null : { name, account }
}
