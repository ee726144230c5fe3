/** `errand queues`: see, pause, resume and empty queues. */
import type { Command } from 'commander'
import type { QueueInfo } from '../../client/queues.ts'
import { jobStates } from '../../core/job.ts'
import { action, withApp } from '../action.ts'
import { examples } from '../help.ts'
import { counted } from '../../core/words.ts'
import { checkQueueNames } from '../queue-names.ts'
import { progressBar } from '../progress-bar.ts'
import { table } from '../table.ts'
import { paint, print, printJson } from '../terminal.ts'

export function addQueues(program: Command): void {
  const queues = program
    .command('queues')
    .summary('see, pause, resume and empty queues')
    .description('See, pause, resume and empty queues.')
  addList(queues)
  addSwitch(
    queues,
    'pause',
    'Stop workers from taking jobs of these queues, everywhere and until resumed. Running jobs go on.',
  )
  addSwitch(queues, 'resume', 'Let workers take jobs of these queues again.')
  addPurge(queues)
}

function addList(queues: Command): void {
  const command = queues
    .command('list')
    .summary('queues and their counts')
    .description('List queues with how many jobs are in each state.')
    .action(
      action<object, []>(async (options) => {
        const found = await withApp(options, (errand) => errand.queues.list())
        if (options.json) printJson(found)
        else
          print(
            found.length === 0
              ? 'No queues: no job is stored, and none is paused.'
              : queueTable(found),
          )
        return 0
      }),
    )
  examples(command, [['errand queues list', 'how much waits where']])
}

function queueTable(queues: readonly QueueInfo[]): string {
  return table(
    [
      { title: 'queue', shrinks: true },
      { title: '' },
      ...jobStates.map((title) => ({ title, align: 'right' as const })),
    ],
    queues.map(({ name, paused, counts }) => [
      name,
      paused ? paint('yellow', 'paused') : '',
      ...jobStates.map((state) => (counts[state] ?? 0).toLocaleString('en')),
    ]),
  )
}

function addSwitch(queues: Command, name: 'pause' | 'resume', description: string): void {
  const command = queues
    .command(name)
    .summary(name === 'pause' ? 'stop taking jobs of queues' : 'take them again')
    .description(description)
    .argument('<queue...>')
    .action(
      action<object, [string[]]>(async (options, names) => {
        await withApp(options, async (errand) => {
          await checkQueueNames(errand, names)
          await errand.queues[name](...names)
        })
        if (options.json) printJson({ [`${name}d`]: names })
        else print(`${name}d ${names.join(', ')}`)
        return 0
      }),
    )
  examples(command, [[`errand queues ${name} mail`, `${name}s one queue`]])
}

function addPurge(queues: Command): void {
  const command = queues
    .command('purge')
    .summary('remove what waits in a queue')
    .description('Remove all waiting jobs of a queue. Running and ended ones stay.')
    .argument('<queue>')
    .action(
      action<object, [string]>(async (options, name) => {
        const tally = await withApp(options, async (errand) => {
          await checkQueueNames(errand, [name])
          const bar = progressBar(`purge ${name}`, null)
          try {
            return await errand.queues.purge(name, { onProgress: (done) => bar.update(done) })
          } finally {
            bar.end()
          }
        })
        if (options.json) printJson(tally)
        else print(`${counted(tally.removed ?? 0, 'job')} removed`)
        return 0
      }),
    )
  examples(command, [['errand queues purge mail', 'drops what waits in it']])
}
