/** Jobs as entries of a batch that is sent to SQS. */
import type { MessageAttributeValue, SendMessageBatchRequestEntry } from '@aws-sdk/client-sqs'
import { ErrandError } from '../../core/errors.ts'
import { readTexts } from '../../core/read.ts'
import { readJob, type ReadJob, type SentJob } from '../sent-jobs.ts'
import { mostEntries } from './batches.ts'
import { idAttribute } from './connection.ts'
import { nameOf } from './queue-place.ts'

/** A job as a message of SQS. */
export interface SqsSentJob extends SentJob {
  /** The message group, which a FIFO queue needs and only that has. */
  readonly group?: string
}

/** A job, ready to be sent. */
export interface Entry extends ReadJob {
  readonly index: number
  readonly group: string | null
  readonly attributes: Record<string, MessageAttributeValue>
  readonly bytes: number
}

/** What one batch may hold, in bytes: what old queues take. */
const batchBytes = 250_000
/** The most attributes of a message, and what their names are made of. */
const mostAttributes = 10
const attributeName = /^(?!AWS\.|Amazon\.)[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*$/i

/** Reads a job. Throws `invalid-option`, `not-json` and `too-large`. */
export function entryOf(job: SqsSentJob, usualQueue: string | undefined, index: number): Entry {
  const where = `send(), job ${index}`
  const read = readJob(job, usualQueue, where, ['group'])
  readTexts(job, ['group'], where)
  const { group = null, correlationId, replyTo, headers = {} } = job
  if (isFifo(read.queue) !== (group !== null)) {
    throw new ErrandError(
      'invalid-option',
      group === null
        ? `${where} needs a group, because ${nameOf(read.queue)} is a FIFO queue.`
        : `${where} has a group, which only FIFO queues have; ${nameOf(read.queue)} is none.`,
    )
  }
  const attributes = attributesOf(
    {
      [idAttribute]: read.id,
      ...(correlationId === undefined ? {} : { 'correlation-id': correlationId }),
      ...(replyTo === undefined ? {} : { 'reply-to': replyTo }),
      ...headers,
    },
    where,
  )
  const bytes = Buffer.byteLength(read.body) + Buffer.byteLength(JSON.stringify(attributes))
  return { ...read, index, group, attributes, bytes }
}

function attributesOf(
  texts: Readonly<Record<string, unknown>>,
  where: string,
): Record<string, MessageAttributeValue> {
  const all = Object.entries(texts)
  if (all.length > mostAttributes) {
    throw new ErrandError(
      'invalid-option',
      `${where} has ${all.length} attributes with its id and headers; SQS takes ${mostAttributes}.`,
    )
  }
  for (const [name, value] of all) {
    if (attributeName.test(name) && typeof value === 'string' && value !== '') continue
    throw new ErrandError(
      'invalid-option',
      `${where}.headers: SQS takes texts that are not empty, by names of letters, digits, -, _ and dots; ${JSON.stringify(name)} is not.`,
    )
  }
  return Object.fromEntries(
    all.map(([name, value]) => [name, { DataType: 'String', StringValue: value as string }]),
  )
}

/** The entry of a batch. */
export function wireOf(
  { id, body, group, attributes }: Entry,
  index: number,
): SendMessageBatchRequestEntry {
  return {
    Id: String(index),
    MessageBody: body.replaceAll(/[\uFFFE\uFFFF]/g, escaped),
    MessageAttributes: attributes,
    ...(group !== null && { MessageGroupId: group, MessageDeduplicationId: id }),
  }
}

/** SQS takes no such characters; JSON has another way to write them. */
function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16)}`
}

/** In their order, each of ten at most and so many bytes. */
export function batchesOf(entries: readonly Entry[]): readonly (readonly Entry[])[] {
  const batches: Entry[][] = []
  let bytes = 0
  for (const entry of entries) {
    const last = batches.at(-1)
    const fits =
      last !== undefined && last.length < mostEntries && bytes + entry.bytes <= batchBytes
    if (fits) last.push(entry)
    else batches.push([entry])
    bytes = (fits ? bytes : 0) + entry.bytes
  }
  return batches
}

export function isFifo(queue: string): boolean {
  return queue.endsWith('.fifo')
}
