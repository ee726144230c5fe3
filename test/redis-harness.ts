/** Stores on a server or cluster of Redis for the conformance suite: each rule under a prefix of its own, with time that stands still. */
import { Cluster, Redis } from 'ioredis'
import { redis } from '../src/stores/redis/index.ts'
import type { Store } from '../src/store.ts'
import type { StoreHarness } from '../src/testing/conformance/index.ts'

let made = 0

/** Makes stores on nodes; more than one URL names a cluster. */
export function redisHarness(urls: readonly string[], partitions = 1): StoreHarness {
  return {
    async create() {
      const prefix = `test-${process.pid}-${made++}`
      const client = clientOf(urls)
      const roots = Array.from({ length: partitions }, (_, n) => `{${prefix}:${n}}:`)
      let now = Date.now()
      const setClocks = async (): Promise<void> => {
        await Promise.all(roots.map((root) => client.set(`${root}clock`, `=${now}`)))
      }
      await setClocks()
      const stores: Store[] = []
      const open = (): Store => {
        const store = redis(urls, { prefix, partitions, testClock: true })
        stores.push(store)
        return store
      }
      return {
        store: open(),
        another: async () => open(),
        advance: async (ms) => {
          now += ms
          await setClocks()
        },
        dispose: async () => {
          for (const store of stores) await store.close()
          await removeAll(client, prefix)
          client.disconnect()
        },
      }
    },
  }
}

function clientOf(urls: readonly string[]): Redis | Cluster {
  const [url = ''] = urls
  if (urls.length === 1) return new Redis(url)
  return new Cluster(urls.map((node) => ({ host: '127.0.0.1', port: Number(new URL(node).port) })))
}

async function removeAll(client: Redis | Cluster, prefix: string): Promise<void> {
  const nodes = client instanceof Cluster ? client.nodes('master') : [client]
  for (const node of nodes) {
    for await (const keys of node.scanStream({ match: `{${prefix}:*`, count: 1_000 })) {
      for (const key of keys as string[]) await node.del(key)
    }
  }
}
