/** The rules of sources, on NATS JetStream. */
import { after, describe, test } from 'node:test'
import { runRules, sourceRules } from '../../src/testing/conformance/index.ts'
import { startNats } from '../nats-server.ts'
import { natsPlace } from './nats-place.ts'

const server = await startNats()

if (server !== null) {
  after(() => server.stop())
  describe('NATS JetStream', { concurrency: 4 }, () => {
    runRules({ test, harness: { create: () => natsPlace(server.port) }, rules: sourceRules })
  })
}
