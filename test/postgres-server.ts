/** PostgreSQL and PgBouncer for tests. */
import { execFile, execFileSync } from 'node:child_process'
import { existsSync, readdirSync, realpathSync } from 'node:fs'
import { chmod, chown, readFile, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import pg from 'pg'
import {
  comesUp,
  findBinary,
  findService,
  freePort,
  onPath,
  ownFolder,
  OwnProcess,
  startOwn,
  type Kind,
  type Service,
  type Started,
} from './services.ts'

/** A private server, trusting everybody on loopback. */
export interface PostgresServer extends Started {
  readonly port: number
  /** Ends the server at once: by the immediate shutdown, without a checkpoint, or as the kernel would end its first process. */
  kill(signal?: 'SIGQUIT' | 'SIGKILL'): Promise<void>
}

/** Settings of a server by their names in its configuration. */
export type PostgresSettings = Readonly<Record<string, string | number>>

/** Nothing waits for the disk unless it is asked for, so that killing the machine would lose data. */
const defaultSettings: PostgresSettings = {
  listen_addresses: '127.0.0.1',
  fsync: 'off',
  max_connections: 200,
  shared_buffers: '64MB',
  log_min_messages: 'fatal',
}

const kind: Kind<PostgresServer> = {
  name: 'PostgreSQL',
  variable: 'ERRAND_TEST_POSTGRES',
  debianPackage: 'postgresql',
  binary() {
    const found = onPath('postgres')
    if (found !== null && existsSync(join(dirname(realpathSync(found)), 'initdb')))
      return realpathSync(found)
    // Debian keeps its binaries off the PATH.
    const home = '/usr/lib/postgresql'
    if (!existsSync(home)) return null
    const [newest] = readdirSync(home).sort((a, b) => Number(b) - Number(a))
    return newest === undefined ? null : join(home, newest, 'bin', 'postgres')
  },
  start: (binary) => start(binary, {}),
}

/** A PostgreSQL server, or null when there is none. */
export function findPostgres(): Promise<Service<PostgresServer> | null> {
  return findService(kind)
}

/** Whether private servers can be started; if not, the suite has been told. */
export function canStartPostgres(): boolean {
  return findBinary(kind) !== null
}

/** Starts a private server with further settings. */
export function startPostgres(
  settings: PostgresSettings,
): Promise<PostgresServer & { readonly url: string }> {
  const binary = kind.binary()
  if (binary === null) throw new Error('there is no postgres: ask canStartPostgres() before')
  return start(binary, settings)
}

/** Starts a server that follows another one, and can be promoted. It listens on a port of its own. */
export async function startStandby(
  primary: PostgresServer,
  settings: PostgresSettings,
): Promise<PostgresServer & { readonly url: string }> {
  const binary = kind.binary()
  if (binary === null) throw new Error('there is no postgres: ask canStartPostgres() before')
  const folder = await ownFolder('postgres')
  const user = await ownUser(folder)
  const data = join(folder, 'data')
  const from = ['-h', '127.0.0.1', '-p', String(primary.port), '-U', 'postgres']
  await promisify(execFile)(
    binary.replace(/postgres$/, 'pg_basebackup'),
    [...from, '-D', data, '-R', '-X', 'stream', '-c', 'fast', '--no-sync'],
    user,
  )
  return serve({ binary, folder, data, user }, settings)
}

async function start(
  binary: string,
  asked: PostgresSettings,
): Promise<PostgresServer & { readonly url: string }> {
  const folder = await ownFolder('postgres')
  const user = await ownUser(folder)
  const data = join(folder, 'data')
  execFileSync(
    binary.replace(/postgres$/, 'initdb'),
    ['-D', data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--locale=C', '--no-sync'],
    { ...user, stdio: 'ignore' },
  )
  // One user needs a password, for tests of wrong ones.
  const access = join(data, 'pg_hba.conf')
  await writeFile(
    access,
    `host all locked 127.0.0.1/32 scram-sha-256\n${await readFile(access, 'utf8')}`,
  )
  return serve({ binary, folder, data, user }, asked)
}

/** Where a server has its files, and as whom it runs. */
interface Place {
  readonly binary: string
  readonly folder: string
  readonly data: string
  readonly user: { uid?: number; gid?: number }
}

async function serve(
  { binary, folder, data, user }: Place,
  asked: PostgresSettings,
): Promise<PostgresServer & { readonly url: string }> {
  const port = await freePort()
  const settings = { ...defaultSettings, ...asked, port, unix_socket_directories: folder }
  const args = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])
  const server = new OwnProcess(binary, ['-D', data, ...args], user)
  const url = `postgres://postgres@127.0.0.1:${port}/postgres`
  const begin = (): Promise<void> =>
    comesUp('PostgreSQL', async () => {
      // A server refuses to start while processes of one that was killed are left.
      if (!server.isRunning) server.start()
      await query(url, 'SELECT 1')
    })
  await begin()
  return {
    port,
    url,
    start: begin,
    kill: (signal = 'SIGQUIT') => server.end(signal),
    stop: async () => {
      await server.end('SIGQUIT')
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** Runs statements on a connection of their own and answers the rows of the last. */
export async function query(
  url: string,
  text: string,
  values?: unknown[],
): Promise<pg.QueryResultRow[]> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5_000 })
  client.on('error', () => {})
  await client.connect()
  try {
    const result = await client.query(text, values)
    return result.rows
  } finally {
    await client.end()
  }
}

const bouncer: Omit<Kind<Started>, 'start'> = {
  name: 'PgBouncer',
  variable: 'ERRAND_TEST_PGBOUNCER',
  debianPackage: 'pgbouncer',
  binary: () =>
    onPath('pgbouncer') ?? ['/usr/sbin/pgbouncer'].find((path) => existsSync(path)) ?? null,
}

/** A PgBouncer in transaction mode before a server, or null when there is none. */
export function findPgBouncer(server: string): Promise<Service | null> {
  return findService({ ...bouncer, start: (binary) => startPgBouncer(binary, server) })
}

async function startPgBouncer(
  binary: string,
  server: string,
): Promise<Started & { readonly url: string }> {
  const port = await freePort()
  const folder = await ownFolder('pgbouncer')
  const user = await ownUser(folder)
  const { hostname, port: serverPort, username, pathname } = new URL(server)
  const file = join(folder, 'pgbouncer.ini')
  // "any" lets everybody in as the user that the line of the database names.
  await writeFile(
    file,
    `[databases]
* = user=${username} host=${hostname} port=${serverPort || 5432}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 5
max_client_conn = 500
ignore_startup_parameters = extra_float_digits
logfile = /dev/null
`,
  )
  const url = `postgres://${username}@127.0.0.1:${port}${pathname}`
  const started = await startOwn({
    name: 'PgBouncer',
    folder,
    command: binary,
    args: ['-q', file],
    options: user,
    answers: () => query(url, 'SELECT 1'),
  })
  return { ...started, url }
}

/** Neither server runs as root: then it runs as the user postgres, who gets the folder. */
async function ownUser(folder: string): Promise<{ uid?: number; gid?: number }> {
  await chmod(folder, 0o755)
  if (process.getuid?.() !== 0) return {}
  const id = (flag: string): number =>
    Number(execFileSync('id', [flag, 'postgres'], { encoding: 'utf8' }))
  const user = { uid: id('-u'), gid: id('-g') }
  await chown(folder, user.uid, user.gid)
  return user
}
