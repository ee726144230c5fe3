/** Servers of NATS with JetStream for tests, each with its data in a temporary folder. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect } from '@nats-io/transport-node'
import {
  comesUp,
  findBinary,
  freePort,
  onPath,
  OwnProcess,
  type Program,
  type Started,
} from './services.ts'

export interface NatsServer extends Started {
  readonly port: number
  readonly url: string
}

const program: Program = {
  name: 'NATS',
  variable: 'ERRAND_TEST_NATS',
  debianPackage: 'nats-server',
  binary: () => onPath('nats-server'),
}

/** Starts a private server, or returns null when there is none, and then the suite has been told. */
export async function startNats(): Promise<NatsServer | null> {
  const binary = findBinary(program)
  if (binary === null) return null
  const port = await freePort()
  const folder = await mkdtemp(join(tmpdir(), 'errand-nats-'))
  const url = `nats://127.0.0.1:${port}`
  const server = new OwnProcess(binary, [
    '-a',
    '127.0.0.1',
    '-p',
    String(port),
    '-js',
    '-sd',
    folder,
  ])
  const start = async (): Promise<void> => {
    server.start()
    await comesUp('NATS', async () => {
      await (await connect({ servers: url, reconnect: false, timeout: 2_000 })).close()
    })
  }
  await start()
  return {
    port,
    url,
    start,
    kill: () => server.end('SIGKILL'),
    stop: async () => {
      await server.end('SIGKILL')
      await rm(folder, { recursive: true, force: true })
    },
  }
}
