/** Puts the commands together and answers wrong use with one line and exit code 2. */
import { Command, CommanderError, Option } from 'commander'
import { end } from './action.ts'
import { addCheck } from './commands/check.ts'
import { addControl } from './commands/control.ts'
import { addDoctor } from './commands/doctor.ts'
import { addEnqueue } from './commands/enqueue.ts'
import { addInit } from './commands/init.ts'
import { addJobs } from './commands/jobs.ts'
import { addMigrate } from './commands/migrate.ts'
import { addQueues } from './commands/queues.ts'
import { addRun } from './commands/run.ts'
import { addSchedules } from './commands/schedules.ts'
import { addServe } from './commands/serve.ts'
import { addSources } from './commands/sources.ts'
import { addTokens } from './commands/tokens.ts'
import { addTop } from './commands/top.ts'
import { addWorker } from './commands/worker.ts'
import { addWorkers } from './commands/workers.ts'
import { addWorkflows } from './commands/workflows.ts'
import { oneLine } from '../core/words.ts'
import { exitCodes } from './exit.ts'
import { examples } from './help.ts'
import { visible } from '../core/shown.ts'
import { version } from '../core/version.ts'

const levels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']

/** Runs the command line and ends the process. */
export async function run(argv: readonly string[]): Promise<void> {
  for (const stream of [process.stdout, process.stderr]) stream.on('error', survive)
  try {
    await makeProgram().parseAsync(argv)
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error
    await end(error.exitCode === 0 ? 0 : 2)
  }
}

function survive(error: NodeJS.ErrnoException): void {
  // A reader that has seen enough, such as head, is no failure.
  if (error.code === 'EPIPE') process.exit(0)
  // A terminal that was closed takes no more words; SIGHUP tells what is to become of the work.
  if (error.code !== 'EIO') throw error
}

function makeProgram(): Command {
  const program = new Command('errand')
    .description('Background jobs: run workers, and look after jobs, queues and stores.')
    .version(version)
    .helpCommand(true)
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({ outputError: (text, write) => write(`${visible(oneLine(text))}\n`) })
    .exitOverride()
    .addOption(
      new Option(
        '--config <file>',
        'configuration to load (default: errand.config.ts, .mts, .js or .mjs)',
      ).env('ERRAND_CONFIG'),
    )
    .addOption(
      new Option(
        '--store <url>',
        'store to use in place of the configured one, such as sqlite:errand.db',
      ).env('ERRAND_STORE'),
    )
    .addOption(
      new Option(
        '--token-file <file>',
        'the token for a manager, where ERRAND_TOKEN does not hold it',
      ).env('ERRAND_TOKEN_FILE'),
    )
    .option('--json', 'write one JSON value to stdout, for programs')
    .option('--verbose', 'show the stack of an error')
    .addOption(
      new Option('--log-level <level>', 'what a worker logs')
        .choices(levels)
        .env('ERRAND_LOG_LEVEL'),
    )
    .addOption(
      new Option('--log-format <format>', 'how it logs (default: pretty on a terminal)')
        .choices(['pretty', 'json'])
        .env('ERRAND_LOG_FORMAT'),
    )
    .addHelpText('after', `\n${exitCodeText()}`)
  examples(program, [
    ['errand init', 'begin: write a configuration and a first task'],
    ['errand worker', 'run jobs'],
    [`errand enqueue hello '{"name":"you"}' --wait`, 'enqueue one and see its result'],
    ['errand jobs list --state failed', 'see what went wrong'],
    ['errand doctor', 'check the set-up'],
  ])
  for (const add of [
    addInit,
    addWorker,
    addServe,
    addSources,
    addRun,
    addCheck,
    addEnqueue,
    addJobs,
    addQueues,
    addSchedules,
    addWorkers,
    addWorkflows,
    addControl,
    addTokens,
    addMigrate,
    addDoctor,
    addTop,
  ])
    add(program)
  return program
}

function exitCodeText(): string {
  return [
    'Exit codes:',
    ...Object.entries(exitCodes).map(([code, meaning]) => `  ${code}  ${meaning}`),
  ].join('\n')
}
