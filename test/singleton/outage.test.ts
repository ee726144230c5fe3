/** A lock server that goes away for longer than a lock lasts, and comes back: nobody runs, nobody spins, and then one goes on. */
import assert from 'node:assert/strict'
import { after, describe, test, type TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { createErrand, singleton, type Locks } from 'errand'
import { consulLocks } from 'errand/consul'
import { etcdLocks } from 'errand/etcd'
import { memory } from 'errand/memory'
import { openStore } from '../../src/cli/open-store.ts'
import { findConsul, findEtcd } from '../lock-servers.ts'
import { findPostgres } from '../postgres-server.ts'
import { findRedis } from '../redis-server.ts'
import type { Service } from '../services.ts'
import { comesTrue } from './comes-true.ts'
import { recordingProxy, type RecordingProxy } from './recording-proxy.ts'

/** One process asks this often at most while the server is away, on average; a loop without a pause asks thousands of times. */
const mostPerSecond = 5
/** The end of an outage that is looked at for that: by then no run is under way. */
const calmMs = 5_000

const services = {
  etcd: await findEtcd(),
  Consul: await findConsul(),
  Redis: await findRedis(),
  PostgreSQL: await findPostgres(),
}
after(async () => {
  for (const service of Object.values(services)) await service?.stop()
})

type Name = keyof typeof services
const ttls: Readonly<Record<Name, number>> = {
  etcd: 2_000,
  // Its sessions live for ten seconds at least.
  Consul: 20_000,
  Redis: 2_000,
  PostgreSQL: 2_000,
}
const locksOf: { readonly [name in Name]?: (url: string) => Locks } = {
  etcd: (url) => etcdLocks({ url, timeout: '1s' }),
  Consul: (url) => consulLocks({ url, timeout: '1s' }),
}

/** Two processes that want one lock, and what they do under it. */
class Rivals {
  /** Who runs now. */
  readonly running = new Set<object>()
  readonly tokens: number[] = []
  /** Whether two ran at once at any time. */
  overlapped = false
  /** Failures of the lock that were told. */
  failures = 0

  async add(t: TestContext, name: Name, url: string): Promise<void> {
    const lock = locksOf[name]?.(url) ?? 'store'
    const contested = singleton({
      name: 'contested',
      pause: '10ms',
      keepLock: true,
      ttl: ttls[name],
      lock,
      liveness: [],
      run: async ({ signal, token }) => {
        const self = {}
        this.overlapped ||= this.running.size > 0
        this.running.add(self)
        this.tokens.push(token ?? 0)
        await sleep(100, undefined, { signal }).catch(() => {})
        this.running.delete(self)
      },
    })
    const store = lock === 'store' ? await openStore(url) : memory()
    const errand = createErrand({ store, singletons: [contested] })
    errand.on('part-failed', ({ part }) => {
      if (part === 'lock') this.failures++
    })
    const stop = new AbortController()
    const ended = errand.singletons.run('contested', { signal: stop.signal })
    t.after(async () => {
      stop.abort()
      await ended
      await errand.close()
    })
  }
}

void describe('an outage longer than the ttl', { concurrency: true }, () => {
  for (const [key, service] of Object.entries(services)) {
    const name = key as Name
    const started = service?.started ?? null
    const what = `leaves no two holders and no spin, and one goes on: ${name}`
    void test(what, { skip: started === null }, async (t) => {
      if (started === null || service === null) return
      const proxy = locksOf[name] === undefined ? null : await proxyTo(t, service)
      const url = proxy?.url ?? service.url
      const rivals = new Rivals()
      await rivals.add(t, name, url)
      await rivals.add(t, name, url)
      await comesTrue(() => rivals.tokens.length >= 3)
      await started.kill()
      // The run ends in time, whether the server answers or not; nobody else begins one.
      await sleep(ttls[name] + 500)
      assert.equal(rivals.running.size, 0)
      const asked = (): number => Math.max(proxy?.requests.length ?? 0, rivals.failures)
      const [before, runs] = [asked(), rivals.tokens.length]
      await sleep(calmMs)
      const perSecond = (asked() - before) / (calmMs / 1_000) / 2
      assert.ok(perSecond <= mostPerSecond, `${perSecond} requests a second`)
      assert.equal(rivals.tokens.length, runs)
      await started.start()
      await comesTrue(() => rivals.tokens.length >= runs + 3)
      assert.ok((rivals.tokens.at(-1) ?? 0) >= (rivals.tokens[runs - 1] ?? Infinity))
      assert.equal(rivals.overlapped, false)
    })
  }
})

async function proxyTo(t: TestContext, service: Service): Promise<RecordingProxy> {
  const proxy = await recordingProxy(service.url)
  t.after(() => proxy.close())
  return proxy
}
