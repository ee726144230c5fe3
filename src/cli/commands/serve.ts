/** `errand serve`: the HTTP API, until told to stop. */
import { InvalidArgumentError, type Command } from 'commander'
import { ErrandError } from '../../core/errors.ts'
import type { Duration } from '../../core/duration.ts'
import type { Errand } from '../../errand.ts'
import { stopDefaults } from '../../loops/stop-defaults.ts'
import type { ManagerOptions, ServerOptions } from '../../manager/index.ts'
import { action } from '../action.ts'
import type { Globals } from '../globals.ts'
import { followCertificate, readCertificate, type CertificateFiles } from '../certificates.ts'
import type { ExitCode } from '../exit.ts'
import { examples } from '../help.ts'
import { count, duration, rate } from '../options.ts'
import { Caretaker } from '../caretaker.ts'
import { refuseHttp } from '../refuse-http.ts'
import { startSources } from '../start-sources.ts'
import { startLog } from '../start-log.ts'
import { onStopSignal } from '../stop-signals.ts'
import { storeLost } from '../store-lost.ts'
import { print, remark } from '../terminal.ts'

interface Options {
  readonly host: string
  readonly port: number
  readonly work?: boolean
  readonly sources: boolean
  readonly tlsCert?: string
  readonly tlsKey?: string
  readonly plainHttp?: boolean
  readonly basePath?: string
  readonly rateLimit?: ManagerOptions['rateLimit']
  readonly redact?: readonly string[]
  readonly maxBody?: number
  readonly maxConnections?: number
  readonly grace: Duration
}

export function addServe(program: Command): void {
  const command = program
    .command('serve')
    .summary('serve the HTTP API')
    .description(
      'Serve the HTTP API of the store until SIGTERM, SIGINT or SIGHUP, and look after the store: remove what is over its time, fire schedules. While no token exists, only programs of this machine are let in: see errand tokens. At a stop, requests may end within --grace; another signal, a second later, exits at once.',
    )
    .option('--host <address>', 'where to listen', '127.0.0.1')
    .option('--port <n>', 'where to listen; 0 for any free port', port, 8220)
    .option('--work', 'run jobs as well')
    .option('--no-sources', 'leave the sources of the configuration to other processes')
    .option('--tls-cert <file>', 'speak TLS with this certificate and its chain, as PEM')
    .option('--tls-key <file>', 'the key of the certificate, as PEM')
    .option('--plain-http', 'speak plain HTTP to other machines: a proxy before it speaks TLS')
    .option('--base-path <path>', 'what the paths of requests begin with, behind a proxy')
    .option('--rate-limit <n/duration>', 'requests of each token, such as 600/1m', rate)
    .option('--redact <path...>', 'values that are not shown, such as input.password')
    .option('--max-body <bytes>', 'the most bytes of a body (default: 8 MiB)', count)
    .option('--max-connections <n>', 'the most connections at once (default: 10000)', count)
    .option(
      '--grace <duration>',
      'how long requests, and jobs with --work, may go on at a stop',
      duration,
      `${stopDefaults.graceMs / 1_000}s`,
    )
    .action(action<Options, []>(serve))
  examples(command, [
    ['errand serve', 'the API at http://127.0.0.1:8220'],
    ['errand serve --work', 'and run the jobs in the same process'],
    ['errand serve --host 0.0.0.0 --tls-cert cert.pem --tls-key key.pem', 'for other machines'],
    ['errand serve --host 10.0.0.5 --plain-http', 'behind a proxy that speaks TLS'],
  ])
}

async function serve(options: Options & Globals): Promise<ExitCode> {
  const files = certificateFiles(options)
  const serverOptions = readServerOptions(options, files)
  const { openApp } = await import('../open-app.ts')
  const [errand, { listen, manager }] = await Promise.all([
    openApp(options),
    import('../../manager/index.ts'),
  ])
  refuseHttp(
    errand.store,
    'serve',
    'a manager stands before a database, not before another manager. Name the database itself.',
  )
  await startLog(errand, options)
  const stopped = new Promise<void>((resolve) => onStopSignal(resolve))
  const lost = storeLost(errand)
  const server = await listen(manager(errand, readManagerOptions(options)), serverOptions)
  print(`Errand's API and dashboard are at ${server.url}`)
  const unfollow = files === null ? null : followCertificate(server, files)
  void adviseTokens(errand)
  const caretaker = new Caretaker(errand, options.work === true)
  await Promise.race([stopped, caretaker.start().then(() => startSources(errand, options))])
  const error = await Promise.race([stopped, lost])
  const { grace } = options
  unfollow?.()
  await Promise.all([
    server.close({ grace: error === undefined ? grace : 0 }),
    caretaker.stop({ grace }),
    errand.sources.stop(),
  ])
  await errand.close()
  if (error !== undefined) throw error
  return 0
}

/** Says how to let others in, as long as nobody is. */
async function adviseTokens(errand: Errand): Promise<void> {
  const { tokens } = await import('../../manager/index.ts')
  // A store that cannot be reached is told of by what needs it.
  const made = await tokens(errand)
    .list()
    .catch(() => null)
  if (made?.length === 0)
    remark(
      'No token exists yet, so only programs of this machine are let in. To let in others: errand tokens create --scope enqueue --scope read',
    )
}

function readManagerOptions({ basePath, rateLimit, redact, maxBody }: Options): ManagerOptions {
  return {
    ...(basePath === undefined ? {} : { basePath }),
    ...(rateLimit === undefined ? {} : { rateLimit }),
    ...(redact === undefined ? {} : { redact }),
    ...(maxBody === undefined ? {} : { maxBody }),
  }
}

function certificateFiles({ tlsCert: cert, tlsKey: key }: Options): CertificateFiles | null {
  if (cert !== undefined && key !== undefined) return { cert, key }
  if (cert === undefined && key === undefined) return null
  throw new ErrandError('invalid-option', '--tls-cert and --tls-key go together.')
}

function readServerOptions(options: Options, files: CertificateFiles | null): ServerOptions {
  const { host, port, plainHttp = false, maxConnections } = options
  return {
    host,
    port,
    plainHttp,
    ...(maxConnections === undefined ? {} : { maxConnections }),
    ...(files === null ? {} : { tls: readCertificate(files) }),
  }
}

function port(text: string): number {
  const value = Number(text)
  if (/^\d+$/.test(text) && value <= 65_535) return value
  throw new InvalidArgumentError('It is a number from 0 to 65535.')
}
