/** InfluxDB for tests: private, with its data in a temporary folder. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import {
  answersAt,
  findService,
  freePort,
  onPath,
  ownFolder,
  startOwn,
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
    const folder = await ownFolder('influxdb')
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
    const url = `http://127.0.0.1:${port}`
    const server = await startOwn({
      name: 'InfluxDB',
      folder,
      command: binary,
      args: ['-config', config],
      answers: () => answersAt(`${url}/ping`),
    })
    return { ...server, url }
  },
}
