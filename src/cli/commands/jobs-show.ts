/** `errand jobs show`: everything about one job. */
import { inspect } from 'node:util'
import type { Command } from 'commander'
import type { JobRecord } from '../../client/job-record.ts'
import type { LogLine } from '../../core/job.ts'
import { ErrandError } from '../../core/errors.ts'
import { isJobId } from '../../core/id.ts'
import { inLine } from '../../core/shown.ts'
import type { Errand } from '../../errand.ts'
import { mermaidOf } from '../../flows/workflows/mermaid.ts'
import { action, withApp } from '../action.ts'
import { oneLine } from '../../core/words.ts'
import { examples } from '../help.ts'
import { stateWord } from '../job-words.ts'
import { facts } from '../table.ts'
import { asOurs, paint, print, printJson, remark } from '../terminal.ts'
import { clockTime, fromNow, fullTime } from '../times.ts'

export function addJobsShow(jobs: Command): void {
  const command = jobs
    .command('show')
    .summary('everything about one job')
    .description(
      'Show one job: its input and output, what happened to it and when, its errors and log lines.',
    )
    .argument('<id>')
    .option('--tree', 'show the jobs that it came from and that came of it')
    .option('--mermaid', 'write the graph of its workflow as Mermaid text')
    .action(
      action<ShowOptions, [string]>(async (options, id) => {
        const found = await withApp(options, async (errand) => {
          const job = await errand.jobs.get(id)
          return { job, ...(job === null ? { log: [] } : await partsOf(errand, options, job)) }
        })
        if (found.job !== null && found.text !== undefined) {
          print(found.text)
          return 0
        }
        if (found.job === null) {
          remark(
            `error: No job has the id ${id}: it was never stored, was removed, or is beyond its retention.`,
          )
          return 1
        }
        if (options.json) printJson({ ...found.job, log: found.log })
        else printJob(found.job, found.log)
        return 0
      }),
    )
  examples(command, [
    ['errand jobs show 0198c5d4-…', 'everything about this job'],
    ['errand jobs show 0198c5d4-… --tree', 'what it came from, and what came of it'],
  ])
}

interface ShowOptions {
  readonly tree?: boolean
  readonly mermaid?: boolean
}

/** What is shown of a job beside its record. */
async function partsOf(
  { jobs, store, workflows }: Errand,
  { tree, mermaid }: ShowOptions,
  { id, group }: JobRecord,
): Promise<{ readonly log: readonly LogLine[]; readonly text?: string }> {
  if (mermaid) {
    const nodes = group !== null && isJobId(group) ? await workflows.nodes(group) : []
    if (nodes.every(({ isEnd }) => !isEnd))
      throw new ErrandError('invalid-option', `${id} is of no workflow, so it has no graph.`)
    return { log: [], text: mermaidOf(nodes) }
  }
  if (tree) {
    const { treeOf } = await import('../job-tree.ts')
    const [job] = await store.get([id])
    if (job) return { log: [], text: (await treeOf(store, job)).join('\n') }
  }
  return { log: await jobs.logs(id) }
}

function printJob(job: JobRecord, log: readonly LogLine[]): void {
  print(
    facts([
      ['id', job.id],
      ['task', job.task],
      ['queue', job.queue],
      [
        'state',
        `${stateWord(job.state)}${job.reason === null ? '' : ` (${job.reason})`}${job.cancelAsked ? ', asked to end' : ''}`,
      ],
      ['priority', String(job.priority)],
      ['attempt', String(job.attempt)],
      ['counts', counts(job)],
      ['key', job.key],
      ['parent', job.parent],
      ['schedule', job.schedule],
      ['planned', job.plannedAt === null ? null : fullTime(job.plannedAt)],
      ['group', job.group],
      ['tags', job.tags.length === 0 ? null : job.tags.join(', ')],
      ['headers', Object.keys(job.headers).length === 0 ? null : json(job.headers)],
      ['worker', job.worker],
      ['token', job.token === 0 ? null : String(job.token)],
      ['due', job.finishedAt === null ? fullTime(job.dueAt) : null],
      ['start by', time(job.startBy)],
      ['deadline', time(job.deadlineAt)],
      ['lease until', time(job.leaseUntil)],
      ['kept until', job.finishedAt === null ? null : (time(job.expiresAt) ?? 'removed by hand')],
      ['codec', job.codec],
      ['progress', json(job.progress)],
      [
        'input',
        job.input === undefined
          ? `cannot be read: codec ${job.codec} is not configured`
          : json(job.input),
      ],
      ['output', job.state === 'completed' ? json(job.output) : null],
    ]),
  )
  print(`\n${paint('bold', 'Timeline')}`)
  for (const line of timeline(job, log)) print(line)
  const stack = job.errors.at(-1)?.stack
  if (stack) print(`\n${paint('bold', 'Last error')}\n${stack}`)
}

function counts(job: JobRecord): string | null {
  const { failures, postpones, losses, interruptions, deferrals } = job
  const shown = Object.entries({ failures, postpones, losses, interruptions, deferrals }).filter(
    ([, count]) => count > 0,
  )
  return shown.map(([name, count]) => `${count} ${name}`).join(', ')
}

/** What is known to have happened, in order; at one time a start comes before what it led to. */
function timeline(job: JobRecord, log: readonly LogLine[]): readonly string[] {
  const events: { readonly at: Date; readonly text: string }[] = [
    { at: job.createdAt, text: 'enqueued' },
  ]
  for (const { attempt, startedAt, worker } of job.runs)
    if (startedAt !== null) events.push({ at: startedAt, text: started(attempt, worker) })
  const isTold = job.runs.some(({ token }) => token === job.token)
  if (job.startedAt !== null && !isTold)
    events.push({ at: job.startedAt, text: started(job.attempt, job.worker) })
  for (const { at, level, text } of log)
    events.push({ at: new Date(at), text: `${paint('dim', level.padEnd(5))} ${inLine(text)}` })
  for (const { attempt, endedAt, outcome, error } of job.runs) {
    if (error !== null) {
      const text = inLine(`attempt ${attempt}: ${error.type}: ${oneLine(error.message)}`)
      events.push({ at: endedAt, text: paint('red', text) })
    } else if (outcome !== 'completed')
      events.push({ at: endedAt, text: `attempt ${attempt} ${outcome}` })
  }
  if (job.finishedAt !== null) events.push({ at: job.finishedAt, text: stateWord(job.state) })
  else if (job.state === 'scheduled')
    events.push({ at: job.dueAt, text: `due ${fromNow(job.dueAt)}` })
  return events
    .toSorted((a, b) => a.at.getTime() - b.at.getTime())
    .map(({ at, text }) => `  ${paint('dim', clockTime(at))}  ${text}`)
}

function started(attempt: number, worker: string | null): string {
  return `attempt ${attempt} started${worker === null ? '' : ` on ${inLine(worker)}`}`
}

function time(date: Date | null): string | null {
  return date === null ? null : fullTime(date)
}

function json(value: unknown): string | { readonly lines: string } | null {
  if (value === null || value === undefined) return null
  if (typeof value !== 'object') return JSON.stringify(value)
  const colors = process.stdout.isTTY && process.stdout.hasColors()
  return { lines: asOurs(inspect(value, { depth: 4, breakLength: 100, colors })) }
}
