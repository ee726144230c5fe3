/** Two servers of Redis of which one is the master and the other follows it, as those behind one address do. */
import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { startRedis, type RedisServer } from './redis-server.ts'

const withinMs = 20_000
const lookMs = 20
/** Longer than a switch takes. */
const pauseMs = 30_000

export interface RedisPair {
  readonly master: RedisServer
  readonly servers: readonly RedisServer[]
  /** Makes the other one the master, as an administrator does, so that nothing is lost. `lead` moves the address in between. */
  switchOver(lead: (master: RedisServer) => void): Promise<void>
  stop(): Promise<void>
}

/** Starts two servers with further arguments, such as `--appendonly yes`. */
export async function startPair(...args: readonly string[]): Promise<RedisPair> {
  const servers = await Promise.all([0, 1].map(() => startRedis(...args, ...quickly)))
  const [one, two] = servers as [RedisServer, RedisServer]
  let [master, replica] = [one, two]
  await follow(replica, master)
  return {
    get master() {
      return master
    },
    servers,
    switchOver: async (lead) => {
      const [old, fresh] = [master, replica].map(({ port }) => new Redis(port, '127.0.0.1'))
      if (old === undefined || fresh === undefined) throw new RangeError('a pair has two servers')
      try {
        await old.call('CLIENT', 'PAUSE', String(pauseMs), 'WRITE')
        const offset = offsetOf(await old.info('replication'))
        await until('the replica to catch up', async () => {
          const info = await fresh.info()
          return isFollowing(info) && offsetOf(info) >= offset
        })
        await fresh.replicaof('NO', 'ONE')
        ;[master, replica] = [replica, master]
        lead(master)
        await old.replicaof('127.0.0.1', master.port)
        await old.call('CLIENT', 'UNPAUSE')
      } finally {
        for (const client of [old, fresh]) client.disconnect()
      }
      await follow(replica, master)
    },
    stop: async () => void (await Promise.all(servers.map((server) => server.stop()))),
  }
}

const quickly = ['--repl-diskless-sync-delay', '0'] as const

/** Makes a server a replica, and resolves when it has all that the master has. */
async function follow(replica: RedisServer, master: RedisServer): Promise<void> {
  const client = new Redis(replica.port, '127.0.0.1')
  try {
    await client.replicaof('127.0.0.1', master.port)
    await until('the replica to follow', async () => isFollowing(await client.info()))
  } finally {
    client.disconnect()
  }
}

/** Whether a replica has all that its master has, in its file, too: that is written anew when it began to follow. */
function isFollowing(info: string): boolean {
  return ['master_link_status:up', 'aof_rewrite_in_progress:0', 'aof_rewrite_scheduled:0'].every(
    (line) => info.includes(line),
  )
}

function offsetOf(info: string): number {
  return Number(/^master_repl_offset:(\d+)/m.exec(info)?.[1])
}

async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + withinMs
  while (!(await holds())) {
    if (performance.now() > end) throw new Error(`waited too long for ${what}`)
    await sleep(lookMs)
  }
}
