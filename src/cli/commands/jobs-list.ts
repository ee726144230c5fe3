/** `errand jobs list`: a page of jobs, newest first. */
import type { Command } from 'commander'
import type { JobRecord } from '../../client/public.ts'
import { ErrandError } from '../../core/errors.ts'
import { action, withApp } from '../action.ts'
import { addFilters, filterArguments, quoted, readFilter, type FilterOptions } from '../filters.ts'
import { examples } from '../help.ts'
import { remarkOn, stateWord } from '../job-words.ts'
import { count } from '../options.ts'
import { table } from '../table.ts'
import { print, printJson } from '../terminal.ts'
import { fromNow } from '../times.ts'

interface ListOptions extends FilterOptions {
  readonly limit: number
  readonly after?: string
}

const mostOnAPage = 1_000

export function addJobsList(jobs: Command): void {
  const command = jobs
    .command('list')
    .summary('a page of jobs')
    .description('List jobs, newest first.')
    .option('--limit <n>', `jobs on a page, at most ${mostOnAPage}`, count, 50)
    .option('--after <cursor>', 'the page after this one, as the page before tells')
    .action(
      action<ListOptions, []>(async (options) => {
        if (options.limit > mostOnAPage) {
          throw new ErrandError(
            'invalid-option',
            `--limit is at most ${mostOnAPage}; use --after for more.`,
          )
        }
        const { limit, after } = options
        const query = { ...readFilter(options), limit, ...(after === undefined ? {} : { after }) }
        const page = await withApp(options, (errand) => errand.jobs.list(query))
        if (options.json) printJson(page)
        else printPage(page, options)
        return 0
      }),
    )
  addFilters(command)
  examples(command, [
    ['errand jobs list', 'the newest fifty'],
    ['errand jobs list --state failed --finished-from 2h', 'what failed in the last two hours'],
    ['errand jobs list --task mail.send --json', 'for a program'],
  ])
}

function printPage(
  page: { readonly jobs: readonly JobRecord[]; readonly next: string | null },
  options: ListOptions,
): void {
  if (page.jobs.length === 0) print(page.next === null ? 'No jobs.' : 'No jobs on this page.')
  else print(jobTable(page.jobs))
  if (page.next === null) return
  const again = [
    ...filterArguments(options),
    '--limit',
    String(options.limit),
    '--after',
    quoted(page.next),
  ]
  print(`\nMore: errand jobs list ${again.join(' ')}`)
}

function jobTable(jobs: readonly JobRecord[]): string {
  const now = Date.now()
  return table(
    [
      { title: 'id' },
      { title: 'task', shrinks: true },
      { title: 'queue', shrinks: true, optional: true },
      { title: 'state' },
      { title: 'attempt', align: 'right', optional: true },
      { title: 'enqueued', optional: true },
      { title: 'remark', shrinks: true },
    ],
    jobs.map((job) => [
      job.id,
      job.task,
      job.queue,
      stateWord(job.state),
      String(job.attempt),
      fromNow(job.createdAt, now),
      remarkOn(job, now),
    ]),
  )
}
