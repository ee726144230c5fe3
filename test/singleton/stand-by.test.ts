/** Whoever waits for a lock leaves its server in peace. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { createErrand, singleton, type Locks, type Store } from 'errand'
import { consulLocks } from 'errand/consul'
import { etcdLocks } from 'errand/etcd'
import { memory } from 'errand/memory'
import { sqlite } from 'errand/sqlite'
import { storeLocks } from '../../src/singleton/locks/store.ts'
import { findConsul, findEtcd } from '../lock-servers.ts'
import { recordingProxy } from './recording-proxy.ts'
import { isFull } from '../full.ts'

const watchedMs = isFull ? 60_000 : 15_000
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

// They watch for a while, each a place of its own.
describe('a stand-by', { concurrency: true }, () => {
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

  test('a stand-by asks a store at most once in five seconds, however often the holder writes that it lives', async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'errand-stand-by-'))
    const file = join(folder, 'jobs.db')
    const [mine, theirs] = [sqlite(file), sqlite(file)]
    const stop = new AbortController()
    const endings: Promise<unknown>[] = []
    t.after(async () => {
      stop.abort()
      await Promise.all(endings)
      await rm(folder, { recursive: true })
    })
    const begin = (store: Store, lock: Locks | 'store', run: () => void): void => {
      const busy = singleton({ name: 'busy', pause: '50ms', keepLock: true, lock, run })
      const errand = createErrand({ store, singletons: [busy] })
      const ended = errand.singletons.run('busy', { signal: stop.signal })
      endings.push(ended.then(() => errand.close()))
    }
    let rounds = 0
    let asked = 0
    const counted: Locks = {
      ...storeLocks(theirs),
      connector: null,
      hold: (request) => {
        asked += 1
        return theirs.hold(request)
      },
    }
    await new Promise<void>((resolve) => {
      begin(mine, 'store', () => {
        rounds += 1
        resolve()
      })
    })
    begin(theirs, counted, () => {})
    await sleep(1_000)
    const [before, roundsBefore] = [asked, rounds]
    await sleep(watchedMs)
    assert.ok(rounds - roundsBefore > 20)
    assert.ok(asked - before <= Math.ceil(watchedMs * mostPerMs), `${asked - before} requests`)
  })

  test('a release that is told while a stand-by asks is not missed', async (t) => {
    let tell = (): void => {}
    const asks: number[] = []
    const locks: Locks = {
      info: { kind: 'toy', location: 'here' },
      connector: null,
      leastTtlMs: 1_000,
      hold: async () => {
        asks.push(performance.now())
        // The second ask is told of as it is answered.
        if (asks.length === 2) tell()
        return { status: 'taken', owner: null, freeInMs: 60_000 }
      },
      release: async () => 'stale',
      lockOwner: async () => null,
      watch: (_, on) => {
        tell = on
        const first = setImmediate(on)
        return () => clearImmediate(first)
      },
      close: async () => {},
    }
    const stop = new AbortController()
    const waiting = singleton({
      name: 'waits',
      pause: '1h',
      keepLock: true,
      lock: locks,
      liveness: [],
      run: () => {},
    })
    const errand = createErrand({ store: memory(), singletons: [waiting] })
    const ended = errand.singletons.run('waits', { signal: stop.signal })
    t.after(async () => {
      stop.abort()
      await ended
      await errand.close()
    })
    const late = performance.now() + 8_000
    while (asks.length < 3 && performance.now() < late) await sleep(10)
    assert.ok(asks.length >= 3, `${asks.length} asks`)
  })
})
