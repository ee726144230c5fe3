/** `errand jobs list`: a page of jobs, newest first. */
import type { Command } from 'commander'
import type { JobFilter } from '../../client/job-filter.ts'
import type { JobRecord } from '../../client/job-record.ts'
import type { Jobs } from '../../client/jobs.ts'
import { ErrandError } from '../../core/errors.ts'
import { shownUrl } from '../../core/shown.ts'
import { action, withApp } from '../action.ts'
import type { Globals } from '../globals.ts'
import { quoted } from '../../core/words.ts'
import { addFilters, filterArguments, readFilter, type FilterOptions } from '../filters.ts'
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

interface Page {
  readonly jobs: readonly JobRecord[]
  readonly next: string | null
}

const mostOnAPage = 1_000
const patienceMs = 5_000

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
        const page = await withApp(options, ({ jobs }) => fullPage(jobs, query))
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

/** A store may answer short pages where few jobs match; asks on until the page is full, for as long as a person waits. */
async function fullPage(
  jobs: Jobs,
  query: JobFilter & { limit: number; after?: string },
): Promise<Page> {
  const found: JobRecord[] = []
  const giveUpAt = performance.now() + patienceMs
  for (let after = query.after; ;) {
    const limit = query.limit - found.length
    const page = await jobs.list({ ...query, limit, ...(after === undefined ? {} : { after }) })
    found.push(...page.jobs)
    if (page.next === null || found.length >= query.limit || performance.now() > giveUpAt) {
      return { jobs: found, next: page.next }
    }
    after = page.next
  }
}

function printPage(page: Page, options: ListOptions & Globals): void {
  if (page.jobs.length === 0) print(page.next === null ? 'No jobs.' : 'None found so far.')
  else print(jobTable(page.jobs))
  if (page.next === null) return
  const again = [
    ...typedAgain(options),
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
      { title: 'task', shrinks: true, least: 10 },
      { title: 'state' },
      { title: 'enqueued', optional: true },
      { title: 'queue', shrinks: true, optional: true },
      { title: 'attempt', align: 'right', optional: true },
      { title: 'remark', shrinks: true, least: 18 },
    ],
    jobs.map((job) => [
      job.id,
      job.task,
      stateWord(job.state),
      fromNow(job.createdAt, now),
      job.queue,
      String(job.attempt),
      remarkOn(job, now),
    ]),
  )
}

/** The configuration and the store, if they were typed and do not come from the environment; a password is to be typed again. */
function typedAgain({ config, store }: Globals): readonly string[] {
  const isTyped = (name: string): boolean =>
    process.argv.some((word) => word === name || word.startsWith(`${name}=`))
  return [
    ...(config !== undefined && isTyped('--config') ? ['--config', quoted(config)] : []),
    ...(store !== undefined && isTyped('--store') ? ['--store', quoted(shownUrl(store))] : []),
  ]
}
