/** `errand workers`: who runs jobs, or did within the last day. */
import type { Command } from 'commander'
import type { WorkerInfo } from '../../client/workers.ts'
import type { SourceRecord } from '../../store/registry.ts'
import { shownPlace } from '../../loops/own-process.ts'
import { action, withApp } from '../action.ts'
import { examples } from '../help.ts'
import { table } from '../table.ts'
import { paint, print, printJson } from '../terminal.ts'
import { fromNow } from '../times.ts'

const colours = { running: 'green', stopped: 'dim', lost: 'red' } as const
const order = ['running', 'lost', 'stopped']

export function addWorkers(program: Command): void {
  const command = program
    .command('workers')
    .summary('see who runs jobs')
    .description('List the workers that run, and those of the last day that stopped or were lost.')
    .action(
      action<object, []>(async (options) => {
        const found = await withApp(options, (errand) => errand.workers.list())
        const workers = found.toSorted(
          (a, b) =>
            order.indexOf(a.state) - order.indexOf(b.state) ||
            b.lastSeenAt.getTime() - a.lastSeenAt.getTime(),
        )
        if (options.json) printJson(workers)
        else
          print(
            workers.length === 0 ? 'No workers. Start one: errand worker' : workerTable(workers),
          )
        return 0
      }),
    )
  examples(command, [['errand workers', 'who runs jobs, and on which queues']])
}

function workerTable(workers: readonly WorkerInfo[]): string {
  const now = Date.now()
  const hasGroups = workers.some(({ group }) => group !== null)
  const hasSources = workers.some(({ sources }) => sources.length > 0)
  const hasPlaces = workers.some(({ process }) => process !== null)
  return table(
    [
      { title: 'id' },
      { title: 'state' },
      ...(hasGroups ? [{ title: 'group', shrinks: true }] : []),
      { title: 'host', shrinks: true, optional: true },
      { title: 'pid', align: 'right' },
      ...(hasPlaces ? [{ title: 'process' }] : []),
      { title: 'slots', align: 'right' },
      { title: 'running', align: 'right' },
      { title: 'queues', shrinks: true },
      ...(hasSources ? [{ title: 'sources', shrinks: true }] : []),
      { title: 'started', optional: true },
      { title: 'seen', optional: true },
    ],
    workers.map((worker) => [
      worker.id,
      stateText(worker),
      ...(hasGroups ? [worker.group ?? ''] : []),
      worker.host,
      String(worker.pid),
      ...(hasPlaces ? [worker.process === null ? '' : shownPlace(worker.process)] : []),
      String(worker.slots),
      String(worker.running.length),
      worker.queues.join(', '),
      ...(hasSources ? [worker.sources.map(sourceText).join(', ')] : []),
      fromNow(worker.startedAt, now),
      fromNow(worker.lastSeenAt, now),
    ]),
  )
}

/** A worker that claims nothing says why. */
function stateText({ state, paused }: WorkerInfo): string {
  if (state !== 'running' || paused.length === 0) return paint(colours[state], state)
  return paint('yellow', `paused (${paused.join(', ')})`)
}

/** A source that does not work says so. */
function sourceText({ name, state, failures, storeFailures }: SourceRecord): string {
  if (failures > 0) return `${name} (${failures} failures)`
  if (storeFailures > 0) return `${name} (${storeFailures} failures of the store)`
  return state === 'connected' ? name : `${name} (${state})`
}
