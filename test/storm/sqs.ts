/** The storm on SQS: fauxqs, to which the real SDK speaks. */
import type { Source } from '../../src/index.ts'
import { sqs } from '../../src/sources/sqs/index.ts'
import { startSqs } from '../sqs-server.ts'
import type { StormBroker } from './broker.ts'

const queue = 'storm'
/** Short, so that what a dead consumer held comes again soon. */
const visibility = '2s'

export async function start(): Promise<StormBroker> {
  const server = await startSqs({ endsPolls: true })
  const { fauxqs } = server
  fauxqs.createQueue(queue)
  return {
    send: async (bodies) => {
      for (const body of bodies) fauxqs.sendMessage(queue, body)
    },
    left: async () => {
      const { ready = [], delayed = [], inflight = [] } = fauxqs.inspectQueue(queue)?.messages ?? {}
      return ready.length + delayed.length + inflight.length
    },
    misfortunes: [],
    argument: server.client.endpoint,
    module: import.meta.url,
    stop: () => server.stop(),
  }
}

export function openSource(endpoint: string): Source {
  const credentials = { accessKeyId: 'test', secretAccessKey: 'test' }
  return sqs({
    queues: [queue],
    client: { endpoint, region: 'us-east-1', credentials },
    visibility,
  })
}
