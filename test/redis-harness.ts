/** Stores on a server or cluster of Redis for the conformance suite: each rule under a prefix of its own, with time that stands still. */
import { Cluster, Redis } from 'ioredis'
import { packId } from '../src/stores/redis/ids.ts'
import { redis, type RedisClient } from '../src/stores/redis/index.ts'
import type { Store } from '../src/store/store.ts'
import type { Spoiled, StoreHarness } from '../src/testing/conformance/index.ts'

let made = 0

/** Makes stores on nodes; more than one URL names a cluster. With a client, which the caller ends, all of them are on it. */
export function redisHarness(
  urls: readonly string[],
  partitions = 1,
  shared: Redis | Cluster | null = null,
): StoreHarness {
  return {
    async create() {
      const prefix = `test-${process.pid}-${made++}`
      const client = shared ?? clientOf(urls)
      const onClient = shared as unknown as RedisClient | null
      const roots = Array.from({ length: partitions }, (_, n) => `{${prefix}:${n}}:`)
      let now = Date.now()
      const setClocks = async (): Promise<void> => {
        await Promise.all(roots.map((root) => client.set(`${root}clock`, `=${now}`)))
      }
      await setClocks()
      const stores: Store[] = []
      const open = (): Store => {
        const store = redis(onClient ?? urls, { prefix, partitions, testClock: true })
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
        spoil: (id, what) => spoil(client, roots, packId(id), what),
        dispose: async () => {
          for (const store of stores) await store.close()
          await removeAll(client, prefix)
          if (client !== shared) client.disconnect()
        },
      }
    },
  }
}

/** A time that a score of Redis holds, and neither a `Date` nor a number of JavaScript. */
const never = String(2n ** 62n)
/** Where a record has what, in its first line and in its second. */
const fields = { created: 2, due: 3, counters: 9 } as const
const spans = { keepCancelled: 3, startWithin: 9, deadline: 10 } as const

async function spoil(
  client: Redis | Cluster,
  roots: readonly string[],
  id: string,
  what: Spoiled,
): Promise<void> {
  for (const root of roots) {
    const record = await client.get(`${root}j:${id}`)
    if (record === null) continue
    const lines = record.split('\n')
    const head = lines[0]?.startsWith('F') === true ? 1 : 0
    if (what === 'spans') {
      for (const at of Object.values(spans)) lines[head + 1] = withField(lines[head + 1], at, never)
    } else {
      const value = what === 'counters' ? 'many,,,few' : never
      lines[head] = withField(lines[head], fields[what], value)
    }
    await client.set(`${root}j:${id}`, lines.join('\n'))
    if (what !== 'due') continue
    for (const member of await client.zrange(`${root}scheduled`, '0', '-1'))
      if (member.endsWith(id)) await client.zadd(`${root}scheduled`, never, member)
  }
}

function withField(line: string | undefined, at: number, value: string): string {
  const all = (line ?? '').split('\t')
  while (all.length <= at) all.push('')
  all[at] = value
  return all.join('\t')
}

/** A client of one node, or of a cluster. */
export function clientOf(urls: readonly string[]): Redis | Cluster {
  const [url = ''] = urls
  if (urls.length === 1) return new Redis(url)
  return new Cluster(urls.map((node) => ({ host: '127.0.0.1', port: Number(new URL(node).port) })))
}

async function removeAll(client: Redis | Cluster, prefix: string): Promise<void> {
  const nodes = client instanceof Cluster ? client.nodes('master') : [client]
  for (const node of nodes) {
    for await (const keys of node.scanStream({ match: `{${prefix}:*`, count: 1_000 })) {
      const removal = node.pipeline()
      // A call for each key: those of one call would have to be in one slot.
      for (const key of keys as string[]) removal.unlink(key)
      await removal.exec()
    }
  }
}
