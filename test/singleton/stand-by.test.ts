/** Whoever waits for a lock leaves its server in peace. */
import assert from 'node:assert/strict'
import { createServer, request } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { after, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { createErrand, singleton, type Locks } from 'errand'
import { consulLocks } from 'errand/consul'
import { etcdLocks } from 'errand/etcd'
import { memory } from 'errand/memory'
import { findConsul, findEtcd } from '../lock-servers.ts'

const watchedMs = process.env['ERRAND_FULL'] === '1' ? 60_000 : 15_000
const mostPerMs = 1 / 5_000

const consul = await findConsul()
const etcd = await findEtcd()
after(async () => {
  await consul?.stop()
  await etcd?.stop()
})

const places: Readonly<Record<string, readonly [string | undefined, (url: string) => Locks]>> = {
  Consul: [consul?.url, (url) => consulLocks({ url })],
  etcd: [etcd?.url, (url) => etcdLocks({ url })],
}

for (const [name, [server, locksOf]] of Object.entries(places)) {
  if (server === undefined) continue
  test(`a stand-by asks ${name} at most once in five seconds`, async (t) => {
    const counting = await countingProxy(server)
    t.after(() => counting.close())
    const stop = new AbortController()
    const loop = (lock: Locks): Promise<unknown> => {
      const held = singleton({
        name: 'held',
        pause: '1h',
        keepLock: true,
        lock,
        liveness: [],
        run: () => {},
      })
      const errand = createErrand({ store: memory(), singletons: [held] })
      const waits = new Promise<void>((resolve) => {
        errand.on('singleton-waiting', () => resolve())
        errand.on('singleton-ended', () => resolve())
      })
      const ended = errand.singletons.run('held', { signal: stop.signal })
      t.after(async () => {
        stop.abort()
        await ended
        await errand.close()
      })
      return waits
    }
    await loop(locksOf(server))
    await loop(locksOf(counting.url))
    // The first look of its watch is still to come.
    await sleep(500)
    const before = counting.requests
    await sleep(watchedMs)
    const asked = counting.requests - before
    assert.ok(asked <= Math.ceil(watchedMs * mostPerMs), `${asked} requests in ${watchedMs} ms`)
  })
}

interface Counting {
  readonly url: string
  readonly requests: number
  close(): void
}

/** Passes requests on and counts them. */
async function countingProxy(target: string): Promise<Counting> {
  let requests = 0
  const server = createServer((incoming, response) => {
    requests++
    const { method = 'GET', headers, url = '/' } = incoming
    const outgoing = request(new URL(url, target), { method, headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers)
      answer.pipe(response)
    })
    outgoing.on('error', () => response.destroy())
    response.on('close', () => outgoing.destroy())
    incoming.pipe(outgoing)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    get requests() {
      return requests
    },
    close: () => {
      server.closeAllConnections()
      server.close()
    },
  }
}
