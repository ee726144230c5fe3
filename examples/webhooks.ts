/** Webhooks: signed messages to an HTTP server, repeated until it takes them. */
import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { constant, createErrand } from 'errand'
import { memory } from 'errand/memory'
import { verifyWebhook, webhook } from 'errand/webhooks'

const old = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'
const next = `whsec_${Buffer.alloc(32, 1).toString('base64')}`

// A receiver that knows only the old secret yet, and is busy at first.
const seen = new Set<string>()
let calls = 0
const receive = async (request: IncomingMessage): Promise<number> => {
  if (++calls === 1) return 503
  const { id, payload } = verifyWebhook(old, request.headers, await text(request))
  if (!seen.has(id)) console.log('received', (payload as { type: string }).type)
  seen.add(id)
  return 204
}
const server = createServer((request, response) => {
  void receive(request).then((status) => response.writeHead(status).end())
})
server.listen(0, '127.0.0.1')
await once(server, 'listening')
const { port } = server.address() as AddressInfo

const hook = webhook({
  name: 'hooks.billing',
  url: `http://127.0.0.1:${port}/`,
  secret: [next, old],
  allow: ['127.0.0.1'],
  retry: { limit: 3, backoff: constant('10ms') },
})
const errand = createErrand({ store: memory(), tasks: [hook] })
const worker = errand.worker()
await worker.start()

const job = await errand.enqueue(hook, { type: 'invoice.paid', data: { invoice: 7 } })
console.log(await job.result())
console.log('requests', calls)

// Addresses that only your own machines can reach are refused, unless `allow` has them.
const gone = webhook({ name: 'hooks.gone', url: 'http://10.0.0.1/', secret: old })
const other = createErrand({ store: memory(), tasks: [gone] })
await other.worker().start()
const refused = await other.enqueue(gone, { type: 'invoice.paid', data: {} })
await refused.result().catch(() => {})
const { state, runs } = (await other.jobs.get(refused.id)) ?? { runs: [] }
console.log(state, '-', runs.at(-1)?.error?.message)

await errand.close()
await other.close()
server.close()

// Output:
// received invoice.paid
// { status: 204 }
// requests 2
// failed - 10.0.0.1 is not on the public internet. If it is meant, allow it: webhook({ allow: ['10.0.0.1'] }).
