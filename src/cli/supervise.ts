/** `errand worker` with several processes, or one that is replaced: its options, and its supervisor. */
import { availableParallelism } from 'node:os'
import { registerHooks } from 'node:module'
import { InvalidArgumentError, type Command } from 'commander'
import { ErrandError, isErrandError } from '../core/errors.ts'
import { readMemory } from '../core/isolate.ts'
import { messageOf } from '../core/kept-error.ts'
import { shownUrl } from '../core/shown.ts'
import type { Errand } from '../errand.ts'
import type { OwnPlace } from '../fleet/own-place.ts'
import { ownShouldRestart, type HasShouldRestart } from '../fleet/should-restart.ts'
import { mostProcesses } from '../fleet/process-messages.ts'
import { shownPlace } from '../loops/own-process.ts'
import { hubOf } from '../observe/hub-of.ts'
import type { StopOptions } from '../worker/worker-options.ts'
import type { Globals } from './globals.ts'
import type { ExitCode } from './exit.ts'
import { count } from './options.ts'
import { logFormat } from './start-log.ts'
import { onSignal, onStopSignal } from './stop-signals.ts'

/** Those that make `errand worker` a supervisor. */
export interface SupervisedOptions {
  readonly processes?: number
  readonly recycleAfter?: number
  /** In bytes. */
  readonly maxRss?: number
  readonly watch?: true
}

export function addSupervised(command: Command): Command {
  return command
    .option(
      '--processes <n>',
      'processes that run jobs, or auto for one for each processor; a supervisor replaces those that end',
      processes,
    )
    .option(
      '--recycle-after <n>',
      'replace a process after so many jobs, once it has drained',
      count,
    )
    .option('--max-rss <size>', 'replace one that holds more memory, such as 512mb', bytes)
    .option('--watch', 'restart when the code has changed, after what runs')
}

/** Whether options ask for a supervisor. */
export function isSupervised(options: SupervisedOptions): boolean {
  const { processes, recycleAfter, maxRss, watch } = options
  return [processes, recycleAfter, maxRss, watch].some((option) => option !== undefined)
}

/** Supervises until told to stop, or until all processes are done. */
export async function supervise(
  options: SupervisedOptions & Globals,
  stop: StopOptions,
): Promise<ExitCode> {
  const [, , ...args] = process.argv
  process.title = titleOf('errand supervisor')
  const name = 'errand supervisor'
  const [{ makeLogger }, { Supervisor }] = await Promise.all([
    import('./logger.ts'),
    import('../fleet/supervisor.ts'),
  ])
  const log = await makeLogger(options.logLevel ?? 'info', logFormat(options), name)
  const supervisor = new Supervisor({
    processes: options.processes ?? 1,
    args,
    env: {},
    stop,
    shouldRestart: null,
    watch: options.watch === true,
    say: (level, text, fields) => log[level](fields ?? {}, text),
  })
  // A second signal ends this process at once, and with it those that it has started.
  process.on('exit', () => supervisor.kill())
  onStopSignal(() => void supervisor.stop())
  onSignal('SIGUSR2', () => void supervisor.roll())
  if (process.pid === 1) log.info(asInit)
  try {
    await supervisor.start()
  } catch (error) {
    if (!isErrandError(error, 'cannot-start')) throw error
    log.error(messageOf(error))
    return error.details['exitCode'] === 2 ? 2 : 1
  }
  return (await supervisor.over) ? 0 : 1
}

const asInit =
  'runs as process 1, and Node waits only for processes that it has started itself: what jobs leave behind stays as zombies; let the container have an init (docker run --init) if jobs start programs of their own'

/** In a process of a supervisor, before the configuration is loaded. */
export function prepare(own: OwnPlace, options: SupervisedOptions): void {
  process.title = titleOf(`errand worker ${shownPlace(own.place)}`)
  if (options.watch !== true) return
  registerHooks({
    load(url, context, nextLoad) {
      own.loads(url)
      return nextLoad(url, context)
    },
  })
}

/** Throws `invalid-option` for a store that processes cannot share. */
export function refuseUnshared({ store }: Errand, { place }: OwnPlace): void {
  if (store.info.kind !== 'memory' || place.of === 1) return
  throw new ErrandError(
    'invalid-option',
    'Each process would have a memory store of its own, with jobs of its own: name a store that they share, such as sqlite:errand.db.',
  )
}

/** The worker of a supervisor's process claims jobs. */
export function tellUp(own: OwnPlace, errand: Errand, options: SupervisedOptions): void {
  const { recycleAfter = null, maxRss = null } = options
  const shouldRestart =
    ownShouldRestart in errand ? (errand as HasShouldRestart)[ownShouldRestart] : null
  own.up(errand, hubOf(errand), { recycleAfter, maxRss, shouldRestart })
}

/** A title takes the place of the command line, so it repeats that; without passwords. */
function titleOf(name: string): string {
  const args = process.argv.slice(2)
  const at = args.indexOf('worker')
  const shown = args
    .filter((_, i) => i !== at)
    .map((arg) => arg.replace(/[a-z][a-z0-9+.-]*:\/\/.*$/is, (url) => shownUrl(url)))
  return [name, ...shown].join(' ')
}

function processes(text: string): number {
  if (text === 'auto') return availableParallelism()
  const value = count(text)
  if (value <= mostProcesses) return value
  throw new InvalidArgumentError(`It is auto, or at most ${mostProcesses}.`)
}

function bytes(text: string): number {
  try {
    return readMemory(text, 'It') * 2 ** 20
  } catch (error) {
    throw new InvalidArgumentError(messageOf(error))
  }
}
