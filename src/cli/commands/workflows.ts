/** `errand workflows`: start workflows, and look after their runs. */
import type { Command } from 'commander'
import type { Duration } from '../../core/duration.ts'
import { jobStates } from '../../core/job.ts'
import { isJobId } from '../../core/id.ts'
import { plainOf } from '../../core/digits.ts'
import { ErrandError } from '../../core/errors.ts'
import { mermaidOf } from '../../flows/workflows/mermaid.ts'
import type { WorkflowNode, WorkflowStatus } from '../../flows/workflows/runs.ts'
import { action, withApp } from '../action.ts'
import type { ExitCode } from '../exit.ts'
import { examples } from '../help.ts'
import { readInput } from '../input.ts'
import { counted } from '../../core/words.ts'
import { stateWord } from '../job-words.ts'
import { duration } from '../options.ts'
import { facts, table } from '../table.ts'
import { print, printJson, remark } from '../terminal.ts'
import { fromNow, fullTime } from '../times.ts'

export function addWorkflows(program: Command): void {
  const workflows = program
    .command('workflows')
    .summary('start workflows and look after their runs')
    .description('Start workflows, and see, cancel and retry their runs.')
  addStart(workflows)
  addList(workflows)
  addShow(workflows)
  addCancel(workflows)
  addRetry(workflows)
}

interface StartOptions {
  readonly inputFile?: string
  readonly id?: string
  readonly wait?: boolean
  readonly timeout: Duration
}

function addStart(workflows: Command): void {
  const command = workflows
    .command('start')
    .summary('start a workflow of the configuration')
    .description('Start a workflow that the configuration lists in `workflows`.')
    .argument('<name>')
    .argument('[json]', 'its input; - reads standard input')
    .option('--input-file <file>', 'read the input from a file')
    .option('--id <uuid>', 'id of the run: repeated, the command adds nothing')
    .option('--wait', 'wait for the end and print the output as JSON')
    .option('--timeout <duration>', 'how long to wait', duration, '30s' as Duration)
    .action(
      action<StartOptions, [string, string | undefined]>(async (options, name, json) => {
        const input = plainOf(await readInput(json, options.inputFile))
        return withApp(options, async (errand): Promise<ExitCode> => {
          const { id } = options
          const workflow = errand.workflows.find(name)
          const run = await errand.start(workflow, input, id === undefined ? {} : { id })
          if (options.wait) printJson(await run.result({ timeout: options.timeout }))
          else if (options.json) printJson({ id: run.id })
          else print(`started ${run.id}`)
          return 0
        })
      }),
    )
  examples(command, [[`errand workflows start etl '{"source":"a.csv"}' --wait`, 'and its output']])
}

function addList(workflows: Command): void {
  const command = workflows
    .command('list')
    .summary('runs, newest first')
    .description('List runs of workflows, newest first.')
    .option('--after <cursor>', 'the next page')
    .action(
      action<{ readonly after?: string }, []>(async (options) => {
        const { after } = options
        const page = await withApp(options, (errand) =>
          errand.workflows.list(after === undefined ? {} : { after }),
        )
        if (options.json) printJson(page)
        else print(page.runs.length === 0 ? 'No runs.' : runTable(page.runs))
        if (!options.json && page.next !== null)
          remark(`More: errand workflows list --after ${page.next}`)
        return 0
      }),
    )
  examples(command, [['errand workflows list', 'what was started lately']])
}

function runTable(runs: readonly Omit<WorkflowStatus, 'counts'>[]): string {
  return table(
    [
      { title: 'id' },
      { title: 'workflow', shrinks: true },
      { title: 'state' },
      { title: 'started' },
      { title: 'ended' },
    ],
    runs.map(({ id, workflow, state, createdAt, finishedAt }) => [
      id,
      workflow,
      state === 'blocked' ? stateWord('running') : stateWord(state),
      fromNow(createdAt),
      finishedAt === null ? '' : fromNow(finishedAt),
    ]),
  )
}

function addShow(workflows: Command): void {
  const command = workflows
    .command('show')
    .summary('one run with its nodes')
    .description('Show a run: how it stands, and its nodes with what they need.')
    .argument('<id>')
    .option('--mermaid', 'write the graph as Mermaid text')
    .action(
      action<{ readonly mermaid?: boolean }, [string]>(async (options, id) => {
        const found = await withApp(options, async ({ workflows: runs }) => {
          const status = await runs.get(checked(id))
          // A batch has nodes without end, which need nothing: errand jobs list --group shows them.
          return { status, nodes: status?.total === null ? await runs.nodes(id) : [] }
        })
        const { status, nodes } = found
        if (status === null) {
          remark(`error: No run has the id ${id}: see errand workflows list.`)
          return 1
        }
        if (options.mermaid) print(mermaidOf(nodes))
        else if (options.json) printJson({ ...status, nodes })
        else printRun(status, nodes)
        return 0
      }),
    )
  examples(command, [
    ['errand workflows show 0198c5d4-…', 'how a run or a batch stands'],
    ['errand workflows show 0198c5d4-… --mermaid', 'its graph, to paste into Markdown'],
  ])
}

function printRun(status: WorkflowStatus, nodes: readonly WorkflowNode[]): void {
  const { id, workflow, state, reason, createdAt, finishedAt, counts, total } = status
  const shown = jobStates.flatMap((one) => (counts[one] ? [`${counts[one]} ${one}`] : []))
  const isBatch = total !== null
  print(
    facts([
      ['id', id],
      [isBatch ? 'batch' : 'workflow', workflow],
      ['state', `${stateWord(state)}${reason === null ? '' : ` (${reason})`}`],
      [isBatch ? 'jobs' : 'nodes', [...shown, ...notSeen(status)].join(', ')],
      ['started', fullTime(createdAt)],
      ['ended', finishedAt === null ? null : fullTime(finishedAt)],
    ]),
  )
  if (isBatch) return print(`Its jobs: errand jobs list --group ${id}`)
  print('')
  print(nodeTable(nodes))
}

/** The jobs of a batch that no part of it has counted yet. */
function notSeen({ total, counts }: WorkflowStatus): readonly string[] {
  if (total === null) return []
  const seen = jobStates.reduce((sum, state) => sum + (counts[state] ?? 0), 0)
  return total > seen ? [`${total - seen} to come`] : []
}

/** Nodes in the order in which they were added, with the names of what they need. */
function nodeTable(nodes: readonly WorkflowNode[]): string {
  const names = new Map(nodes.map(({ id, name }) => [id, name]))
  return table(
    [
      { title: 'node', shrinks: true },
      { title: 'task', shrinks: true, optional: true },
      { title: 'state' },
      { title: 'needs', shrinks: true },
      { title: 'id', optional: true },
    ],
    nodes
      .filter(({ name }) => name !== '')
      .map(({ id, name, task, state, reason, needs, isEnd }) => [
        name,
        isEnd ? 'workflow' : task,
        `${stateWord(state)}${reason === null || reason === 'error' ? '' : ` ${reason}`}`,
        isEnd ? '' : needs.map((need) => names.get(need.id) ?? need.id).join(', '),
        id,
      ]),
  )
}

function addCancel(workflows: Command): void {
  const command = workflows
    .command('cancel')
    .summary('end a run before it is done')
    .description('Cancel what waits of a run, and ask what runs to end.')
    .argument('<id>')
    .option('--reason <text>', 'kept with the jobs')
    .action(
      action<{ readonly reason?: string }, [string]>(async (options, id) => {
        const count = await withApp(options, (errand) =>
          errand.workflows.cancel(checked(id), options.reason),
        )
        if (options.json) printJson({ cancelled: count })
        else print(`${counted(count, 'job')} cancelled or asked to end`)
        return count > 0 ? 0 : 1
      }),
    )
  examples(command, [['errand workflows cancel 0198c5d4-…', 'ends the whole run']])
}

function addRetry(workflows: Command): void {
  const command = workflows
    .command('retry')
    .summary('run the failed part again')
    .description('Run what failed of a run again, and what was cancelled for it after that.')
    .argument('<id>')
    .action(
      action<object, [string]>(async (options, id) => {
        const count = await withApp(options, (errand) => errand.workflows.retry(checked(id)))
        if (options.json) printJson({ retried: count })
        else print(`${counted(count, 'job')} to run again`)
        return count > 0 ? 0 : 1
      }),
    )
  examples(command, [['errand workflows retry 0198c5d4-…', 'once the cause is mended']])
}

function checked(id: string): string {
  if (isJobId(id)) return id
  throw new ErrandError('invalid-option', `${id} is no id of a run; see errand workflows list.`)
}
