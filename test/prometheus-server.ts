/** Prometheus for tests: private, with its data in a temporary folder, scraping one address each second. */
import { execFile } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import {
  answersAt,
  findBinary,
  freePort,
  onPath,
  ownFolder,
  startOwn,
  type Program,
} from './services.ts'

const program = (name: string): Program => ({
  name,
  variable: 'ERRAND_TEST_PROMETHEUS',
  debianPackage: 'prometheus',
  binary: () => onPath(name),
})

/** The paths of the server and of its tool, or null when there are none. */
export function findPrometheus(): { readonly server: string; readonly tool: string } | null {
  const server = findBinary(program('prometheus'))
  const tool = onPath('promtool')
  return server === null || tool === null ? null : { server, tool }
}

export interface PrometheusServer {
  /** The values of a query now, by their labels as text. */
  readonly query: (text: string) => Promise<ReadonlyMap<string, number>>
  readonly get: (path: string) => Promise<unknown>
  readonly stop: () => Promise<void>
}

/** Starts a server that scrapes a path at an address, with rules from a file. */
export async function startPrometheus(
  binary: string,
  scraped: { readonly address: string; readonly path: string; readonly rules: string },
): Promise<PrometheusServer> {
  const folder = await ownFolder('prometheus')
  const port = await freePort()
  const config = join(folder, 'prometheus.yml')
  await writeFile(
    config,
    `global: { scrape_interval: 1s, evaluation_interval: 1s }
rule_files: ['${scraped.rules}']
scrape_configs:
  - job_name: errand
    metrics_path: ${scraped.path}
    static_configs: [{ targets: ['${scraped.address}'] }]
`,
  )
  const url = `http://127.0.0.1:${port}`
  const server = await startOwn({
    name: 'Prometheus',
    folder,
    command: binary,
    args: [
      `--config.file=${config}`,
      `--storage.tsdb.path=${folder}/data`,
      `--web.listen-address=127.0.0.1:${port}`,
    ],
    answers: () => answersAt(`${url}/-/ready`),
  })
  const get = async (path: string): Promise<unknown> => {
    const answer = await fetch(url + path, { signal: AbortSignal.timeout(10_000) })
    if (!answer.ok) throw new Error(`Prometheus answers ${answer.status}: ${await answer.text()}`)
    return answer.json()
  }
  return {
    get,
    stop: () => server.stop(),
    async query(text) {
      const found = (await get(`/api/v1/query?query=${encodeURIComponent(text)}`)) as Answer
      return new Map(
        found.data.result.map(({ metric, value }) => {
          const { __name__: _, instance: _at, job: _of, ...labels } = metric
          return [JSON.stringify(labels), Number(value[1])]
        }),
      )
    },
  }
}

interface Answer {
  readonly data: {
    readonly result: readonly {
      readonly metric: Readonly<Record<string, string>>
      readonly value: readonly [number, string]
    }[]
  }
}

/** Runs the tool with a text on its input; resolves with what it complains of. */
export function promtool(tool: string, args: readonly string[], input = ''): Promise<string> {
  return new Promise((resolve) => {
    const child = execFile(tool, args, (error, stdout, stderr) =>
      resolve(error === null && stderr === '' ? '' : `${stdout}${stderr}`),
    )
    child.stdin?.end(input)
  })
}
