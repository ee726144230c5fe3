/** The properties of messages of AMQP, as headers of jobs, and back. */
import type { MessageProperties } from 'amqplib'

/** What a job knows its message's properties by. */
export const propertyHeaders = {
  correlationId: 'correlation-id',
  replyTo: 'reply-to',
  messageId: 'message-id',
} as const

/** The texts among a message's properties and headers; those that replies need come first. */
export function headersOf(properties: MessageProperties): Readonly<Record<string, string>> {
  const {
    correlationId,
    replyTo,
    messageId,
  }: Readonly<Record<keyof typeof propertyHeaders, unknown>> = properties
  const own: readonly (readonly [string, unknown])[] = [
    [propertyHeaders.correlationId, correlationId],
    [propertyHeaders.replyTo, replyTo],
    [propertyHeaders.messageId, messageId],
    ...Object.entries<unknown>(properties.headers ?? {}),
  ]
  const texts: Record<string, string> = {}
  for (const [name, value] of own)
    if (typeof value === 'string' && value !== '' && !Object.hasOwn(texts, name))
      texts[name] = value
  return texts
}
