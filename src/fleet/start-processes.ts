/** Worker processes from code. */
import { fileURLToPath } from 'node:url'
import { toMs, type Duration } from '../core/duration.ts'
import { readMemory, type Memory } from '../core/isolate.ts'
import { mostCount } from '../core/options.ts'
import { refuseUnknownKeys } from '../core/option-keys.ts'
import { readFunction, readList, readQueueName, readText, refuseValue } from '../core/read.ts'
import { writerOf, readLog, type Log } from '../observe/log.ts'
import type { StopOptions } from '../worker/worker-options.ts'
import type { WorkerProcess } from './place.ts'
import { mostProcesses } from './process-messages.ts'
import type { ShouldRestart } from './should-restart.ts'
import { Supervisor } from './supervisor.ts'

export interface StartProcessesOptions extends StopOptions {
  /** How many, from 1 to 256. */
  readonly processes: number
  /** The configuration that each loads: a path, or `new URL('./errand.config.ts', import.meta.url)`. */
  readonly config: string | URL
  /** The store to use in place of the configured one. It is passed in their environment, never on a command line. */
  readonly store?: string
  /** Jobs that each runs at a time. Default: the configuration's. */
  readonly slots?: number
  /** The queues that they serve. Default: those of the configuration. */
  readonly queues?: readonly string[]
  /** The group to which operators give orders. Default: none. */
  readonly group?: string
  /** The longest that an idle one waits before it looks for work unasked. Default: the configuration's. */
  readonly poll?: Duration
  /** One is replaced after so many jobs, once it has drained. Default: never. */
  readonly recycleAfter?: number
  /** One that holds more memory is replaced, once it has drained. Default: never. */
  readonly maxRss?: Memory
  /**
   * Asked of each once a second, here: `true` has it replaced, once it has drained. What it throws is
   * logged, and changes nothing.
   */
  readonly shouldRestart?: ShouldRestart
  /** Takes what is said of processes that end and start. Default: silent. */
  readonly log?: Log
}

/** Processes that run jobs, each replaced when it ends. */
export interface Processes extends AsyncDisposable {
  readonly processes: readonly WorkerProcess[]
  /**
   * Stops all, as their options say or these, and resolves when they have ended. A second call may
   * shorten the first.
   */
  readonly stop: (options?: StopOptions) => Promise<void>
}

const keys = [
  'processes',
  'config',
  'store',
  'slots',
  'queues',
  'group',
  'poll',
  'grace',
  'abortGrace',
  'recycleAfter',
  'maxRss',
  'shouldRestart',
  'log',
]
const where = 'startProcesses()'

/**
 * Starts processes that each run what `errand worker` does, and keeps them running until `stop()`.
 * They end, too, when this process does. Resolves when all claim jobs. Rejects with `invalid-option`,
 * with `no-thread` in a bundle, and with `cannot-start` when one does not start.
 *
 * @example
 * const { processes, stop } = await startProcesses({ processes: 4, config: 'errand.config.ts' })
 */
export async function startProcesses(options: StartProcessesOptions): Promise<Processes> {
  refuseUnknownKeys(options, keys, where)
  const { processes, store, grace, abortGrace, shouldRestart, log } = options
  const write = log === undefined ? null : writerOf(readLog(log, `${where}.log`))
  const supervisor = new Supervisor({
    processes: readNumber(processes, 'processes', mostProcesses),
    args: argumentsOf(options),
    env: store === undefined ? {} : { ERRAND_STORE: readText(store, `${where}.store`) },
    stop: {
      ...(grace === undefined ? {} : { grace }),
      ...(abortGrace === undefined ? {} : { abortGrace }),
    },
    shouldRestart:
      shouldRestart === undefined ? null : readFunction(shouldRestart, `${where}.shouldRestart`),
    watch: false,
    say: (level, text, fields = {}) => write?.(level, text, fields),
  })
  const stop = (given: StopOptions = {}): Promise<void> => supervisor.stop(given)
  await supervisor.start()
  return { processes: supervisor.places, stop, [Symbol.asyncDispose]: stop }
}

/** The same as arguments of `errand worker`. */
function argumentsOf(options: StartProcessesOptions): readonly string[] {
  const { config, slots, queues = [], group, poll, grace, abortGrace } = options
  const { recycleAfter, maxRss } = options
  const ms = (value: Duration, name: string): string => String(toMs(value, `${where}.${name}`))
  for (const queue of readList(queues, `${where}.queues`, 'names of queues'))
    readQueueName(queue, `Each of ${where}.queues`)
  if (maxRss !== undefined) readMemory(maxRss, `${where}.maxRss`)
  const given: Readonly<Record<string, string | undefined>> = {
    '--config': readPath(config),
    '--slots': slots === undefined ? undefined : String(readNumber(slots, 'slots', mostCount)),
    '--group': group === undefined ? undefined : readText(group, `${where}.group`),
    '--poll': poll === undefined ? undefined : ms(poll, 'poll'),
    '--grace': grace === undefined || grace === 'none' ? grace : ms(grace, 'grace'),
    '--abort-grace': abortGrace === undefined ? undefined : ms(abortGrace, 'abortGrace'),
    '--recycle-after':
      recycleAfter === undefined
        ? undefined
        : String(readNumber(recycleAfter, 'recycleAfter', mostCount)),
    '--max-rss': maxRss,
  }
  return [
    'worker',
    ...Object.entries(given).flatMap(([name, value]) =>
      value === undefined ? [] : [`${name}=${value}`],
    ),
    ...queues.map((queue) => `--queue=${queue}`),
  ]
}

function readPath(config: string | URL): string {
  if (!(config instanceof URL)) return readText(config, `${where}.config`)
  if (config.protocol === 'file:') return fileURLToPath(config)
  return refuseValue(`${where}.config`, 'a path or the URL of a file', config.href)
}

function readNumber(value: number, name: string, most: number): number {
  if (Number.isInteger(value) && value >= 1 && value <= most) return value
  return refuseValue(`${where}.${name}`, `a whole number from 1 to ${most}`, value)
}
