/** Servers that keep locks, for tests: Consul and etcd, each private, with its data in a temporary folder. */
import {
  answersAt,
  comesUp,
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

export type LockServer = Started & {
  readonly url: string
  /** Stops it where it stands, as a way that is cut would, or lets it go on. */
  readonly signal: (signal: 'SIGSTOP' | 'SIGCONT') => void
}

/** An etcd server, or null when there is none. */
export function findEtcd(): Promise<Service<LockServer> | null> {
  return findService(etcd)
}

/** A Consul agent that is a server of its own, or null when there is none. */
export function findConsul(): Promise<Service<LockServer> | null> {
  return findService(consul)
}

const etcd: Kind<LockServer> = {
  name: 'etcd',
  variable: 'ERRAND_TEST_ETCD',
  debianPackage: 'etcd-server',
  binary: () => onPath('etcd'),
  async start(binary) {
    const [port, peerPort] = await ports(2)
    const url = `http://127.0.0.1:${port}`
    const peer = `http://127.0.0.1:${peerPort}`
    return start('etcd', url, '/health', (folder) => [
      binary,
      '--name',
      'only',
      '--data-dir',
      folder,
      '--initial-cluster',
      `only=${peer}`,
      '--listen-client-urls',
      url,
      '--advertise-client-urls',
      url,
      '--listen-peer-urls',
      peer,
      '--initial-advertise-peer-urls',
      peer,
    ])
  },
}

const consul: Kind<LockServer> = {
  name: 'Consul',
  variable: 'ERRAND_TEST_CONSUL',
  debianPackage: 'consul',
  olderRelease: 'bullseye',
  binary: () => onPath('consul'),
  async start(binary) {
    return startConsul(binary, await ports(3), '/v1/kv/?keys&consistent', ['-bootstrap'])
  },
}

export interface ConsulCluster {
  readonly servers: readonly LockServer[]
  /** The server that leads; null while there is none. */
  leader(): Promise<LockServer | null>
  stop(): Promise<void>
}

/** Three Consul servers that elect a leader, or null when there is no Consul. */
export async function startConsulCluster(): Promise<ConsulCluster | null> {
  const binary = findBinary(consul)
  if (binary === null) return null
  const all = await ports(9)
  const joins = [1, 4, 7].flatMap((i) => ['-retry-join', `127.0.0.1:${all[i]}`])
  const addresses = new Map<string, LockServer>()
  const servers = await Promise.all(
    [0, 3, 6].map(async (from) => {
      const own = all.slice(from, from + 3)
      const server = await startConsul(binary, own, '/v1/agent/self', [
        '-bootstrap-expect',
        '3',
        '-node',
        `node-${from}`,
        ...joins,
      ])
      addresses.set(`127.0.0.1:${own[2]}`, server)
      return server
    }),
  )
  const leader = async (): Promise<LockServer | null> => {
    for (const { url } of servers) {
      const signal = AbortSignal.timeout(1_000)
      const address = await fetch(`${url}/v1/status/leader`, { signal }).then(
        (answer) => answer.json() as Promise<string>,
        () => '',
      )
      const found = addresses.get(address)
      if (found !== undefined) return found
    }
    return null
  }
  await comesUp('a leader of Consul', async () => {
    if ((await leader()) === null) throw new Error('there is none yet')
  })
  return {
    servers,
    leader,
    stop: async () => void (await Promise.all(servers.map((server) => server.stop()))),
  }
}

/** A server of Consul on ports for HTTP, gossip and the other servers. */
function startConsul(
  binary: string,
  [http, gossip, servers]: readonly number[],
  healthPath: string,
  args: readonly string[],
): Promise<LockServer> {
  return start('Consul', `http://127.0.0.1:${http}`, healthPath, (folder) => [
    binary,
    'agent',
    '-server',
    '-data-dir',
    folder,
    '-bind',
    '127.0.0.1',
    '-http-port',
    String(http),
    '-serf-lan-port',
    String(gossip),
    '-server-port',
    String(servers),
    '-serf-wan-port',
    '-1',
    '-dns-port',
    '-1',
    '-hcl',
    'performance { raft_multiplier = 1 }',
    ...args,
  ])
}

async function start(
  name: string,
  url: string,
  healthPath: string,
  commandOf: (folder: string) => readonly string[],
): Promise<LockServer> {
  const folder = await ownFolder(name.toLowerCase())
  const [command = '', ...args] = commandOf(folder)
  const server = await startOwn({
    name,
    folder,
    command,
    args,
    // Consul has no keys yet: that is an answer, too.
    answers: () => answersAt(url + healthPath, (status) => status < 300 || status === 404),
  })
  return {
    ...server,
    url,
    signal: (signal) => {
      const { pid } = server.process
      if (pid !== null) process.kill(pid, signal)
    },
  }
}

function ports(count: number): Promise<number[]> {
  return Promise.all(Array.from({ length: count }, () => freePort()))
}
