/** `errand worker`: run jobs until told to stop. */
import type { Command } from 'commander'
import type { Duration } from '../../core/duration.ts'
import type { Errand } from '../../errand.ts'
import { stopDefaults } from '../../loops/stop-defaults.ts'
import { stopWorkerToExit } from '../../worker/stop-to-exit.ts'
import type { StopOptions, Worker, WorkerOptions } from '../../worker/worker-options.ts'
import { action, type Globals } from '../action.ts'
import { needsRestart, type ExitCode } from '../exit.ts'
import { examples } from '../help.ts'
import { count, duration, durationOrNone, several } from '../options.ts'
import { startLog } from '../start-log.ts'
import { onStopSignal } from '../stop-signals.ts'

interface Options {
  readonly slots?: number
  readonly queue?: readonly string[]
  readonly poll?: Duration
  readonly grace?: Duration | 'none'
  readonly abortGrace?: Duration
}

export function addWorker(program: Command): void {
  const command = program
    .command('worker')
    .summary('run jobs')
    .description(
      'Run jobs until SIGTERM, SIGINT or SIGHUP: then finish what runs, within --grace, and exit with 0. Another signal, a second later, exits at once, with 130 for SIGINT and 143 for SIGTERM. A file that this process must not use any more ends it with 3.',
    )
    .option('--slots <n>', 'jobs at a time, over all queues', count)
    .option('--queue <name>', 'serve this queue only; may be repeated', several)
    .option('--poll <duration>', 'the longest wait before it looks for work unasked', duration)
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
    .action(action<Options, []>(work))
  examples(command, [
    ['errand worker', 'all queues of the configuration'],
    ['errand worker --queue mail --queue images --slots 4', 'these two only, four jobs at a time'],
    ['errand worker --log-level warn', 'only what needs attention'],
  ])
}

async function work(options: Options & Globals): Promise<ExitCode> {
  const { openConfiguredApp } = await import('../open-app.ts')
  const [errand] = await Promise.all([openConfiguredApp(options), import('../logger.ts')])
  await startLog(errand, options)
  let isClean = true
  errand.on('worker-stopped', ({ clean }) => (isClean = clean))
  const worker = errand.worker(workerOptions(options))
  const stopped = stopOnSignal(worker, stopOptions(options))
  const lost = storeLost(errand)
  await Promise.race([stopped, worker.start()])
  const error = await Promise.race([stopped, lost])
  if (error !== undefined) await stopWorkerToExit(worker, { ...stopOptions(options), grace: 0 })
  await errand.close()
  if (error !== undefined) throw error
  return isClean ? 0 : 1
}

/** Resolves with the error of a store that only another process can use: the caller starts the next. */
function storeLost(errand: Errand): Promise<Error> {
  return new Promise((resolve) =>
    errand.on('part-failed', ({ error }) => {
      if (needsRestart(error)) resolve(error)
    }),
  )
}

/** Resolves once a signal has stopped the worker. The process ends then, so what still runs is given up at once. */
function stopOnSignal(worker: Worker, options: StopOptions): Promise<void> {
  return new Promise((resolve, reject) =>
    onStopSignal(() => void stopWorkerToExit(worker, options).then(resolve, reject)),
  )
}

function workerOptions({ slots, queue, poll }: Options): WorkerOptions {
  return {
    ...(slots === undefined ? {} : { slots }),
    ...(queue === undefined ? {} : { queues: queue }),
    ...(poll === undefined ? {} : { poll }),
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
