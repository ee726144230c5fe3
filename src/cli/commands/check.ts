/** `errand check`: tell whether a singleton succeeded lately. */
import type { Command } from 'commander'
import { formatMs, type Duration } from '../../core/duration.ts'
import { toMs } from '../../core/duration.ts'
import { ErrandError } from '../../core/errors.ts'
import { action } from '../action.ts'
import type { Globals } from '../globals.ts'
import type { ExitCode } from '../exit.ts'
import { examples } from '../help.ts'
import { duration } from '../options.ts'
import { keepStdoutPure, print, printJson } from '../terminal.ts'

interface Options {
  readonly maxAge: Duration
  readonly liveness?: string
}

export function addCheck(program: Command): void {
  const command = program
    .command('check')
    .summary('tell whether a singleton succeeded lately')
    .description(
      'Print PASS and exit with 0 when the last success of a singleton is young enough, else FAIL with 1.',
    )
    .argument('<singleton>', 'its name, or a file and the name in it')
    .requiredOption('--max-age <duration>', 'how old the last success may be', duration)
    .option('--liveness <place>', 'where to read, when the configuration does not say it')
    .action(action<Options, [string]>(check))
  examples(command, [
    ['errand check reports --max-age 5m', 'for a probe'],
    ['errand check reports --max-age 5m --liveness file:/run/reports.live', 'from a file'],
  ])
}

async function check(options: Options & Globals, name: string): Promise<ExitCode> {
  const maxAgeMs = toMs(options.maxAge, '--max-age')
  if (maxAgeMs === 0)
    throw new ErrandError('invalid-option', '--max-age must be longer than nothing.')
  keepStdoutPure()
  const lock = options.liveness === undefined ? undefined : 'none'
  const { openSingletonApp } = await import('../open-singleton.ts')
  const { errand, singleton } = await openSingletonApp(options, name, lock)
  const verdict = await errand.singletons.check(singleton, maxAgeMs, {
    flags: { liveness: options.liveness, ...(lock === undefined ? {} : { lock }) },
    env: process.env,
  })
  await errand.close()
  const { passes, ageMs } = verdict
  if (options.json) printJson({ singleton: singleton.name, ...verdict })
  else {
    const when =
      ageMs === null ? 'it never succeeded' : `its last success was ${formatMs(ageMs)} ago`
    print(`${passes ? 'PASS' : 'FAIL'} ${singleton.name}: ${when}`)
  }
  return passes ? 0 : 1
}
