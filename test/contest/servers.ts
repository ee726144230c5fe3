/** Lock servers for a contest: what contenders connect to, and how a way to it is cut. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { between, draw, type Random } from '../chaos/random.ts'
import { findConsul, findEtcd, startConsulCluster } from '../lock-servers.ts'
import { findPostgres } from '../postgres-server.ts'
import { findRedis } from '../redis-server.ts'
import { tcpProxy, type TcpProxy } from '../tcp-proxy.ts'

export const lockNames = [
  'sqlite',
  'postgres',
  'redis',
  'consul',
  'consul-cluster',
  'etcd',
] as const
export type LockName = (typeof lockNames)[number]

/** How one contender reaches the server. */
export interface Way {
  readonly url: string
  /** Null for a file. */
  readonly proxy: TcpProxy | null
}

export interface LockPlace {
  readonly ttlMs: number
  way(): Promise<Way>
  /** Ends the leader of the servers, or cuts one of them off, and brings it back; null for a single server. */
  readonly shake: ((random: Random) => Promise<void>) | null
  close(): Promise<void>
}

const ttlMs: Readonly<Record<LockName, number>> = {
  sqlite: 2_000,
  postgres: 2_000,
  redis: 2_000,
  etcd: 2_000,
  // Its sessions live for ten seconds at least, and for twice as long as they are asked to.
  consul: 20_000,
  'consul-cluster': 20_000,
}

/** Starts a server; null when this machine has none. */
export async function lockPlace(name: LockName): Promise<LockPlace | null> {
  if (name === 'sqlite') {
    const folder = await mkdtemp(join(tmpdir(), 'errand-contest-'))
    const url = `sqlite:${join(folder, 'locks.db')}`
    return {
      ttlMs: ttlMs.sqlite,
      way: async () => ({ url, proxy: null }),
      shake: null,
      close: () => rm(folder, { recursive: true }),
    }
  }
  if (name === 'consul-cluster') return consulCluster()
  const find = { postgres: findPostgres, redis: findRedis, consul: findConsul, etcd: findEtcd }[
    name
  ]
  const service = await find()
  if (service === null) return null
  const proxies: TcpProxy[] = []
  return {
    ttlMs: ttlMs[name],
    shake: null,
    async way() {
      const target = new URL(service.url)
      const proxy = await tcpProxy(Number(target.port))
      proxies.push(proxy)
      target.port = String(proxy.port)
      return { url: target.href, proxy }
    },
    async close() {
      await Promise.all(proxies.map((proxy) => proxy.close()))
      await service.stop()
    },
  }
}

/** How long a server of the cluster is away: longer than an election, and longer than a lock lasts. */
const awayMs = { from: 5_000, to: 30_000 } as const

async function consulCluster(): Promise<LockPlace | null> {
  const cluster = await startConsulCluster()
  if (cluster === null) return null
  let ways = 0
  return {
    ttlMs: ttlMs['consul-cluster'],
    // Contenders are spread over the servers.
    way: async () => ({ url: cluster.servers[ways++ % 3]?.url ?? '', proxy: null }),
    async shake(random) {
      const leader = await cluster.leader()
      const ms = between(random, awayMs.from, awayMs.to)
      if (leader !== null && random() < 0.5) {
        await leader.kill()
        await sleep(ms)
        await leader.start()
        return
      }
      const cutOff = draw(random, cluster.servers)
      cutOff?.signal('SIGSTOP')
      await sleep(ms)
      cutOff?.signal('SIGCONT')
    },
    close: () => cluster.stop(),
  }
}
