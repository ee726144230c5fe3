/** A stream of NATS JetStream for one test, behind a proxy that can cut its connections. */
import { randomUUID } from 'node:crypto'
import { jetstream, jetstreamManager } from '@nats-io/jetstream'
import { connect } from '@nats-io/transport-node'
import { nats } from '../../src/sources/nats/index.ts'
import type { SourceFixture } from '../../src/testing/conformance/index.ts'
import { tcpProxy } from '../tcp-proxy.ts'

/** Makes a place for `sourceRules`. */
export async function natsPlace(port: number): Promise<SourceFixture> {
  const stream = `place-${randomUUID()}`
  const proxy = await tcpProxy(port)
  const connection = await connect({ servers: `nats://127.0.0.1:${port}` })
  const manager = await jetstreamManager(connection)
  await manager.streams.add({ name: stream, subjects: [`${stream}.>`] })
  return {
    source: (options) =>
      nats({
        stream,
        client: { servers: `nats://127.0.0.1:${proxy.port}` },
        ackWait: '2s',
        ...options,
      }),
    async send(messages) {
      for (const { body, id } of messages)
        await jetstream(connection).publish(`${stream}.jobs`, body, { msgID: id })
    },
    cut: async () => proxy.cut(),
    async dispose() {
      await proxy.close()
      await connection.close()
    },
  }
}
