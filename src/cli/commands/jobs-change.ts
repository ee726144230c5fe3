/** `errand jobs retry | cancel | remove`: by ids, or in bulk by filter. */
import type { Command } from 'commander'
import type { BulkOptions, JobTarget, Jobs, Tally } from '../../client/jobs.ts'
import type { JobFilter } from '../../client/job-filter.ts'
import { ErrandError } from '../../core/errors.ts'
import { isJobId } from '../../core/id.ts'
import type { JobState } from '../../core/job.ts'
import { action, withApp } from '../action.ts'
import { addFilters, readFilter, type FilterOptions } from '../filters.ts'
import { examples } from '../help.ts'
import { counted } from '../../core/words.ts'
import { progressBar } from '../progress-bar.ts'
import { print, printJson } from '../terminal.ts'

interface ChangeOptions extends FilterOptions {
  readonly all?: boolean
  readonly reason?: string
}

interface Change {
  readonly name: 'retry' | 'cancel' | 'remove'
  readonly summary: string
  readonly description: string
  /** The states it works on when the filter names none. */
  readonly states: readonly JobState[]
  /** The answers that mean it was done. */
  readonly done: readonly string[]
  readonly run: (
    jobs: Jobs,
    target: JobTarget,
    options: BulkOptions & { readonly reason?: string },
  ) => Promise<Tally<string>>
}

const changes: readonly Change[] = [
  {
    name: 'retry',
    summary: 'run ended jobs again',
    description:
      'Make failed, cancelled and discarded jobs ready again; by filter only the failed ones, unless --state says otherwise.',
    states: ['failed'],
    done: ['retried'],
    run: (jobs, target, options) => jobs.retry(target, options),
  },
  {
    name: 'cancel',
    summary: 'end jobs before they are done',
    description: 'Cancel waiting jobs, and ask running ones to end.',
    states: ['blocked', 'scheduled', 'ready', 'running'],
    done: ['cancelled', 'asked'],
    run: (jobs, target, options) => jobs.cancel(target, options),
  },
  {
    name: 'remove',
    summary: 'forget jobs',
    description: 'Remove jobs that are not running, with their results, errors and log lines.',
    states: ['blocked', 'scheduled', 'ready', 'completed', 'failed', 'cancelled', 'discarded'],
    done: ['removed'],
    run: (jobs, target, options) => jobs.remove(target, options),
  },
]

/** What each answer of a store means, for people. */
const meanings: Readonly<Record<string, string>> = {
  retried: 'made ready again',
  duplicate: 'not retried: another job holds the unique key',
  unfit: 'not retried: waiting, running or completed',
  cancelled: 'cancelled',
  asked: 'running, asked to end',
  final: 'ended already',
  removed: 'removed',
  running: 'not removed: running; cancel first',
  missing: 'unknown: never stored, removed, or beyond retention',
}

export function addJobsChanges(jobs: Command): void {
  for (const change of changes) addChange(jobs, change)
}

function addChange(jobs: Command, change: Change): void {
  const command = jobs
    .command(change.name)
    .summary(change.summary)
    .description(change.description)
    .argument('[id...]', 'jobs; or choose them with filters')
    .option('--all', 'without ids and filters: all of them')
  if (change.name === 'cancel') command.option('--reason <text>', 'kept with the job')
  command.action(
    action<ChangeOptions, [string[]]>(async (options, ids) => {
      const target = readTarget(change, options, ids)
      const tally = await withApp(options, async (errand) => {
        const bar = progressBar(change.name, await countOf(errand.jobs, target))
        try {
          return await change.run(errand.jobs, target, {
            onProgress: (done) => bar.update(done),
            ...(options.reason === undefined ? {} : { reason: options.reason }),
          })
        } finally {
          bar.end()
        }
      })
      if (options.json) printJson(tally)
      else printTally(tally)
      return isDone(change, tally, ids.length) ? 0 : 1
    }),
  )
  addFilters(command)
  examples(command, [
    [`errand jobs ${change.name} 0198c5d4-… 0198c5d5-…`, 'these two'],
    [
      `errand jobs ${change.name} --task mail.send --created-to 7d`,
      'all of a task that are older than a week',
    ],
    [`errand jobs ${change.name} --all`, 'all of them'],
  ])
}

/** Ids, or a filter that must be said: nothing is done to all jobs by an oversight. */
function readTarget(change: Change, options: ChangeOptions, ids: readonly string[]): JobTarget {
  const filter = readFilter(options)
  if (ids.length > 0) {
    if (filter !== null || options.all) {
      throw new ErrandError(
        'invalid-option',
        `errand jobs ${change.name} takes either ids or filters, not both.`,
      )
    }
    const bad = ids.find((id) => !isJobId(id))
    if (bad !== undefined)
      throw new ErrandError('invalid-option', `${bad} is no id of a job; see errand jobs list.`)
    return ids
  }
  if (filter === null && !options.all) {
    throw new ErrandError(
      'invalid-option',
      `Which jobs? Name ids, choose with filters such as --task, or pass --all.`,
    )
  }
  const whole: JobFilter = { state: change.states, ...filter }
  return whole
}

/** How many jobs a target names, where counters tell it; null where only a walk would. */
async function countOf(jobs: Jobs, target: JobTarget): Promise<number | null> {
  if (typeof target === 'string') return 1
  if (isIds(target)) return target.length
  const { state, queue, ...others } = target
  if (Object.keys(others).length > 0) return null
  const states = state === undefined ? null : [state].flat()
  return (await jobs.counts())
    .filter(
      (one) =>
        (states === null || states.includes(one.state)) &&
        (queue === undefined || queue === one.queue),
    )
    .reduce((sum, { count }) => sum + count, 0)
}

function isIds(target: JobTarget): target is readonly string[] {
  return Array.isArray(target)
}

/** By ids all must have been done; by filter at least one. */
function isDone(change: Change, tally: Tally<string>, ids: number): boolean {
  const done = change.done.reduce((sum, answer) => sum + (tally[answer] ?? 0), 0)
  return done >= Math.max(1, ids)
}

function printTally(tally: Tally<string>): void {
  const answers = Object.entries(tally).filter(([, count]) => (count ?? 0) > 0)
  if (answers.length === 0) print('No jobs match.')
  for (const [answer, count] of answers)
    print(`${counted(count ?? 0, 'job')} ${meanings[answer] ?? answer}`)
}
