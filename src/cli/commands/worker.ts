/** `errand worker`: run jobs until told to stop. */
import type { Command } from 'commander'
import type { Duration } from '../../core/duration.ts'
import type { Errand } from '../../errand.ts'
import { stopDefaults } from '../../loops/stop-defaults.ts'
import { stopWorkerToExit } from '../../worker/stop-to-exit.ts'
import type { StopOptions, Worker, WorkerOptions } from '../../worker/worker-options.ts'
import { takePlace, type OwnPlace } from '../../fleet/own-place.ts'
import { action } from '../action.ts'
import type { Globals } from '../globals.ts'
import { restartCode, tellSupervisor, type Ending } from '../ending.ts'
import type { ExitCode } from '../exit.ts'
import { examples } from '../help.ts'
import { count, duration, durationOrNone, listenAt, several } from '../options.ts'
import { startSources } from '../start-sources.ts'
import { startLog } from '../start-log.ts'
import { startHealthFile, startMetrics } from '../start-metrics.ts'
import { onStopSignal } from '../stop-signals.ts'
import { storeLost } from '../store-lost.ts'
import {
  addSupervised,
  isSupervised,
  prepare,
  refuseUnshared,
  supervise,
  tellUp,
  type SupervisedOptions,
} from '../supervise.ts'

interface Options extends SupervisedOptions {
  readonly slots?: number
  readonly queue?: readonly string[]
  readonly poll?: Duration
  readonly group?: string
  readonly burst?: boolean
  /** False by `--no-keeper`. */
  readonly keeper: boolean
  readonly grace?: Duration | 'none'
  readonly abortGrace?: Duration
  readonly metricsPort?: ReturnType<typeof listenAt>
  readonly healthFile?: string
  readonly sources: boolean
}

export function addWorker(program: Command): void {
  const command = program
    .command('worker')
    .summary('run jobs')
    .description(
      'Run jobs until SIGTERM, SIGINT, SIGHUP or SIGUSR2: then finish what runs, within --grace, and exit with 0. Another signal, a second later, exits at once, with 130 for SIGINT and 143 for SIGTERM. A file that this process must not use any more ends it with 3, and errand control restart with 5.',
    )
    .option('--slots <n>', 'jobs at a time, over all queues', count)
    .option('--queue <name>', 'serve this queue only; may be repeated', several)
    .option('--poll <duration>', 'the longest wait before it looks for work unasked', duration)
    .option('--group <name>', 'the group by which errand control addresses it')
    .option('--burst', 'stop once nothing is ready or due in its queues and nothing runs here')
    .option('--no-keeper', 'leave it to others to rescue jobs, to prune and to fire schedules')
    .option(
      '--grace <duration>',
      'how long running jobs may go on at a stop, or none for no limit',
      durationOrNone,
      shownSeconds(stopDefaults.graceMs),
    )
    .option(
      '--abort-grace <duration>',
      'how long they may take to end once they are aborted',
      duration,
      shownSeconds(stopDefaults.abortGraceMs),
    )
    .option(
      '--metrics-port <[address:]port>',
      'serve /metrics for Prometheus, /health and /ready here; of this machine alone without an address',
      listenAt,
    )
    .option(
      '--health-file <path>',
      'keep this file, anew each five seconds, while the worker is well',
    )
    .option('--no-sources', 'leave the sources of the configuration to other processes')
  addSupervised(command).action(action<Options, []>(work))
  examples(command, [
    ['errand worker', 'all queues of the configuration'],
    ['errand worker --queue mail --queue images --slots 4', 'these two only, four jobs at a time'],
    ['errand worker --metrics-port 9464', 'and metrics at http://127.0.0.1:9464/metrics'],
    ['errand worker --burst', 'run what is there, then exit'],
    ['errand worker --log-level warn', 'only what needs attention'],
  ])
}

async function work(options: Options & Globals): Promise<ExitCode> {
  const own = await takePlace()
  if (own === null && isSupervised(options)) return supervise(options, stopOptions(options))
  if (own !== null) prepare(own, options)
  const { openConfiguredApp } = await import('../open-app.ts')
  const [errand] = await Promise.all([openConfiguredApp(options), import('../logger.ts')])
  if (own !== null) refuseUnshared(errand, own)
  await startLog(errand, options)
  const endMetrics = await startMetrics(errand, options.metricsPort)
  let isClean = true
  errand.on('worker-stopped', ({ clean }) => (isClean = clean))
  const worker = errand.worker(workerOptions(options))
  const stop: Stop = async (given = {}) => {
    const stopping = stopWorkerToExit(worker, { ...stopOptions(options), ...given })
    await Promise.all([errand.sources.stop(), stopping])
  }
  const stopped = stopOnSignal(stop, own)
  const ending = stopAtEnding(errand, worker, stop)
  const lost = storeLost(errand)
  const started = worker.start().then(() => startSources(errand, options))
  await Promise.race([stopped, ending.stopped, started])
  if (own !== null) tellUp(own, errand, options)
  const endHealth = await startHealthFile(errand, options.healthFile)
  const error = await Promise.race([stopped, ending.stopped, lost])
  if (error !== undefined) await stopWorkerToExit(worker, { ...stopOptions(options), grace: 0 })
  await endHealth()
  endMetrics()
  await errand.close()
  if (error !== undefined) throw error
  if (ending.why !== null) await tellSupervisor(ending.why)
  if (ending.why === 'restart') return restartCode()
  return isClean ? 0 : 1
}

/** Stops the worker and the sources beside it. The process ends then, so what still runs is given up at once. */
type Stop = (options?: StopOptions) => Promise<void>

/** A worker that ends by itself, as an operator told it or since its burst is over. */
interface EndingOf {
  /** Null until then. */
  readonly why: Ending | null
  readonly stopped: Promise<void>
}

/** Stops a worker that is about to end by itself as a signal would. */
function stopAtEnding(errand: Errand, worker: Worker, stop: Stop): EndingOf {
  let found: Ending | null = null
  const stopped = new Promise<void>((resolve, reject) =>
    errand.on('worker-ending', ({ worker: id, why }) => {
      if (id !== worker.id) return
      found = why
      void stop().then(resolve, reject)
    }),
  )
  return {
    get why() {
      return found
    },
    stopped,
  }
}

/** Resolves once a signal, or the supervisor, has stopped the worker. */
function stopOnSignal(stop: Stop, own: OwnPlace | null): Promise<void> {
  return new Promise((resolve, reject) => {
    onStopSignal(() => void stop().then(resolve, reject), ['SIGUSR2'])
    own?.onStop((options) => void stop(options).then(resolve, reject))
  })
}

function workerOptions({ slots, queue, poll, group, burst, keeper }: Options): WorkerOptions {
  return {
    ...(slots === undefined ? {} : { slots }),
    ...(queue === undefined ? {} : { queues: queue }),
    ...(poll === undefined ? {} : { poll }),
    ...(group === undefined ? {} : { group }),
    ...(burst === undefined ? {} : { burst }),
    ...(keeper ? {} : { keeper }),
  }
}

function shownSeconds(ms: number): Duration {
  return `${ms / 1_000}s`
}

function stopOptions({ grace, abortGrace }: Options): StopOptions {
  return {
    ...(grace === undefined ? {} : { grace }),
    ...(abortGrace === undefined ? {} : { abortGrace }),
  }
}
