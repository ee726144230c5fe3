/** Brokers of RabbitMQ for tests: private ones, each with its data in a temporary folder, or the one that the environment names. */
import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { chown, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { connect, type ChannelModel } from 'amqplib'
import {
  comesUp,
  findBinary,
  findService,
  freePort,
  onPath,
  ownFolder,
  OwnProcess,
  type Kind,
  type Service,
  type Started,
} from './services.ts'

export interface RabbitmqServer extends Started {
  readonly port: number
  readonly url: string
  /** Runs a command of rabbitmqctl on this broker. */
  control(...args: readonly string[]): Promise<string>
}

const kind: Kind<RabbitmqServer> = {
  name: 'RabbitMQ',
  variable: 'ERRAND_TEST_RABBITMQ',
  debianPackage: 'rabbitmq-server',
  binary: () => onPath('rabbitmq-server'),
  start: (binary) => start(binary, []),
}

/** A broker, or null when there is none. */
export function findRabbitmq(): Promise<Service<RabbitmqServer> | null> {
  return findService(kind)
}

/** Whether private brokers can be started; if not, the suite has been told. */
export function canStartRabbitmq(): boolean {
  return findBinary(kind) !== null
}

/** Starts a private broker with further arguments of Erlang, such as `-rabbit consumer_timeout 2000`. */
export function startRabbitmq(...args: readonly string[]): Promise<RabbitmqServer> {
  const binary = kind.binary()
  if (binary === null) throw new Error('there is no rabbitmq-server: ask canStartRabbitmq() before')
  return start(binary, args)
}

const run = promisify(execFile)

async function start(binary: string, args: readonly string[]): Promise<RabbitmqServer> {
  const [port, distribution] = [await freePort(), await freePort()]
  const folder = await ownFolder('rabbitmq')
  const node = `errand-${port}@localhost`
  const file = join(folder, 'rabbitmq.conf')
  await writeFile(file, `listeners.tcp.local = 127.0.0.1:${port}\nlog.file.level = warning\n`)
  await writeFile(join(folder, 'enabled_plugins'), '[].')
  await belongsToRabbitmq(folder)
  const env = {
    ...process.env,
    RABBITMQ_NODENAME: node,
    RABBITMQ_NODE_PORT: String(port),
    RABBITMQ_DIST_PORT: String(distribution),
    RABBITMQ_MNESIA_BASE: join(folder, 'mnesia'),
    RABBITMQ_LOG_BASE: join(folder, 'log'),
    RABBITMQ_PID_FILE: join(folder, 'pid'),
    RABBITMQ_CONFIG_FILE: file,
    RABBITMQ_ENABLED_PLUGINS_FILE: join(folder, 'enabled_plugins'),
    // It waits for work asleep: many run beside each other.
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: ['+sbwt none +sbwtdcpu none +sbwtdio none', ...args].join(
      ' ',
    ),
  }
  const server = new OwnProcess(binary, [], { env })
  const begin = async (): Promise<void> => {
    server.start()
    await comesUp('RabbitMQ', async () => {
      await (await connect(`amqp://127.0.0.1:${port}`, { timeout: 5_000 })).close()
    })
  }
  // What was started is a script: the broker is another process.
  const kill = async (): Promise<void> => {
    const pid = Number(await readFile(join(folder, 'pid'), 'utf8').catch(() => ''))
    if (pid > 0) await killAndWait(pid)
    await server.end('SIGKILL')
  }
  // A test that ends early must not leave the broker behind, either.
  process.once('exit', () => {
    try {
      process.kill(Number(readFileSync(join(folder, 'pid'), 'utf8')), 'SIGKILL')
    } catch {
      // It was stopped, and its folder is gone.
    }
  })
  const stop = async (): Promise<void> => {
    await kill()
    await rm(folder, { recursive: true, force: true })
  }
  try {
    await begin()
  } catch (error) {
    await stop()
    throw error
  }
  return {
    port,
    url: `amqp://127.0.0.1:${port}`,
    kill,
    start: begin,
    stop,
    control: async (...args) =>
      (await run('rabbitmqctl', ['-q', '-n', node, ...args], { env })).stdout,
  }
}

/** The broker of Debian runs as a user of its own, even when root starts it. */
async function belongsToRabbitmq(folder: string): Promise<void> {
  if (process.getuid?.() !== 0) return
  const users = await readFile('/etc/passwd', 'utf8')
  const [, uid, gid] = /^rabbitmq:[^:]*:(\d+):(\d+):/m.exec(users) ?? []
  if (uid === undefined || gid === undefined) return
  for (const path of [folder, join(folder, 'rabbitmq.conf'), join(folder, 'enabled_plugins')])
    await chown(path, Number(uid), Number(gid))
}

async function killAndWait(pid: number): Promise<void> {
  for (;;) {
    try {
      process.kill(pid, 'SIGKILL')
    } catch {
      return
    }
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

/** Uses a connection of a test's own. */
export async function withModel<T>(
  url: string,
  use: (model: ChannelModel) => Promise<T>,
): Promise<T> {
  const model = await connect(url, { timeout: 10_000 })
  model.on('error', () => undefined)
  try {
    return await use(model)
  } finally {
    await model.close().catch(() => undefined)
  }
}
