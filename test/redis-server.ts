/** Servers of Redis for tests: each a process of its own on a free port, with its data in a temporary folder. */
import { spawn, type ChildProcess } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'

export interface RedisServer {
  readonly port: number
  readonly url: string
  /** Ends the process as if it were killed; `start` brings it back on the same port and folder. */
  kill(): Promise<void>
  start(): Promise<void>
  /** Ends the process and removes its folder. */
  stop(): Promise<void>
}

const program = 'redis-server'
const startsWithinMs = 20_000

/** Starts a server with further arguments, such as `--appendonly yes`. */
export async function startRedis(...args: readonly string[]): Promise<RedisServer> {
  const port = await freePort()
  const folder = await mkdtemp(join(tmpdir(), 'errand-redis-'))
  let child: ChildProcess | null = null
  const start = async (): Promise<void> => {
    child = spawn(
      program,
      ['--port', String(port), '--bind', '127.0.0.1', '--dir', folder, '--save', '', ...args],
      { stdio: 'ignore' },
    )
    child.unref()
    await answers(port, args)
  }
  const kill = async (): Promise<void> => {
    const ending = child
    child = null
    if (ending === null || ending.exitCode !== null) return
    const ended = new Promise<void>((resolve) => ending.once('exit', () => resolve()))
    ending.kill('SIGKILL')
    await ended
  }
  await start()
  return {
    port,
    url: `redis://127.0.0.1:${port}`,
    kill,
    start,
    stop: async () => {
      await kill()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

export interface RedisCluster {
  readonly urls: readonly string[]
  readonly servers: readonly RedisServer[]
  stop(): Promise<void>
}

const slots = 16_384

/** Starts three masters and three replicas on loopback. */
export async function startCluster(): Promise<RedisCluster> {
  const servers = await Promise.all(
    Array.from({ length: 6 }, () =>
      startRedis('--cluster-enabled', 'yes', '--cluster-node-timeout', '2000'),
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
  const end = performance.now() + startsWithinMs
  while (!(await holds())) {
    if (performance.now() > end) throw new Error('the cluster does not come together')
    await sleep(50)
  }
}

async function answers(port: number, args: readonly string[]): Promise<void> {
  const at = args.indexOf('--requirepass')
  const password = at < 0 ? {} : { password: args[at + 1] ?? '' }
  const client = new Redis({ port, host: '127.0.0.1', ...password, retryStrategy: () => 20 })
  client.on('error', () => undefined)
  const timer = setTimeout(() => client.disconnect(), startsWithinMs)
  await client.ping()
  clearTimeout(timer)
  client.disconnect()
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() =>
        resolve(typeof address === 'object' && address !== null ? address.port : 0),
      )
    })
  })
}
