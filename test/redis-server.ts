/** Servers of Redis for tests: private ones, each with its data in a temporary folder, or the one that the environment names. */
import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'
import {
  findBinary,
  findService,
  freePort,
  onPath,
  ownFolder,
  startOwn,
  type Kind,
  type Service,
  type Started,
} from './services.ts'

export interface RedisServer extends Started {
  readonly port: number
  readonly url: string
}

const kind: Kind<RedisServer> = {
  name: 'Redis',
  variable: 'ERRAND_TEST_REDIS',
  debianPackage: 'redis-server',
  binary: () => onPath('redis-server') ?? onPath('valkey-server'),
  start: (binary) => start(binary, []),
}

/** A Redis server, or null when there is none. */
export function findRedis(): Promise<Service<RedisServer> | null> {
  return findService(kind)
}

/** Whether private servers can be started; if not, the suite has been told. */
export function canStartRedis(): boolean {
  return findBinary(kind) !== null
}

/** Starts a private server with further arguments, such as `--appendonly yes`. */
export function startRedis(...args: readonly string[]): Promise<RedisServer> {
  const binary = kind.binary()
  if (binary === null) throw new Error('there is no redis-server: ask canStartRedis() before')
  return start(binary, args)
}

async function start(binary: string, args: readonly string[]): Promise<RedisServer> {
  const port = await freePort()
  const folder = await ownFolder('redis')
  const place = ['--port', String(port), '--bind', '127.0.0.1', '--dir', folder, '--save', '']
  const server = await startOwn({
    name: 'Redis',
    folder,
    command: binary,
    args: [...place, ...args],
    answers: () => answers(port, args),
  })
  return { ...server, port, url: `redis://127.0.0.1:${port}` }
}

async function answers(port: number, args: readonly string[]): Promise<void> {
  const at = args.indexOf('--requirepass')
  const password = at < 0 ? {} : { password: args[at + 1] ?? '' }
  const client = new Redis({
    port,
    host: '127.0.0.1',
    ...password,
    lazyConnect: true,
    retryStrategy: () => null,
  })
  client.on('error', () => undefined)
  try {
    await client.connect()
    await client.ping()
  } finally {
    client.disconnect()
  }
}

export interface RedisCluster {
  readonly urls: readonly string[]
  readonly servers: readonly RedisServer[]
  stop(): Promise<void>
}

const slots = 16_384
const togetherWithinMs = 60_000
/** The nodes find each other sooner with a short one. */
const startTimeoutMs = 2_000

/**
 * Starts three masters and three replicas on loopback. A node that is silent for longer than the timeout counts as gone: with a
 * short one, a busy machine makes a cluster fall apart.
 */
export async function startCluster(nodeTimeoutMs = 30_000): Promise<RedisCluster> {
  const servers = await Promise.all(
    Array.from({ length: 6 }, () =>
      startRedis(
        '--cluster-enabled',
        'yes',
        '--cluster-node-timeout',
        String(startTimeoutMs),
        '--repl-diskless-sync-delay',
        '0',
      ),
    ),
  )
  const clients = servers.map(({ port }) => new Redis(port, '127.0.0.1'))
  try {
    const masters = clients.slice(0, 3)
    for (const [n, client] of masters.entries()) {
      const from = Math.floor((slots * n) / 3)
      const to = Math.floor((slots * (n + 1)) / 3) - 1
      await client.cluster('ADDSLOTSRANGE', from, to)
      await client.cluster('SET-CONFIG-EPOCH', n + 1)
    }
    const [first] = servers
    for (const client of clients.slice(1))
      await client.cluster('MEET', '127.0.0.1', first?.port ?? 0)
    await until(async () => (await Promise.all(clients.map(known))).every((count) => count === 6))
    for (const [n, client] of clients.slice(3).entries()) {
      const master = String(await masters[n]?.cluster('MYID'))
      await client.cluster('REPLICATE', master)
    }
    await until(async () => (await Promise.all(clients.map(isWhole))).every(Boolean))
    for (const client of clients) await client.config('SET', 'cluster-node-timeout', nodeTimeoutMs)
  } finally {
    for (const client of clients) client.disconnect()
  }
  return {
    urls: servers.map(({ url }) => url),
    servers,
    stop: async () => void (await Promise.all(servers.map((server) => server.stop()))),
  }
}

async function known(client: Redis): Promise<number> {
  return String(await client.cluster('NODES'))
    .trim()
    .split('\n').length
}

async function isWhole(client: Redis): Promise<boolean> {
  const info = await client.cluster('INFO')
  const nodes = String(await client.cluster('NODES'))
  return info.includes('cluster_state:ok') && nodes.split('slave').length === 4
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + togetherWithinMs
  while (!(await holds())) {
    if (performance.now() > end) throw new Error('the cluster does not come together')
    await sleep(50)
  }
}
