/** Servers of NATS with JetStream for tests, each with its data in a temporary folder. */
import { connect } from '@nats-io/transport-node'
import {
  findBinary,
  freePort,
  onPath,
  ownFolder,
  startOwn,
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
  const folder = await ownFolder('nats')
  const url = `nats://127.0.0.1:${port}`
  const server = await startOwn({
    name: 'NATS',
    folder,
    command: binary,
    args: ['-a', '127.0.0.1', '-p', String(port), '-js', '-sd', folder],
    async answers() {
      await (await connect({ servers: url, reconnect: false, timeout: 2_000 })).close()
    },
  })
  return { ...server, port, url }
}
