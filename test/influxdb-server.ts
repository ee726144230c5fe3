/** InfluxDB for tests: private, with its data in a temporary folder. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  comesUp,
  findService,
  freePort,
  onPath,
  OwnProcess,
  type Kind,
  type Service,
  type Started,
} from './services.ts'

/** An InfluxDB server, or null when there is none. */
export function findInfluxdb(): Promise<Service<Started & { readonly url: string }> | null> {
  return findService(influxdb)
}

const influxdb: Kind<Started & { readonly url: string }> = {
  name: 'InfluxDB',
  variable: 'ERRAND_TEST_INFLUXDB',
  debianPackage: 'influxdb',
  binary: () => onPath('influxd'),
  async start(binary) {
    const [port, rpc] = [await freePort(), await freePort()]
    const folder = await mkdtemp(join(tmpdir(), 'errand-influxdb-'))
    const config = join(folder, 'influxdb.conf')
    await writeFile(
      config,
      `reporting-disabled = true
bind-address = "127.0.0.1:${rpc}"
[meta]
  dir = "${folder}/meta"
[data]
  dir = "${folder}/data"
  wal-dir = "${folder}/wal"
[http]
  bind-address = "127.0.0.1:${port}"
  log-enabled = false
`,
    )
    const server = new OwnProcess(binary, ['-config', config])
    const url = `http://127.0.0.1:${port}`
    const begin = async (): Promise<void> => {
      server.start()
      await comesUp('InfluxDB', async () => {
        const answer = await fetch(`${url}/ping`, { signal: AbortSignal.timeout(1_000) })
        if (!answer.ok) throw new Error(`InfluxDB answers ${answer.status}`)
      })
    }
    await begin()
    return {
      url,
      start: begin,
      kill: () => server.end('SIGKILL'),
      stop: async () => {
        await server.end('SIGKILL')
        await rm(folder, { recursive: true, force: true })
      },
    }
  },
}
