/** Where a run takes place: a store of its own, the ways that lead to it, and what can befall its server. */
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as sleep } from 'node:timers/promises'
import { ErrandError } from '../../src/core/errors.ts'
import { startPair as startPostgresPair } from '../postgres-pair.ts'
import { canStartPostgres, query } from '../postgres-server.ts'
import { startPair as startRedisPair } from '../redis-pair.ts'
import { canStartRedis, startCluster, type RedisServer } from '../redis-server.ts'
import { tcpProxy, type TcpProxy } from '../tcp-proxy.ts'
import { asked } from './asked.ts'
import { becomesWhole, failOver } from './fail-over.ts'
import { startManager } from './manager-process.ts'
import { moveSlot } from './moves.ts'
import { whole, type Random } from './random.ts'

/** Stores that a run can make for itself. */
export const ownStores = ['sqlite', 'postgres', 'redis', 'redis-cluster', 'http'] as const
export type OwnStore = (typeof ownStores)[number]

/** How Redis keeps its file: one that syncs each second can lose the last, so that its server is left alone. */
export const aofs = ['always', 'everysec'] as const
export type Aof = (typeof aofs)[number]

/** How one process reaches the store. */
export interface Way {
  /** URL of the store. */
  readonly url: string
  /** What its connections go through; null for a store without connections, or one that is not the run's own. */
  readonly proxy: TcpProxy | null
}

/** Ends the server, calls back, waits so long, and starts it again; resolves when it answers. */
type Restart = (random: Random, down: () => Promise<void>) => Promise<void>

/** Lets another server take over; resolves when it does, with what brings the ground back to where it may happen again. */
type FailOver = (random: Random) => Promise<() => Promise<void>>

/** A connection as the server sees it. */
export interface Connection {
  /** Where it comes from. */
  readonly port: number
  /** Ends it from the server's side. */
  readonly end: () => Promise<void>
}

export interface Ground {
  /** URL of the store for the director. */
  readonly url: string
  readonly way: () => Promise<Way>
  /** Null when the server can not be restarted, or there is none. */
  readonly restart: Restart | null
  /**
   * Lets servers change places or data move between them, so that nothing acknowledged is lost by it; resolves when that is done. Null when
   * there is nothing to change.
   */
  readonly upheave: ((random: Random) => Promise<void>) | null
  /** Null when no other server is there to take over, or a restart lets one do so. */
  readonly failOver: FailOver | null
  /** The connections that the server has from the run; null when there are none. */
  readonly connections: (() => Promise<readonly Connection[]>) | null
  /** Whether somebody holds the store so that nobody else can write; null where a process cannot. */
  readonly isHeld: (() => Promise<boolean>) | null
  /** Whether a restart may lose what was acknowledged right before it. */
  readonly isLossy: boolean
  readonly close: () => Promise<void>
}

/** Prepares a store of the run's own, or takes the one that a URL names. Throws `invalid-option` when it cannot be had. */
export async function prepare(store: string, aof: Aof, folder: string): Promise<Ground> {
  const own = ownStores.find((one) => one === store)
  if (own === undefined) return untouched(store)
  switch (own) {
    case 'sqlite':
      return sqliteGround(join(folder, 'jobs.db'))
    case 'postgres':
      return postgresGround()
    case 'redis':
      return redisGround(aof)
    case 'redis-cluster':
      return clusterGround()
    case 'http':
      return managerGround(join(folder, 'jobs.db'))
  }
}

/** A store of which the run only kills clients. */
function untouched(url: string): Ground {
  return {
    url,
    way: async () => ({ url, proxy: null }),
    restart: null,
    upheave: null,
    failOver: null,
    connections: null,
    isHeld: null,
    isLossy: false,
    close: async () => {},
  }
}

/** How long the write lock must not be had for it to count as held. */
const heldMs = 150

function sqliteGround(file: string): Ground {
  return {
    ...untouched(`sqlite:${file}`),
    async isHeld() {
      const database = new DatabaseSync(file, { timeout: 0 })
      try {
        for (const until = performance.now() + heldMs; performance.now() < until; await sleep(5)) {
          if (isWritable(database)) return false
        }
        return true
      } finally {
        database.close()
      }
    },
  }
}

function isWritable(database: DatabaseSync): boolean {
  try {
    database.exec('BEGIN IMMEDIATE; ROLLBACK')
    return true
  } catch {
    return false
  }
}

/** A standby that lost its primary looks for it so often, so that commits wait no longer for it than a moment. */
const retryMs = 200

async function postgresGround(): Promise<Ground> {
  if (!canStartPostgres()) throw missing('PostgreSQL')
  const pair = await startPostgresPair({
    fsync: 'on',
    synchronous_commit: 'on',
    wal_retrieve_retry_interval: retryMs,
  })
  const proxies: TcpProxy[] = []
  const way = (): Promise<Way> => proxied(pair.primary.url, pair.primary.port, proxies)
  const { url } = await way()
  return {
    url,
    way,
    async restart(random, down) {
      const { primary } = pair
      await primary.kill(random() < 0.5 ? 'SIGQUIT' : 'SIGKILL')
      await down()
      await primary.start()
    },
    async failOver(random) {
      await pair.failOver(random() < 0.5 ? 'gone' : 'read-only')
      for (const proxy of proxies) proxy.aim(pair.primary.port)
      return () => pair.mend()
    },
    upheave: null,
    async connections() {
      const { primary } = pair
      const rows = await query(
        primary.url,
        `SELECT pid, client_port FROM pg_stat_activity WHERE application_name = 'errand' ORDER BY pid`,
      )
      return rows.map(({ pid, client_port: port }) => ({
        port: Number(port),
        end: async () => void (await query(primary.url, 'SELECT pg_terminate_backend($1)', [pid])),
      }))
    },
    isHeld: null,
    isLossy: false,
    close: async () => {
      await Promise.all(proxies.map((proxy) => proxy.close()))
      await pair.stop()
    },
  }
}

/** Several partitions on one server, so that calls go over more than one. */
const partitions = 4

async function redisGround(aof: Aof): Promise<Ground> {
  if (!canStartRedis()) throw missing('Redis')
  const pair = await startRedisPair('--appendonly', 'yes', '--appendfsync', aof)
  const proxies: TcpProxy[] = []
  const way = async (): Promise<Way> => {
    const { port, url } = pair.master
    return proxied(`${url}?partitions=${partitions}`, port, proxies)
  }
  const { url } = await way()
  return {
    url,
    way,
    restart:
      aof === 'always'
        ? async (_random, down) => {
            await pair.master.kill()
            await down()
            await pair.master.start()
          }
        : null,
    upheave: () =>
      pair.switchOver(({ port }) => {
        for (const proxy of proxies) proxy.aim(port)
      }),
    failOver: null,
    connections: () => clientsOf(pair.master),
    isHeld: null,
    isLossy: false,
    close: async () => {
      await Promise.all(proxies.map((proxy) => proxy.close()))
      await pair.stop()
    },
  }
}

async function clusterGround(): Promise<Ground> {
  if (!canStartRedis()) throw missing('Redis')
  const cluster = await startCluster(2_000)
  const { servers } = cluster
  await becomesWhole(servers)
  const url = `redis://${servers.map(({ port }) => `127.0.0.1:${port}`).join(',')}?partitions=8`
  return {
    url,
    // Nodes tell each other's addresses to clients, so that no proxy can stand before them.
    way: async () => ({ url, proxy: null }),
    restart: (random, down) => failOver(servers, random, down),
    upheave: (random) => moveSlot(servers, `{errand:${whole(random, 0, 7)}}:`, random),
    failOver: null,
    connections: async () => (await Promise.all(servers.map(clientsOf))).flat(),
    isHeld: null,
    isLossy: true,
    close: () => cluster.stop(),
  }
}

/** A manager before a file: it is killed and started again, the file is left alone. */
async function managerGround(file: string): Promise<Ground> {
  const manager = await startManager(`sqlite:${file}`)
  const proxies: TcpProxy[] = []
  const way = (): Promise<Way> => proxied(manager.url, manager.port, proxies)
  const { url } = await way()
  return {
    ...untouched(url),
    way,
    async restart(random, down) {
      await manager.end(random() < 0.7 ? 'SIGKILL' : 'SIGTERM')
      await down()
      await manager.start()
    },
    close: async () => {
      await Promise.all(proxies.map((proxy) => proxy.close()))
      await manager.end('SIGKILL')
    },
  }
}

async function proxied(url: string, port: number, proxies: TcpProxy[]): Promise<Way> {
  const proxy = await tcpProxy(port)
  proxies.push(proxy)
  return { url: url.replace(`:${port}`, `:${proxy.port}`), proxy }
}

async function clientsOf({ port }: RedisServer): Promise<readonly Connection[]> {
  const lists = await asked(port, (client) =>
    Promise.all(['normal', 'pubsub'].map((type) => client.call('CLIENT', 'LIST', 'TYPE', type))),
  )
  const found = [...lists.join('\n').matchAll(/^id=(\d+) addr=\S+:(\d+) /gm)]
  return found.map(([, id = '', from]) => ({
    port: Number(from),
    end: async () => void (await asked(port, (client) => client.call('CLIENT', 'KILL', 'ID', id))),
  }))
}

function missing(name: string): ErrandError {
  return new ErrandError('invalid-option', `There is no ${name} to start on this machine.`)
}
