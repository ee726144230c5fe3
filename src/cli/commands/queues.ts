/** `errand queues`: see, pause, resume and empty queues. */
import type { Command } from 'commander'
import type { QueueInfo } from '../../client/queues.ts'
import { ErrandError } from '../../core/errors.ts'
import { jobStates } from '../../core/job.ts'
import { nearest } from '../../core/nearest.ts'
import type { Errand } from '../../errand.ts'
import { action, withApp } from '../action.ts'
import { examples } from '../help.ts'
import { counted } from '../job-words.ts'
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
          await checkNames(errand, names)
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
          await checkNames(errand, [name])
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

/** A slip of the pen must not pause a queue that nobody has. Where workers serve any name, any name is good. */
async function checkNames(errand: Errand, names: readonly string[]): Promise<void> {
  const [queues, tasks, workers] = await Promise.all([
    errand.queues.list(),
    errand.tasks.list(),
    errand.workers.list(),
  ])
  const served = workers.flatMap((worker) => worker.queues)
  if (served.includes('*')) return
  const ofJobs = [...queues.map(({ name }) => name), ...tasks.map(({ queue }) => queue)]
  const known = [...new Set([...ofJobs, ...served])]
  for (const name of names) {
    if (known.includes(name)) continue
    const meant = nearest(name, known)
    const others =
      known.length === 0 ? 'No job, task or worker names one.' : `Known are ${known.join(', ')}.`
    throw new ErrandError(
      'unknown-queue',
      `No queue is called ${name}. ${meant === null ? others : `Did you mean ${meant}?`}`,
    )
  }
}
