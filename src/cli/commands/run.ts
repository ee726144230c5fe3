/** `errand run`: run a singleton, in a loop or once. */
import { parseArgs } from 'node:util'
import type { Command } from 'commander'
import { ErrandError, isErrandError } from '../../core/errors.ts'
import { nearest } from '../../core/nearest.ts'
import type { Errand } from '../../errand.ts'
import { hasOwnLog } from '../../observe/own-log.ts'
import type { Round } from '../../singleton/loop.ts'
import { flagOf, type OptionSpec, type OptionSpecs } from '../../singleton/options.ts'
import type { AnySingleton } from '../../singleton/singleton.ts'
import { action } from '../action.ts'
import type { Globals } from '../globals.ts'
import type { ExitCode } from '../exit.ts'
import { examples } from '../help.ts'
import { listenAt } from '../options.ts'
import { startLog } from '../start-log.ts'
import { startMetrics } from '../start-metrics.ts'
import { onStopSignal } from '../stop-signals.ts'
import { print, remark } from '../terminal.ts'

interface Options {
  readonly once?: true
  readonly every?: string
  readonly pause?: string
  readonly cron?: string
  readonly timezone?: string
  readonly keepLock?: true
  readonly releaseOnError?: true
  /** False for `--no-lock`. */
  readonly lock?: string | false
  readonly ttl?: string
  readonly grace?: string
  readonly liveness?: string
  readonly metrics?: string
  readonly metricsPort?: ReturnType<typeof listenAt>
}

export function addRun(program: Command): void {
  const command = program
    .command('run')
    .summary('run a singleton: a loop of which one instance runs across all machines')
    .description(
      'Run a singleton until SIGTERM or SIGINT: then its run ends, the lock is freed, and the exit code is 0. A second signal exits at once. Options that are not listed here belong to the singleton: errand run <singleton> --help lists them.',
    )
    .argument(
      '<singleton>',
      'its name in the configuration, or a file and the name in it: ./reports.ts#reports',
    )
    .argument('[options...]', "the singleton's own options")
    .option(
      '--once',
      'run one time; exit with 1 if it failed, with 4 if the lock is held elsewhere',
    )
    .option('--every <duration>', 'from the start of a run to the start of the next')
    .option('--pause <duration>', 'from the end of a run to the start of the next')
    .option('--cron <text>', 'at each tick of a cron text, one run for all processes')
    .option('--timezone <zone>', 'of --cron: an IANA name or +09:00')
    .option('--keep-lock', 'keep the lock between runs, without a gap')
    .option(
      '--release-on-error',
      'with --keep-lock: free it after a failed run and rest twice as long',
    )
    .option('--lock <lock>', 'store, none, consul, etcd, or the path of a module')
    .option('--no-lock', 'run without a lock')
    .option('--ttl <duration>', 'how long the lock outlives a dead holder')
    .option('--grace <duration>', 'how long a run may go on after a signal, or none for no limit')
    .option(
      '--liveness <list>',
      'store, file:<path>, http:<port>, consul, paths of modules, or none',
    )
    .option('--metrics <list>', 'influxdb, paths of modules, or none')
    .option(
      '--metrics-port <[address:]port>',
      'serve /metrics for Prometheus here; of this machine alone without an address',
      listenAt,
    )
    .allowUnknownOption()
    .helpOption(false)
    .action(
      action<Options, [string, readonly string[]]>((options, name, rest) =>
        run(command, options, name, rest),
      ),
    )
  examples(command, [
    ['errand run reports', 'as the configuration says'],
    ['errand run reports --once', 'one time, if nobody else runs it'],
    ['errand run reports --every 5m --keep-lock', 'each five minutes, always on the same machine'],
    ['errand run ./reports.ts#reports --lock consul', 'from a file, under a lock in Consul'],
    ['errand run reports --help', 'with the options of its own'],
  ])
}

async function run(
  command: Command,
  options: Options & Globals,
  name: string,
  rest: readonly string[],
): Promise<ExitCode> {
  if (name === '--help' || name === '-h') {
    print(command.helpInformation().trimEnd())
    return 0
  }
  const wantsHelp = rest.includes('--help') || rest.includes('-h')
  const { openSingletonApp } = await import('../open-singleton.ts')
  const { errand, singleton } = await openSingletonApp(options, name, !wantsHelp && options.lock)
  const specs = (singleton.definition.options ?? {}) as OptionSpecs
  if (wantsHelp) {
    print(`${command.helpInformation().trimEnd()}\n${ownHelp(singleton, specs)}`)
    return 0
  }
  const own = ownFlags(singleton.name, specs, rest)
  await startLog(errand, options)
  const { lock, metricsPort, ...settings } = options
  const endMetrics = await startMetrics(errand, metricsPort)
  const stop = new AbortController()
  onStopSignal(() => stop.abort(new ErrandError('interrupted', 'told to stop')))
  const flags = { ...settings, ...own, lock: lock === false ? 'none' : lock }
  const round = await errand.singletons.run(singleton, {
    flags,
    env: process.env,
    signal: stop.signal,
  })
  endMetrics()
  await errand.close()
  return stop.signal.aborted ? codeAtStop(round) : codeOf(round, errand)
}

/** What a single run came to. */
function codeOf({ status, error }: Round, errand: Errand): ExitCode {
  switch (status) {
    case 'succeeded':
      return 0
    case 'failed':
    case 'interrupted':
    case 'killed':
      return 1
    case 'pending':
      if (error instanceof Error) throw error
      if (!hasOwnLog(errand)) remark('another process has the lock: nothing was run')
      return 4
  }
}

/** After a signal only a run that did not end within its grace is trouble. */
function codeAtStop({ error }: Round): ExitCode {
  return isErrandError(error, 'timeout') ? 1 : 0
}

/** Reads the singleton's own options. Throws `invalid-option` for others. */
function ownFlags(
  name: string,
  specs: OptionSpecs,
  args: readonly string[],
): Readonly<Record<string, string | boolean>> {
  const byFlag = new Map(
    Object.entries(specs).map(([key, spec]) => [flagOf(key).slice(2), { key, spec }]),
  )
  const options = Object.fromEntries(
    [...byFlag].map(([flag, { spec }]) => [
      flag,
      { type: spec.type === 'flag' ? ('boolean' as const) : ('string' as const) },
    ]),
  )
  const { tokens } = parseArgs({ args: [...args], options, strict: false, tokens: true })
  const values: Record<string, string | boolean> = {}
  for (const token of tokens) {
    if (token.kind !== 'option')
      throw new ErrandError(
        'invalid-option',
        `The singleton ${name} takes no arguments, only options.`,
      )
    const found = byFlag.get(token.name)
    if (found === undefined) throw unknownOption(name, token.rawName, [...byFlag.keys()])
    if (found.spec.type !== 'flag' && token.value === undefined)
      throw new ErrandError('invalid-option', `${token.rawName} needs a value.`)
    values[found.key] = found.spec.type === 'flag' ? true : (token.value ?? '')
  }
  return values
}

function unknownOption(name: string, flag: string, known: readonly string[]): ErrandError {
  const meant = nearest(flag.replace(/^-+/, ''), known)
  const hint = meant === null ? '' : ` Did you mean --${meant}?`
  return new ErrandError(
    'invalid-option',
    `unknown option '${flag}' of the singleton ${name}.${hint}`,
  )
}

function ownHelp({ name, definition }: AnySingleton, specs: OptionSpecs): string {
  const lines = Object.entries(specs).map(
    ([key, spec]) =>
      [`${flagOf(key)}${spec.type === 'flag' ? '' : ` <${spec.type}>`}`, aboutOf(spec)] as const,
  )
  const width = Math.max(0, ...lines.map(([flag]) => flag.length))
  const about = definition.description === undefined ? '' : `\n${definition.description}\n`
  const list =
    lines.length === 0
      ? '  none'
      : lines.map(([flag, text]) => `  ${flag.padEnd(width)}  ${text}`.trimEnd()).join('\n')
  return `${about}\nOptions of ${name}:\n${list}`
}

function aboutOf(spec: OptionSpec): string {
  const notes = [
    ...(spec.type === 'text' && spec.choices !== undefined
      ? [`one of ${spec.choices.join(', ')}`]
      : []),
    ...(spec.required === true ? ['required'] : []),
    ...(spec.default === undefined ? [] : [`default: ${String(spec.default)}`]),
    ...(spec.env === undefined ? [] : [`env: ${spec.env}`]),
  ]
  const note = notes.length === 0 ? '' : `(${notes.join('; ')})`
  return [spec.description ?? '', note].filter((part) => part !== '').join(' ')
}
