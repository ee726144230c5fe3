/** Whoever waits for a lock leaves its server in peace. */
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { createErrand, singleton, type Locks } from 'errand'
import { consulLocks } from 'errand/consul'
import { etcdLocks } from 'errand/etcd'
import { memory } from 'errand/memory'
import { findConsul, findEtcd } from '../lock-servers.ts'
import { recordingProxy } from './recording-proxy.ts'

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
    const counting = await recordingProxy(server)
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
    const before = counting.requests.length
    await sleep(watchedMs)
    const asked = counting.requests.length - before
    assert.ok(asked <= Math.ceil(watchedMs * mostPerMs), `${asked} requests in ${watchedMs} ms`)
  })
}
