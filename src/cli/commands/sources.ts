/** `errand sources`: make jobs of the messages of brokers, until told to stop. */
import type { Command } from 'commander'
import { ErrandError } from '../../core/errors.ts'
import { action } from '../action.ts'
import type { Globals } from '../globals.ts'
import type { ExitCode } from '../exit.ts'
import { examples } from '../help.ts'
import { startLog } from '../start-log.ts'
import { onStopSignal } from '../stop-signals.ts'
import { storeLost } from '../store-lost.ts'

export function addSources(program: Command): void {
  const command = program
    .command('sources')
    .summary('make jobs of the messages of brokers')
    .description(
      'Run the sources of the configuration and nothing else until SIGTERM, SIGINT or SIGHUP: each message becomes a job in the store. At a stop, messages that are held are stored or given back. Any number of processes may do this; errand worker and errand serve do it too, unless they are told --no-sources.',
    )
    .action(action<object, []>(run))
  examples(command, [['errand sources', 'take messages and run no jobs']])
}

async function run(options: Globals): Promise<ExitCode> {
  const { openConfiguredApp } = await import('../open-app.ts')
  const errand = await openConfiguredApp(options)
  if (errand.sources.names.length === 0) {
    throw new ErrandError(
      'invalid-config',
      'The configuration has no sources. Add some: createErrand({ sources: [rabbitmq({ … })] }).',
    )
  }
  await startLog(errand, options)
  const stopped = new Promise<void>((resolve) => onStopSignal(resolve))
  const lost = storeLost(errand)
  errand.sources.start()
  const error = await Promise.race([stopped, lost])
  await errand.close()
  if (error !== undefined) throw error
  return 0
}
