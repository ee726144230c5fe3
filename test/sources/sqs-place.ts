/** A queue of SQS for one test, behind a proxy that can cut its connections. */
import { randomUUID } from 'node:crypto'
import { sqs } from '../../src/sources/sqs/index.ts'
import { idAttribute } from '../../src/sources/sqs/connection.ts'
import type { SourceFixture } from '../../src/testing/conformance/index.ts'
import { startSqs } from '../sqs-server.ts'

/** Makes a place for `sourceRules`: a queue of its own, of the kind that is asked for. */
export async function sqsPlace(kind: 'standard' | 'fifo'): Promise<SourceFixture> {
  const server = await startSqs()
  const isFifo = kind === 'fifo'
  const queue = `place-${randomUUID()}${isFifo ? '.fifo' : ''}`
  server.fauxqs.createQueue(queue, { attributes: isFifo ? { FifoQueue: 'true' } : {} })
  return {
    source: (options) =>
      sqs({ queues: [queue], client: server.client, visibility: '2s', ...options }),
    async send(messages) {
      for (const { body, id } of messages) {
        const attribute = { [idAttribute]: { DataType: 'String', StringValue: id } }
        server.fauxqs.sendMessage(
          queue,
          Buffer.from(body).toString(),
          isFifo
            ? { messageGroupId: id, messageDeduplicationId: id }
            : { messageAttributes: attribute },
        )
      }
    },
    cut: () => server.cut(),
    dispose: () => server.stop(),
  }
}
