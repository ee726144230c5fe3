/** The queues of a broker that messages come from: declared where they are missing, used as they are where they exist. */
import type { ChannelModel } from 'amqplib'
import { messageOf } from '../../core/kept-error.ts'

/** How often a message of a queue that Errand has declared may be delivered before it counts as one that kills its consumers. */
const deliveryLimit = 50

const code = { notFound: 404, preconditionFailed: 406 } as const

/** The queue beside another one for what cannot become a job there. */
export function parkedQueue(queue: string): string {
  return `${queue}.parked`
}

/** Declares a queue, durable and replicated, with one for its dead letters, if there is none of its name. */
export async function provideQueue(model: ChannelModel, queue: string): Promise<void> {
  if (await exists(model, queue)) return
  await provideParked(model, queue)
  await declare(model, queue, ownArguments(queue))
}

/** Declares the queue for what is parked of another, if there is none. */
export async function provideParked(model: ChannelModel, queue: string): Promise<void> {
  const parked = parkedQueue(queue)
  if (await exists(model, parked)) return
  await declare(model, parked, { 'x-queue-type': 'quorum' })
}

/** Those of a queue that was missing: what is rejected, or kills consumers, goes to its parked queue and not astray. */
function ownArguments(queue: string): Arguments {
  return {
    'x-queue-type': 'quorum',
    'x-delivery-limit': deliveryLimit,
    'x-dead-letter-exchange': '',
    'x-dead-letter-routing-key': parkedQueue(queue),
    'x-dead-letter-strategy': 'at-least-once',
    // The broker wants it with that strategy; the queue has no length to overflow.
    'x-overflow': 'reject-publish',
  }
}

type Arguments = Readonly<Record<string, unknown>>

/** Another process may declare it at the same time, and in another way: then it is there. */
async function declare(model: ChannelModel, queue: string, args: Arguments): Promise<void> {
  await onChannel(model, async (channel) => {
    try {
      await channel.assertQueue(queue, { durable: true, arguments: args })
    } catch (error) {
      if (codeOf(error) !== code.preconditionFailed) throw error
    }
  })
}

function exists(model: ChannelModel, queue: string): Promise<boolean> {
  return onChannel(model, async (channel) => {
    try {
      await channel.checkQueue(queue)
      return true
    } catch (error) {
      if (codeOf(error) === code.notFound) return false
      throw error
    }
  })
}

/** How many arguments of a queue are looked at before it counts as unknown. */
const mostLooks = 20

/** What a refusal says: which argument differs, and what it is. */
const differs =
  /inequivalent arg '([^']+)' for queue .* but current is (?:the value )?(?:none|'(.*?)')(?: of type '(\w+)')?"?$/s

/**
 * The exchange that a queue's own arguments name for dead letters; null where they name none. The broker reveals arguments only by refusing
 * to declare the queue with others, one at a time. An exchange that a policy names is not found so.
 */
export async function deadLetterExchange(
  model: ChannelModel,
  queue: string,
): Promise<string | null> {
  let durable = true
  let autoDelete = false
  const args: Record<string, unknown> = { ...ownArguments(queue) }
  for (let look = 0; look < mostLooks; look += 1) {
    const refusal = await refusalOf(model, queue, { durable, autoDelete, args })
    if (refusal === null) return (args['x-dead-letter-exchange'] as string | undefined) ?? null
    const found = differs.exec(refusal)
    if (found === null) return null
    const [, name = '', value, type] = found
    if (name === 'durable') durable = value === 'true'
    else if (name === 'auto_delete') autoDelete = value === 'true'
    else if (name === 'x-dead-letter-exchange') return value ?? null
    else if (value === undefined) Reflect.deleteProperty(args, name)
    else args[name] = typed(value, type ?? typeof args[name])
  }
  return null
}

/** A value as the broker names it, with its type, or that of the value that it was compared with. */
function typed(value: string, type: string): unknown {
  if (type === 'bool' || type === 'boolean') return value === 'true'
  return type === 'longstr' || type === 'string' ? value : Number(value)
}

/** Why the broker refuses a declaration; null when it does not. */
function refusalOf(
  model: ChannelModel,
  queue: string,
  options: { readonly durable: boolean; readonly autoDelete: boolean; readonly args: Arguments },
): Promise<string | null> {
  const { durable, autoDelete, args } = options
  return onChannel(model, async (channel) => {
    try {
      await channel.assertQueue(queue, { durable, autoDelete, arguments: args })
      return null
    } catch (error) {
      if (codeOf(error) !== code.preconditionFailed) throw error
      return messageOf(error)
    }
  })
}

type Channel = Awaited<ReturnType<ChannelModel['createChannel']>>

/** Uses a channel of its own, since a refusal closes it. */
async function onChannel<T>(
  model: ChannelModel,
  use: (channel: Channel) => Promise<T>,
): Promise<T> {
  const channel = await model.createChannel()
  let isOpen = true
  channel.on('error', () => (isOpen = false))
  channel.on('close', () => (isOpen = false))
  try {
    return await use(channel)
  } finally {
    if (isOpen) await channel.close()
  }
}

function codeOf(error: unknown): unknown {
  return (error as { readonly code?: unknown } | null)?.code
}
