/** Servers of the bench's own, as durable as a fresh installation makes them, so that nothing else uses them. */
import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, rmSync } from 'node:fs'
import { chmod, chown, mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import pg from 'pg'
import { comesUp, freePort, OwnProcess } from '../../test/services.ts'

export interface Server {
  readonly url: string
  readonly pid: number
  readonly version: string
  readonly settings: string
  stop(): Promise<void>
}

const postgresHome = '/usr/lib/postgresql'

/** PostgreSQL as Debian configures it: every commit waits for the disk. */
export async function startPostgres(): Promise<Server> {
  const newest = existsSync(postgresHome)
    ? readdirSync(postgresHome).sort((a, b) => Number(b) - Number(a))[0]
    : undefined
  if (newest === undefined)
    throw new Error('PostgreSQL is not installed: apt-get install postgresql')
  const binaries = join(postgresHome, newest, 'bin')
  const [port, folder] = [await freePort(), await ownFolder('postgres')]
  const user = await unprivileged(folder)
  const data = join(folder, 'data')
  const initdb = ['-D', data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--locale=C.UTF-8']
  execFileSync(join(binaries, 'initdb'), initdb, { ...user, stdio: 'ignore' })
  const settings = {
    port,
    listen_addresses: '127.0.0.1',
    unix_socket_directories: folder,
    max_connections: 200,
    shared_buffers: '128MB',
    fsync: 'on',
    synchronous_commit: 'on',
  }
  const args = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])
  const server = new OwnProcess(join(binaries, 'postgres'), ['-D', data, ...args], user)
  server.start()
  const url = `postgres://postgres@127.0.0.1:${port}/postgres`
  let version = ''
  await comesUp('PostgreSQL', async () => {
    const client = new pg.Client(url)
    await client.connect()
    const { rows } = await client.query<{ server_version: string }>('SHOW server_version')
    version = rows[0]?.server_version ?? 'of unknown version'
    await client.end()
  })
  return {
    url,
    pid: server.pid ?? NaN,
    version: `PostgreSQL ${version}`,
    settings: 'fsync on, synchronous_commit on, shared_buffers 128 MB, the rest by default',
    stop: () => server.end('SIGINT'),
  }
}

export type Persistence = 'everysec' | 'none'

/** Redis with its append-only file synced each second, or without any persistence. */
export async function startRedis(persistence: Persistence): Promise<Server> {
  const [port, folder] = [await freePort(), await ownFolder('redis')]
  const kept = {
    everysec: ['--appendonly', 'yes', '--appendfsync', 'everysec'],
    none: ['--appendonly', 'no'],
  }[persistence]
  const args = ['--port', String(port), '--bind', '127.0.0.1', '--dir', folder, '--save', '']
  const server = new OwnProcess('redis-server', [...args, ...kept])
  server.start()
  let version = ''
  await comesUp('Redis', async () => {
    const client = new Redis(port, '127.0.0.1', { lazyConnect: true, retryStrategy: () => null })
    client.on('error', () => undefined)
    await client.connect()
    version = /redis_version:(\S+)/.exec(await client.info('server'))?.[1] ?? 'of unknown version'
    client.disconnect()
  })
  return {
    url: `redis://127.0.0.1:${port}`,
    pid: server.pid ?? NaN,
    version: `Redis ${version}`,
    settings: kept.join(' ').replaceAll('--', ''),
    stop: () => server.end('SIGKILL'),
  }
}

/** A folder that does not outlive the bench. */
async function ownFolder(name: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), `errand-bench-${name}-`))
  process.once('exit', () => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }))
  return folder
}

/** PostgreSQL does not run as root: then it runs as the user postgres, who gets the folder. */
async function unprivileged(folder: string): Promise<{ uid?: number; gid?: number }> {
  await chmod(folder, 0o755)
  if (process.getuid?.() !== 0) return {}
  const id = (flag: string): number =>
    Number(execFileSync('id', [flag, 'postgres'], { encoding: 'utf8' }))
  const user = { uid: id('-u'), gid: id('-g') }
  await chown(folder, user.uid, user.gid)
  return user
}
